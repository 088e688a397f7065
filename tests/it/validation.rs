//! JSON bodies judged by a schema.

use crate::support::{Launch, Origin, Proxy, Script, Setup};

const JSON: (&str, &str) = ("Content-Type", "application/json");
const SCHEMA: &str = r#"{
    "type": "object",
    "required": ["id"],
    "properties": { "id": { "type": "integer" }, "name": { "maxLength": 3 } }
}"#;

/// The route's line with the path of the schema in it, and the folder that holds it.
fn with_schema(line: &str) -> (String, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("schema.json");
    std::fs::write(&path, SCHEMA).unwrap();
    (line.replace("SCHEMA", path.to_str().unwrap()), folder)
}

fn answering(status: &str, body: &str) -> Script {
    Script::new().send(format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    ))
}

#[test]
fn a_request_that_does_not_match_is_refused_with_every_violation() {
    let origin = Origin::start();
    let (line, _folder) = with_schema(r#"request.validate = { schema = "SCHEMA" }"#);
    let proxy = Proxy::with(&Setup::to(&origin).route(line));
    let post = |body: &str| proxy.client().request("POST", "/", &[JSON], body);
    let refused = post(r#"{"id":"x","name":"anna"}"#);
    refused.assert_refused(400, "invalid_body");
    let detail = refused.json()["detail"].as_str().unwrap().to_owned();
    for part in [r#"`/id`: "x" is not of type "integer""#, "`/name`: "] {
        assert!(detail.contains(part), "{detail}");
    }
    let violations = refused.json()["violations"].clone();
    let pointers: Vec<_> = violations.as_array().unwrap().iter().collect();
    let pointers: Vec<_> = pointers
        .iter()
        .map(|v| v["pointer"].as_str().unwrap())
        .collect();
    assert_eq!(pointers, ["/id", "/name"]);
    assert_eq!(violations[0]["detail"], r#""x" is not of type "integer""#);
    let missing = post("{}");
    missing.assert_refused(400, "invalid_body");
    assert_eq!(missing.json()["violations"][0]["pointer"], "");
    post("").assert_refused(400, "invalid_body");
    assert!(origin.requests().is_empty());

    let spaced = "{ \"id\" : 1.0 }\n";
    assert_eq!(post(spaced).status, 200);
    assert_eq!(
        origin.only_request().text(),
        spaced,
        "a body that matches passes byte for byte"
    );
}

#[test]
fn a_body_that_does_not_call_itself_json_does_not_pass_the_schema() {
    let origin = Origin::start();
    let (line, _folder) = with_schema(r#"request.validate = { schema = "SCHEMA" }"#);
    let proxy = Proxy::with(&Setup::to(&origin).route(line));
    for headers in [
        &[][..],
        &[("Content-Type", "text/plain")],
        &[("Content-Type", "application/x-www-form-urlencoded")],
    ] {
        let refused = proxy
            .client()
            .request("POST", "/", headers, "{\"id\":\"x\"}");
        refused.assert_refused(400, "invalid_body");
        assert!(
            refused.text().contains("content type"),
            "{}",
            refused.text()
        );
    }
    assert!(origin.requests().is_empty());

    let (line, _folder) =
        with_schema(r#"request = { validate = { schema = "SCHEMA" }, require_json = false }"#);
    let proxy = Proxy::with(&Setup::to(&origin).route(line));
    let text = ("Content-Type", "text/plain");
    assert_eq!(
        proxy.client().request("POST", "/", &[text], "x").status,
        200
    );
}

#[test]
fn what_is_judged_is_the_body_before_the_steps() {
    let origin = Origin::start();
    let (line, _folder) = with_schema(
        r#"request = { validate = { schema = "SCHEMA" }, body = [{ jmespath = "id" }] }"#,
    );
    let proxy = Proxy::with(&Setup::to(&origin).route(line));
    let answer = proxy.client().request("POST", "/", &[JSON], r#"{"id":7}"#);
    assert_eq!(answer.status, 200);
    assert_eq!(origin.only_request().text(), "7");
}

#[test]
fn an_answer_that_does_not_match_is_kept_back_without_its_values() {
    let origin = Origin::start()
        .on("/bad", answering("200 OK", r#"{"id":"hidden"}"#))
        .on("/good", answering("200 OK", r#"{"id":1}"#))
        .on("/error", answering("404 Not Found", r#"{"error":"none"}"#));
    let (line, _folder) = with_schema(r#"response.validate = { schema = "SCHEMA" }"#);
    let proxy = Proxy::with(&Setup::to(&origin).route(line));
    let refused = proxy.get("/bad");
    refused.assert_refused(502, "invalid_upstream_body");
    assert!(
        refused.text().contains("/id") && !refused.text().contains("hidden"),
        "{}",
        refused.text()
    );
    assert_eq!(proxy.get("/good").text(), r#"{"id":1}"#);
    assert_eq!(
        proxy.get("/error").status,
        404,
        "only successes have the promised shape"
    );
}

#[test]
fn a_schema_that_changes_is_read_again() {
    let origin = Origin::start();
    let text = Setup::to(&origin)
        .route(r#"request.validate = { schema = "order.json" }"#)
        .toml();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("order.json");
    std::fs::write(&path, "true").unwrap();
    let text = text.replace("order.json", path.to_str().unwrap());
    let proxy = Launch::new(text).start();
    let status = || proxy.client().request("POST", "/", &[JSON], "1").status;
    assert_eq!(status(), 200);
    let generation = proxy.generation();
    std::fs::write(&path, SCHEMA).unwrap();
    crate::support::eventually(crate::support::SOON, "the new schema serves", || {
        proxy.generation() > generation
    });
    assert_eq!(status(), 400);
    std::fs::write(&path, r#"{ "type": 7 }"#).unwrap();
    crate::support::eventually(crate::support::SOON, "the wrong schema is refused", || {
        proxy.last_error().contains("is no JSON Schema")
    });
    assert_eq!(status(), 400, "the schema before it serves on");
}
