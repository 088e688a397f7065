//! Browsers of other origins: preflights are answered here, and answers say who may read them.

use crate::support::{Launch, Origin, Proxy, Response, Script, Setup};

const PAGE: &str = "https://app.example";

fn preflight(proxy: &Proxy, target: &str, origin: &str, method: &str, names: &str) -> Response {
    let mut headers = vec![
        ("Origin", origin),
        ("Access-Control-Request-Method", method),
    ];
    if !names.is_empty() {
        headers.push(("Access-Control-Request-Headers", names));
    }
    proxy.client().request("OPTIONS", target, &headers, "")
}

fn cors(setup: Setup) -> Setup {
    setup.route(r#"cors = { allow_origins = ["https://app.example"], allow_credentials = true }"#)
}

#[test]
fn a_preflight_is_answered_without_the_upstream() {
    let origin = Origin::start();
    let proxy = Proxy::with(&cors(Setup::to(&origin)));
    let answer = preflight(&proxy, "/a", PAGE, "DELETE", "x-token");
    assert_eq!(answer.status, 204);
    for (name, value) in [
        ("access-control-allow-origin", PAGE),
        ("access-control-allow-credentials", "true"),
        ("access-control-allow-methods", "DELETE"),
        ("access-control-allow-headers", "x-token"),
        ("access-control-max-age", "600"),
    ] {
        assert_eq!(answer.head.all(name), [value], "{name}");
    }
    let stranger = preflight(&proxy, "/a", "https://evil.example", "DELETE", "");
    stranger.assert_refused(403, "forbidden");
    assert_eq!(stranger.header("access-control-allow-origin"), None);
    assert_eq!(origin.requests().len(), 0);
}

#[test]
fn the_upstream_s_headers_are_replaced_and_caches_are_told() {
    let origin = Origin::start().on(
        "/a",
        Script::new().send(
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\naccess-control-allow-origin: *\r\nvary: accept\r\n\r\n",
        ),
    );
    let proxy = Proxy::with(&cors(Setup::to(&origin)));
    for (page, told) in [(PAGE, vec![PAGE]), ("https://evil.example", vec![])] {
        let answer = proxy.client().request("GET", "/a", &[("Origin", page)], "");
        assert_eq!(answer.status, 200);
        assert_eq!(answer.head.all("access-control-allow-origin"), told);
        assert_eq!(answer.head.all("vary"), ["accept", "origin"]);
    }
}

#[test]
fn a_page_may_read_a_refusal() {
    let origin = Origin::start();
    let proxy =
        Proxy::with(&cors(Setup::to(&origin)).route(r#"authorize = { cidrs = ["10.0.0.0/8"] }"#));
    let answer = proxy.client().request("GET", "/", &[("Origin", PAGE)], "");
    answer.assert_refused(403, "forbidden");
    assert_eq!(answer.head.all("access-control-allow-origin"), [PAGE]);
    assert_eq!(answer.head.all("vary"), ["origin"]);
    // The preflight tells nothing that is worth hiding: a browser sends it without credentials.
    assert_eq!(preflight(&proxy, "/", PAGE, "GET", "").status, 204);
}

#[test]
fn a_preflight_takes_the_route_of_the_request_that_it_announces() {
    let origin = Origin::start();
    let upstream = format!("endpoints = [\"{}\"]", origin.address());
    let proxy = Proxy::start(&format!(
        r#"
        [listeners.main]
        listen = "127.0.0.1:0"
        [upstreams.origin]
        {upstream}
        [routes.read]
        match = {{ path = "/orders", methods = ["GET"] }}
        upstream = "origin"
        cors = {{ allow_origins = ["https://read.example"] }}
        [routes.write]
        match = {{ path = "/orders", methods = ["POST"], headers = {{ x-tenant = "acme" }} }}
        upstream = "origin"
        cors = {{ allow_origins = ["https://write.example"] }}
        [routes.theirs]
        match = {{ path = "/theirs" }}
        upstream = "origin"
        "#
    ));
    let told = |target, page, method, names| {
        let answer = preflight(&proxy, target, page, method, names);
        answer
            .header("access-control-allow-origin")
            .map(str::to_owned)
    };
    let (read, write) = ("https://read.example", "https://write.example");
    assert_eq!(told("/orders", read, "GET", "").as_deref(), Some(read));
    assert_eq!(told("/orders", write, "GET", ""), None);
    assert_eq!(
        told("/orders", write, "POST", "x-tenant").as_deref(),
        Some(write)
    );
    // Without the header, the request itself would meet no route.
    let lost = preflight(&proxy, "/orders", write, "POST", "");
    lost.assert_refused(405, "method_not_allowed");
    assert_eq!(origin.requests().len(), 0);
    // A route without `cors` leaves it to the application.
    assert_eq!(preflight(&proxy, "/theirs", read, "GET", "").status, 200);
    assert_eq!(origin.only_request().method(), "OPTIONS");
}

#[test]
fn a_reload_applies_at_once() {
    let origin = Origin::start();
    let mut proxy = Proxy::with(&cors(Setup::to(&origin)));
    assert_eq!(preflight(&proxy, "/", PAGE, "GET", "").status, 204);
    proxy.reload_with(
        Setup::to(&origin)
            .route(r#"cors = { allow_origins = ["https://*.other.example"] }"#)
            .toml(),
    );
    assert_eq!(preflight(&proxy, "/", PAGE, "GET", "").status, 403);
    let page = "https://x.other.example";
    assert_eq!(preflight(&proxy, "/", page, "GET", "").status, 204);
}

#[test]
fn everybody_with_credentials_is_an_error_at_its_place() {
    let text = "[listeners.main]\nlisten = \"127.0.0.1:0\"\n[routes.all]\nrespond = {}\n\
                cors = { allow_origins = [\"*\"], allow_credentials = true }\n";
    let exited = Launch::new(text).try_start().map(|_| ()).unwrap_err();
    assert_eq!(exited.code, Some(2));
    assert!(
        exited.output.contains("main.toml:5:27"),
        "{}",
        exited.output
    );
    assert!(
        exited.output.contains("any page on the web"),
        "{}",
        exited.output
    );
}
