//! Every answer in one shape.

use serde_json::{Value, json};

use crate::support::{Launch, Origin, Proxy, Refusing, Script, Setup};

fn answer(status: &str, kind: &str, body: &[u8]) -> Script {
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nset-cookie: s=1\r\nx-a: 1\r\nx-a: 2\r\n\r\n",
        body.len()
    );
    Script::new().send([head.as_bytes(), body].concat())
}

#[test]
fn json_text_and_bytes_are_put_into_the_envelope() {
    let origin = Origin::start()
        .on(
            "/json",
            answer("201 Created", "application/json", br#"{"z":1.10,"a":[]}"#),
        )
        .on("/text", answer("200 OK", "text/plain", "héllo".as_bytes()))
        .on("/bytes", answer("200 OK", "image/png", b"\x89PNG"))
        .on("/empty", answer("200 OK", "text/plain", b""));
    let proxy = Proxy::with(&Setup::to(&origin).route("response.envelope = true"));
    let created = proxy
        .client()
        .request("GET", "/json", &[("X-Request-Id", "id-1")], "");
    assert_eq!(created.status, 201);
    assert_eq!(created.header("content-type"), Some("application/json"));
    assert_eq!(created.header("set-cookie"), Some("s=1"));
    assert!(
        created.text().contains(r#""data":{"z":1.10,"a":[]}"#),
        "{}",
        created.text()
    );
    let envelope = created.json();
    assert_eq!(envelope["success"], true);
    assert_eq!(envelope["status_code"], 201);
    assert_eq!(envelope["errors"], json!([]));
    assert_eq!(
        envelope["headers"],
        json!({ "content-type": "application/json", "x-a": "1, 2" })
    );
    assert!(
        envelope["execution_time"]
            .as_f64()
            .is_some_and(|seconds| seconds > 0.0)
    );
    assert_eq!(envelope["metadata"]["route"], "all");
    assert_eq!(envelope["metadata"]["request_id"], "id-1");
    let timestamp = envelope["metadata"]["timestamp"].as_str().unwrap();
    assert!(humantime::parse_rfc3339(timestamp).is_ok(), "{timestamp}");
    assert_eq!(proxy.get("/text").json()["data"], "héllo");
    assert_eq!(proxy.get("/bytes").json()["data"], "iVBORw==");
    assert_eq!(proxy.get("/empty").json()["data"], Value::Null);
}

#[test]
fn steps_come_before_the_envelope() {
    let origin = Origin::start().on("/", answer("200 OK", "application/json", br#"{"a":1}"#));
    let setup =
        Setup::to(&origin).route(r#"response = { envelope = true, body = [{ jmespath = "a" }] }"#);
    assert_eq!(Proxy::with(&setup).get("/").json()["data"], 1);
}

#[test]
fn errors_of_the_upstream_are_told_and_keep_their_body() {
    let problem = br#"{"type":"about:blank","title":"Gone","status":410}"#;
    let origin = Origin::start()
        .on(
            "/problem",
            answer("410 Gone", "application/problem+json", problem),
        )
        .on(
            "/plain",
            answer("500 Internal Server Error", "text/plain", b"oops"),
        );
    let proxy = Proxy::with(&Setup::to(&origin).route("response.envelope = true"));
    let gone = proxy.get("/problem");
    assert_eq!((gone.status, &gone.json()["success"]), (410, &json!(false)));
    assert_eq!(gone.json()["errors"][0]["title"], "Gone");
    let oops = proxy.get("/plain").json();
    assert_eq!(oops["data"], "oops");
    assert_eq!(
        oops["errors"],
        json!([{ "status": 500, "title": "Internal Server Error" }])
    );
}

#[test]
fn what_the_proxy_refuses_is_put_into_the_envelope_too() {
    let refusing = Refusing::bind();
    let setup = Setup::to_address(refusing.address())
        .route("response.envelope = true")
        .also("[routes.closed]\nmatch.path = \"/closed\"\nupstream = \"origin\"\nresponse.envelope = true\n\
               authorize.cidrs = [\"10.0.0.0/8\"]");
    let proxy = Proxy::with(&setup);
    for (path, status, reason) in [("/", 502, "connect_failed"), ("/closed", 403, "forbidden")] {
        let answer = proxy.get(path);
        assert_eq!((answer.status, answer.reason()), (status, Some(reason)));
        assert_eq!(answer.header("content-type"), Some("application/json"));
        let envelope = answer.json();
        assert_eq!(envelope["success"], false);
        assert_eq!(envelope["data"], Value::Null);
        assert_eq!(envelope["status_code"], status);
        assert_eq!(envelope["errors"][0]["reason"], reason);
    }
}

#[test]
fn no_envelope_is_put_around_nothing_or_a_stream() {
    let origin = Origin::start()
        .on(
            "/204",
            Script::new().send("HTTP/1.1 204 No Content\r\n\r\n"),
        )
        .on(
            "/events",
            answer("200 OK", "text/event-stream", b"data: 1\n\n"),
        );
    let proxy = Proxy::with(&Setup::to(&origin).route("response.envelope = true"));
    let mut client = proxy.client();
    assert_eq!(client.get("/204").text(), "");
    assert_eq!(client.get("/events").text(), "data: 1\n\n");
    assert_eq!(client.request("HEAD", "/204", &[], "").status, 204);
}

#[test]
fn a_reload_puts_it_around_and_takes_it_off() {
    let origin = Origin::start().on("/", answer("200 OK", "application/json", b"[1]"));
    let with = |policy: &str| Setup::to(&origin).route(policy).toml();
    let mut proxy = Launch::new(with("")).start();
    assert_eq!(proxy.get("/").text(), "[1]");
    proxy.reload_with(with("response.envelope = true"));
    assert_eq!(proxy.get("/").json()["data"], json!([1]));
    let error = proxy.reload_refused(with("response.envelope = \"yes\""));
    assert!(error.contains("envelope"), "{error}");
    assert_eq!(proxy.get("/").json()["data"], json!([1]));
    proxy.reload_with(with("response.envelope = false"));
    assert_eq!(proxy.get("/").text(), "[1]");
}
