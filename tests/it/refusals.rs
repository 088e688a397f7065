//! Answers that the proxy makes itself.

use crate::support::{Origin, Proxy, Refusing, Script, Setup};

#[test]
fn a_refusal_is_a_problem_document_that_names_its_reason() {
    let origin = Origin::start();
    let proxy = Proxy::with(&Setup::to(&origin).route(r#"match = { path = "/only" }"#));
    let answer = proxy
        .client()
        .request("GET", "/other", &[("X-Request-Id", "id-1")], "");
    answer.assert_refused(404, "no_route");
    assert_eq!(
        answer.header("content-type"),
        Some("application/problem+json")
    );
    let problem = answer.json();
    assert_eq!(problem["type"], "about:blank");
    assert_eq!(problem["title"], "Not Found");
    assert_eq!(problem["status"], 404);
    assert_eq!(problem["reason"], "no_route");
    assert_eq!(problem["request_id"], "id-1");
    assert!(
        problem["detail"]
            .as_str()
            .is_some_and(|detail| !detail.is_empty())
    );
}

#[test]
fn a_failure_names_its_route_and_not_an_address() {
    let refusing = Refusing::bind();
    let address = refusing.address();
    let proxy = Proxy::with(&Setup::to_address(address));
    let answer = proxy.get("/");
    answer.assert_refused(502, "connect_failed");
    assert_eq!(answer.json()["route"], "all");
    assert_eq!(answer.json()["title"], "Bad Gateway");
    assert!(
        !answer.text().contains(&address.port().to_string()),
        "{}",
        answer.text()
    );
    assert!(!answer.text().contains("127.0.0.1"), "{}", answer.text());
}

#[test]
fn a_refusal_of_head_has_no_body_and_leaves_the_connection_usable() {
    let origin = Origin::start();
    let proxy = Proxy::with(&Setup::to(&origin).route(r#"match = { path = "/only" }"#));
    let mut client = proxy.client();
    client
        .request("HEAD", "/other", &[], "")
        .assert_refused(404, "no_route");
    assert_eq!(client.get("/only").status, 200);
}

#[test]
fn a_refusal_reads_the_body_that_it_does_not_want() {
    let origin = Origin::start();
    let proxy = Proxy::with(&Setup::to(&origin).route(r#"match = { path = "/only" }"#));
    let mut client = proxy.client();
    client
        .request("POST", "/other", &[], "a small body")
        .assert_refused(404, "no_route");
    assert_eq!(client.get("/only").status, 200);
}

#[test]
fn a_refusal_reaches_a_caller_that_is_still_sending() {
    let origin = Origin::start();
    let proxy = Proxy::with(&Setup::to(&origin).route(r#"match = { path = "/only" }"#));
    let mut client = proxy.client();
    let body = vec![b'x'; 256 << 10];
    client.send(format!(
        "POST /other HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n",
        100 << 20
    ));
    client.send(body);
    client.read_answer().assert_refused(404, "no_route");
}

#[test]
fn callers_outside_the_allowed_networks_are_forbidden() {
    let origin = Origin::start();
    let proxy = Proxy::with(&Setup::to(&origin).route(r#"authorize = { cidrs = ["10.0.0.0/8"] }"#));
    proxy.get("/").assert_refused(403, "forbidden");
    assert_eq!(origin.connections(), 0);
    let proxy =
        Proxy::with(&Setup::to(&origin).route(r#"authorize = { cidrs = ["127.0.0.0/8"] }"#));
    assert_eq!(proxy.get("/").status, 200);
}

#[test]
fn refusals_are_counted_by_their_reason() {
    let origin = Origin::start().on("/reset", Script::new().reset());
    let proxy = Proxy::with(&Setup::to(&origin).route("retry = false"));
    proxy.get("/reset").assert_refused(502, "upstream_reset");
    let labels = [("route", "all"), ("reason", "upstream_reset")];
    assert_eq!(proxy.metrics().sum("outrigger_refused_total", &labels), 1.0);
}
