//! TRACE and OPTIONS: who answers them, and what they must not show.

use crate::support::{H2Client, Origin, Proxy, Setup};

const SECRET: &str = r#"credentials = { bearer = { value = "hush" } }"#;

#[test]
fn trace_is_refused_where_no_route_names_it() {
    let origin = Origin::start();
    let proxy = Proxy::with(&Setup::to(&origin).route(SECRET));
    let answer = proxy.client().request("TRACE", "/", &[], "");
    answer.assert_refused(405, "method_not_allowed");
    assert_eq!(
        answer.header("allow"),
        Some("DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT")
    );
    let answer = H2Client::connect(proxy.address()).request("TRACE", "/", &[], "");
    assert_eq!(answer.status, 405);
    assert_eq!(origin.connections(), 0);
}

#[test]
fn trace_carries_no_secret_to_a_route_that_names_it() {
    let origin = Origin::start();
    for credential in [
        SECRET,
        r#"credentials = { basic = { username = "u", password = { value = "hush" } } }"#,
        r#"credentials = { api_key = { header = "x-key", value = { value = "hush" } } }"#,
        "[routes.all.credentials.oauth2]\ntoken_url = \"http://127.0.0.1:1/\"\nclient_id = \"c\"\n\
         client_secret = { value = \"hush\" }",
    ] {
        let setup = Setup::to(&origin).route("match = { methods = [\"TRACE\"] }");
        let proxy = Proxy::with(&setup.route(credential));
        let theirs = [
            ("Authorization", "Bearer theirs"),
            ("Cookie", "a=theirs"),
            ("Proxy-Authorization", "Basic theirs"),
            ("X-Key", "theirs"),
            ("X-Other", "stays"),
        ];
        let answer = proxy.client().request("TRACE", "/", &theirs, "");
        assert_eq!(answer.status, 200, "{credential}");
        let seen = origin.requests().pop().unwrap();
        assert_eq!(seen.method(), "TRACE");
        for name in ["authorization", "cookie", "proxy-authorization"] {
            assert_eq!(seen.header(name), None, "{credential}");
        }
        let kept = !credential.contains("x-key");
        assert_eq!(seen.header("x-key"), kept.then_some("theirs"));
        assert_eq!(seen.header("x-other"), Some("stays"));
    }
}

#[test]
fn max_forwards_is_counted_down_and_ends_at_nothing() {
    let origin = Origin::start();
    let setup = Setup::to(&origin)
        .route("match = { methods = [\"TRACE\", \"OPTIONS\", \"GET\"] }")
        .route("retry = {}");
    let proxy = Proxy::with(&setup.route(SECRET));
    let ask = |method: &str, left: &str| {
        let fields = [("Max-Forwards", left), ("Cookie", "theirs")];
        proxy.client().request(method, "/a", &fields, "")
    };
    for method in ["TRACE", "OPTIONS"] {
        assert_eq!(ask(method, "5").status, 200);
        let seen = origin.requests().pop().unwrap();
        assert_eq!(seen.header("max-forwards"), Some("4"), "{method}");
    }
    // Others do not have it, and what is no number says nothing.
    for (method, left) in [("GET", "0"), ("OPTIONS", "many"), ("OPTIONS", "-1")] {
        assert_eq!(ask(method, left).status, 200);
        let seen = origin.requests().pop().unwrap();
        assert_eq!(seen.header("max-forwards"), Some(left), "{method}");
    }
    let before = origin.requests().len();
    let options = ask("OPTIONS", "0");
    assert_eq!((options.status, options.text()), (204, String::new()));
    assert_eq!(options.header("allow"), Some("GET, HEAD, OPTIONS, TRACE"));
    let trace = ask("TRACE", "0");
    assert_eq!(trace.header("content-type"), Some("message/http"));
    assert!(trace.text().starts_with("TRACE /a HTTP/1.1\r\n"));
    assert!(trace.text().contains("\r\nMax-Forwards: 0\r\n"));
    assert!(!trace.text().contains("theirs") && !trace.text().contains("hush"));
    let client = H2Client::connect(proxy.address());
    let answer = client.request("OPTIONS", "/a", &[("max-forwards", "0")], "");
    assert_eq!(
        (answer.status, answer.header("allow").is_some()),
        (204, true)
    );
    assert_eq!(origin.requests().len(), before);
}

#[test]
fn whoever_may_not_call_learns_nothing_by_max_forwards() {
    let origin = Origin::start();
    let setup = Setup::to(&origin).route("authorize = { cidrs = [\"192.0.2.0/24\"] }");
    let proxy = Proxy::with(&setup);
    let last = [("Max-Forwards", "0")];
    let answer = proxy.client().request("OPTIONS", "/", &last, "");
    answer.assert_refused(403, "forbidden");
}
