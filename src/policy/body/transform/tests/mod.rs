//! The policy as a route has it, from the text of its config to the body that leaves it.

use http_body_util::BodyExt;

use super::*;
use crate::http::body::Body;
use crate::policy::body::RequestConfig;
use crate::policy::build::Kept;
use crate::testing::{Echo, headers, next, request};
use crate::value::Toggle;

mod compliance;
mod properties;

fn policy(request: &RequestConfig, build: &mut Build<'_>) -> TransformBody {
    let request = Toggle::On(request.clone());
    TransformBody::from_blocks(&Blocks(vec![&request]), build).unwrap()
}

/// A `POST` of a JSON body through `request`, as the config has it.
async fn sent(config: &RequestConfig, body: impl Into<bytes::Bytes>) -> Result<String, Error> {
    let mut kept = Kept::default();
    let old = Kept::default();
    let policy = policy(config, &mut Build::new("r".into(), &old, &mut kept));
    let mut request = request("POST", "/");
    request.headers = headers(&[("content-type", "application/json")]);
    request.body = Body::full(body);
    let response = policy.apply(request, next(&Echo)).await?;
    let body = response.body.collect().await.unwrap().to_bytes();
    Ok(String::from_utf8(body.to_vec()).unwrap())
}

fn config(text: &str) -> RequestConfig {
    toml::from_str(text).unwrap()
}

async fn changed(steps: &str, body: &str) -> String {
    match sent(&config(&format!("body = {steps}")), body.to_owned()).await {
        Ok(body) => body,
        Err(error) => error.to_string(),
    }
}

