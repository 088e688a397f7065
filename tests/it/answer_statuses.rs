//! Steps for answers are for successes, unless the config widens that.

use crate::support::{Origin, Proxy, Script, Setup};

const ERROR: &str = r#"{"error":"none","secret":1}"#;

fn answering(status: &str, body: &str) -> Script {
    Script::new().send(format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    ))
}

fn origin() -> Origin {
    Origin::start()
        .on("/200", answering("200 OK", r#"{"data":{"items":[1]},"secret":1}"#))
        .on("/201", answering("201 Created", r#"{"data":{"items":[2]}}"#))
        .on("/302", answering("302 Found", ERROR))
        .on("/404", answering("404 Not Found", ERROR))
        .on("/500", answering("500 Internal Server Error", ERROR))
        .on("/html", Script::new().send(
            "HTTP/1.1 503 Service Unavailable\r\ncontent-type: text/html\r\nretry-after: 7\r\ncontent-length: 4\r\n\r\n<p>x",
        ))
        .on("/broken", answering("500 Internal Server Error", "{not json"))
}

#[test]
fn an_error_is_not_taken_for_the_document_that_a_step_expects() {
    let origin = origin();
    for step in [
        r#"{ jmespath = "data.items" }"#,
        r#"{ template = '{"n": {{ body.data }}}' }"#,
        r#"{ set = { x = 1 } }"#,
        r#"{ wrap = "w" }"#,
    ] {
        let route = format!("response.body = [{step}]");
        let proxy = Proxy::with(&Setup::to(&origin).route(route));
        for path in ["/302", "/404", "/500"] {
            let answer = proxy.get(path);
            assert_eq!(answer.status.to_string(), path[1..], "{step}");
            assert_eq!(answer.text(), ERROR, "{step}");
        }
        assert_ne!(proxy.get("/200").text(), proxy.get("/201").text());
        assert_eq!(proxy.get("/broken").text(), "{not json");
    }
}

#[test]
fn on_status_says_which_answers_are_changed() {
    let origin = origin();
    for (on_status, changed) in [
        (r#""any""#, &["/200", "/302", "/404", "/500"][..]),
        (r#"["2xx", "404"]"#, &["/200", "/404"]),
        (r#""5xx""#, &["/500"]),
    ] {
        let route = format!(
            r#"response = {{ on_status = {on_status}, body = [{{ remove = ["secret"] }}] }}"#
        );
        let proxy = Proxy::with(&Setup::to(&origin).route(route));
        for path in ["/200", "/302", "/404", "/500"] {
            let has_secret = proxy.get(path).text().contains("secret");
            assert_eq!(has_secret, !changed.contains(&path), "{on_status} {path}");
        }
    }
}

#[test]
fn an_envelope_is_around_every_answer_and_its_errors_stay_as_they_are() {
    let route = r#"response = { envelope = true, body = [{ jmespath = "data.items" }] }"#;
    let origin = origin();
    let proxy = Proxy::with(&Setup::to(&origin).route(route));
    assert_eq!(proxy.get("/200").json()["data"].to_string(), "[1]");
    let error = proxy.get("/404");
    assert_eq!(error.status, 404);
    assert_eq!(error.json()["data"]["error"], "none");
    let broken = proxy.get("/broken");
    assert_eq!(broken.status, 500);
    assert_eq!(broken.json()["data"], "{not json");
    assert_eq!(proxy.get("/html").json()["data"], "<p>x");
}

#[test]
fn an_error_of_another_type_is_no_breach_of_a_schema_s_promise() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("schema.json");
    std::fs::write(&path, "{}").unwrap();
    let origin = origin().on(
        "/text",
        Script::new().send("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx"),
    );
    let validate = format!("response.validate = {{ schema = {path:?} }}");
    let proxy = Proxy::with(&Setup::to(&origin).route(validate));
    let error = proxy.get("/html");
    assert_eq!(
        (error.status, error.header("retry-after")),
        (503, Some("7"))
    );
    proxy
        .get("/text")
        .assert_refused(502, "invalid_upstream_body");
}