#[tokio::test]
async fn steps_are_taken_in_order() {
    for (steps, body, expected) in [
        ("[{ wrap = \"data\" }]", "[1]", r#"{"data":[1]}"#),
        (
            "[{ wrap = \"a\" }, { wrap = \"b\" }]",
            "1",
            r#"{"b":{"a":1}}"#,
        ),
        (
            "[{ jmespath = \"a.b\" }, { set = { c = 2 } }]",
            r#"{"a":{"b":{"x":1}}}"#,
            r#"{"x":1,"c":2}"#,
        ),
        (
            "[{ rename = { a = \"b\" } }, { remove = [\"b\"] }]",
            r#"{"a":1,"c":2}"#,
            r#"{"c":2}"#,
        ),
        (
            "[{ remove = [\"/a/0\", \"/a/0\", \"/none/x\"] }]",
            r#"{"a":[1,2,3]}"#,
            r#"{"a":[3]}"#,
        ),
        (
            "[{ set = { \"/a/b\" = 1.5, \"/a\" = { c = [true, \"x\"] } } }]",
            "{}",
            r#"{"a":{"c":[true,"x"],"b":1.5}}"#,
        ),
        (
            "[{ template = '{\"n\": {{ body.a }}}' }, { wrap = \"w\" }]",
            r#"{"a":1.10}"#,
            r#"{"w":{"n":1.10}}"#,
        ),
        (
            "[{ set = { a = 1 } }]",
            r#"{"big":123456789012345678901234567890.10,"a":0}"#,
            r#"{"big":123456789012345678901234567890.10,"a":1}"#,
        ),
    ] {
        assert_eq!(changed(steps, body).await, expected, "{steps}");
    }
}

#[tokio::test]
async fn names_change_where_they_stand() {
    for (names, body, expected) in [
        (
            r#"{ a = "b" }"#,
            r#"{"x":1,"a":2,"y":3}"#,
            r#"{"x":1,"b":2,"y":3}"#,
        ),
        (
            r#"{ a = "b", b = "a" }"#,
            r#"{"a":1,"b":2}"#,
            r#"{"b":1,"a":2}"#,
        ),
        (r#"{ a = "b" }"#, r#"{"b":1,"a":2}"#, r#"{"b":2}"#),
        (r#"{ a = "b" }"#, r#"{"b":1}"#, r#"{"b":1}"#),
        (
            r#"{ "/o/a" = "b", o = "p" }"#,
            r#"{"o":{"a":1}}"#,
            r#"{"p":{"b":1}}"#,
        ),
        (
            r#"{ "/o/a" = "/p/b" }"#,
            r#"{"o":{"a":1,"c":2}}"#,
            r#"{"o":{"c":2},"p":{"b":1}}"#,
        ),
        (
            r#"{ a = "/b", b = "/a" }"#,
            r#"{"a":1,"b":2}"#,
            r#"{"a":2,"b":1}"#,
        ),
        (
            r#"{ "/l/9" = "/x", "/l/10" = "/y" }"#,
            r#"{"l":[0,1,2,3,4,5,6,7,8,9,10,11]}"#,
            r#"{"l":[0,1,2,3,4,5,6,7,8,11],"x":9,"y":10}"#,
        ),
        (r#"{ a = "b" }"#, "[1]", "[1]"),
    ] {
        let steps = format!("[{{ rename = {names} }}]");
        assert_eq!(changed(&steps, body).await, expected, "{names}");
    }
}

#[tokio::test]
async fn a_step_that_fails_says_which_and_why() {
    let error = changed("[{ wrap = \"a\" }, { set = { \"/a/b\" = 1 } }]", "7").await;
    assert_eq!(
        error,
        "transform_failed: step 2 (`set`) cannot change the request's body: `/a` has no room for `/a/b`"
    );
    let error = changed("[{ jmespath = \"abs(@)\" }]", "\"x\"").await;
    assert!(
        error.contains("step 1 (`jmespath`)") && error.contains("expected number"),
        "{error}"
    );
}

#[tokio::test]
async fn what_grows_beyond_its_room_is_refused() {
    let config = config("max_body = \"1KiB\"\nbody = [{ jmespath = \"[@,@,@,@,@,@]\" }]");
    let body = serde_json::to_string(&"x".repeat(1000)).unwrap();
    let error = sent(&config, body).await.unwrap_err();
    assert!(error.to_string().contains("transform_failed: "), "{error}");
}

#[tokio::test]
async fn a_large_body_is_changed_elsewhere() {
    let body = serde_json::to_string(&vec![1; 100_000]).unwrap();
    let steps = "[{ jmespath = \"length(@)\" }]";
    assert_eq!(changed(steps, &body).await, "100000");
}

#[test]
fn problems_stand_at_their_steps() {
    let config = config(
        r#"body = [
            { remove = [] },
            { rename = { a = "c", b = "c" } },
            { rename = { a = "/x", "/a/b" = "y" } },
            { rename = { a = "b", "/a" = "c" } },
            { rename = { "/l/0" = "/x", "/l/1/a" = "b" } },
            { set = {} },
        ]"#,
    );
    let mut problems = crate::value::problem::Problems::default();
    step::check(&config.body, &mut problems);
    let mut places: Vec<_> = problems.into_vec().iter().map(|p| p.at.join(" ")).collect();
    places.dedup();
    assert_eq!(
        places,
        [
            "body 0 remove",
            "body 1 rename b",
            "body 2 rename /a/b",
            "body 3 rename a",
            "body 4 rename /l/1/a",
            "body 5 set",
        ]
    );
}

#[tokio::test]
async fn encodings_are_undone_and_headers_made_right() {
    let mut kept = Kept::default();
    let old = Kept::default();
    let config = config("body = [{ wrap = \"a\" }]");
    let policy = policy(&config, &mut Build::new("r".into(), &old, &mut kept));
    let mut request = request("POST", "/");
    request.headers = headers(&[
        ("content-type", "application/json"),
        ("content-encoding", "deflate"),
        ("content-length", "27"),
        ("etag", "\"1\""),
        ("digest", "sha-256=x"),
        ("x-keep", "1"),
    ]);
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut encoder, b"[1]").unwrap();
    request.body = Body::full(encoder.finish().unwrap());
    let response = policy.apply(request, next(&Echo)).await.unwrap();
    let names: Vec<_> = response.headers.iter().map(|(name, _)| name).collect();
    assert_eq!(names, [&b"content-type"[..], b"x-keep"]);
    assert_eq!(
        response.body.collect().await.unwrap().to_bytes(),
        "{\"a\":[1]}"
    );
}
