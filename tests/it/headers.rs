//! Which headers pass, which are removed, which are made.

use crate::support::{Origin, Proxy, Recorded, Script, Setup};

/// The request that arrives upstream when such headers are sent through such a proxy.
fn seen_after(setup: impl FnOnce(Setup) -> Setup, headers: &[(&str, &str)]) -> Recorded {
    let origin = Origin::start();
    let proxy = Proxy::with(&setup(Setup::to(&origin)));
    proxy.client().request("GET", "/", headers, "");
    origin.only_request()
}

fn plain(setup: Setup) -> Setup {
    setup
}

#[test]
fn host_stays_as_the_caller_sent_it() {
    let seen = seen_after(plain, &[("Host", "shop.example:8080")]);
    assert_eq!(seen.head.all("host"), ["shop.example:8080"]);
}

#[test]
fn a_target_with_an_authority_outweighs_host() {
    let origin = Origin::start();
    let proxy = Proxy::with(&Setup::to(&origin));
    proxy.client().request(
        "GET",
        "http://shop.example/a?b",
        &[("Host", "other.example")],
        "",
    );
    let seen = origin.only_request();
    assert_eq!(seen.target(), "/a?b");
    assert_eq!(seen.head.all("host"), ["shop.example"]);
}

#[test]
fn end_to_end_headers_pass_repeated_and_in_order() {
    let headers = [
        ("Accept", "text/html"),
        ("X-Many", "1"),
        ("Cookie", "a=b; c=d"),
        ("X-Many", "2"),
        ("Authorization", "Bearer abc"),
        (
            "traceparent",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ),
        ("tracestate", "vendor=1"),
    ];
    let seen = seen_after(plain, &headers);
    assert_eq!(seen.head.all("x-many"), ["1", "2"]);
    for (name, value) in headers {
        assert!(seen.head.all(name).contains(&value), "{name}");
    }
}

#[test]
fn hop_by_hop_headers_end_here_on_the_way_up() {
    let seen = seen_after(
        plain,
        &[
            ("Connection", "keep-alive, X-Hop"),
            ("Keep-Alive", "timeout=5"),
            ("Proxy-Connection", "keep-alive"),
            ("Proxy-Authorization", "Basic abc"),
            ("X-Hop", "1"),
            ("TE", "gzip, trailers"),
            ("X-End", "1"),
        ],
    );
    for name in ["keep-alive", "proxy-connection", "x-hop"] {
        assert_eq!(seen.header(name), None, "{name}");
    }
    assert!(!seen.head.lists("connection", "x-hop"));
    assert_eq!(seen.header("te"), Some("trailers"));
    assert_eq!(seen.header("x-end"), Some("1"));
}

#[test]
fn hop_by_hop_headers_end_here_on_the_way_back() {
    let origin = Origin::start().on(
        "/",
        Script::new().send(
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: x-hop\r\nx-hop: 1\r\nkeep-alive: timeout=5\r\n\
             set-cookie: a=1\r\nset-cookie: b=2\r\nserver: theirs\r\ndate: Thu, 01 Jan 1970 00:00:00 GMT\r\n\r\n",
        ),
    );
    let proxy = Proxy::with(&Setup::to(&origin));
    let answer = proxy.get("/");
    assert_eq!(answer.header("x-hop"), None);
    assert_eq!(answer.header("keep-alive"), None);
    assert_eq!(answer.head.all("set-cookie"), ["a=1", "b=2"]);
    assert_eq!(answer.head.all("server"), ["theirs"]);
    assert_eq!(answer.head.all("date"), ["Thu, 01 Jan 1970 00:00:00 GMT"]);
}

#[test]
fn framing_and_host_cannot_be_named_hop_by_hop_to_change_the_meaning() {
    let origin = Origin::start();
    let proxy = Proxy::with(&Setup::to(&origin));
    let answer = proxy.client().request(
        "POST",
        "/",
        &[("Connection", "content-length, host")],
        "hello",
    );
    // Either refused, or forwarded whole.
    if answer.status == 200 {
        let seen = origin.only_request();
        assert_eq!(seen.text(), "hello");
        assert_eq!(seen.header("host"), Some("localhost"));
    } else {
        answer.assert_refused(400, "bad_request");
    }
}

#[test]
fn a_request_id_is_kept() {
    let seen = seen_after(plain, &[("X-Request-Id", "mine-1")]);
    assert_eq!(seen.head.all("x-request-id"), ["mine-1"]);
}

#[test]
fn a_request_id_is_made_where_none_came() {
    let seen = seen_after(plain, &[]);
    let id = seen.header("x-request-id").unwrap();
    // UUIDv7, RFC 9562 section 5.7: its version stands at the start of the third group.
    assert_eq!((id.len(), id.as_bytes()[14]), (36, b'7'), "{id}");
}

const CAME: [(&str, &str); 3] = [
    ("X-Forwarded-For", "203.0.113.9"),
    ("X-Forwarded-Proto", "https"),
    ("X-Forwarded-Host", "outside.example"),
];

#[test]
fn a_loopback_listener_leaves_forwarded_headers_as_they_came() {
    let seen = seen_after(plain, &CAME);
    for (name, value) in CAME {
        assert_eq!(seen.head.all(name), [value]);
    }
    let seen = seen_after(plain, &[]);
    for (name, _) in CAME {
        assert_eq!(seen.header(name), None);
    }
}

#[test]
fn forwarded_headers_are_set_and_a_stranger_is_not_believed() {
    let set = |setup: Setup| setup.listener(r#"forwarded_headers = "set""#);
    let seen = seen_after(set, &CAME);
    assert_eq!(seen.head.all("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(seen.head.all("x-forwarded-proto"), ["http"]);
    assert_eq!(seen.head.all("x-forwarded-host"), ["localhost"]);
}

#[test]
fn forwarded_headers_of_a_trusted_proxy_are_continued() {
    let trusting = |setup: Setup| {
        setup
            .listener(r#"forwarded_headers = "set""#)
            .listener(r#"trusted_proxies = ["127.0.0.0/8"]"#)
    };
    let seen = seen_after(trusting, &CAME);
    assert_eq!(seen.head.all("x-forwarded-for"), ["203.0.113.9, 127.0.0.1"]);
    assert_eq!(seen.head.all("x-forwarded-proto"), ["https"]);
    assert_eq!(seen.head.all("x-forwarded-host"), ["outside.example"]);
}

#[test]
fn forwarded_headers_are_removed_where_the_listener_says_so() {
    let removing = |setup: Setup| setup.listener(r#"forwarded_headers = "remove""#);
    let seen = seen_after(removing, &CAME);
    for (name, _) in CAME {
        assert_eq!(seen.header(name), None);
    }
}

#[test]
fn a_client_certificate_that_a_caller_claims_is_removed() {
    let seen = seen_after(
        plain,
        &[("X-Forwarded-Client-Cert", "Hash=1;URI=spiffe://td/admin")],
    );
    assert_eq!(seen.header("x-forwarded-client-cert"), None);
}

#[test]
fn via_is_added_only_where_the_listener_says_so() {
    assert_eq!(seen_after(plain, &[]).header("via"), None);
    let seen = seen_after(|setup| setup.listener("via = true"), &[]);
    assert_eq!(seen.head.all("via"), ["1.1 outrigger"]);
}

#[test]
fn a_route_sets_adds_and_removes_headers_both_ways() {
    let origin = Origin::start().on(
        "/",
        Script::new()
            .send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\nx-secret: 1\r\nx-keep: 1\r\n\r\n"),
    );
    let proxy = Proxy::with(
        &Setup::to(&origin)
            .route(r#"request = { set_headers = { x-set = "${request_id}" }, add_headers = { x-many = "3" }, remove_headers = ["x-gone"] }"#)
            .route(r#"response = { set_headers = { x-route = "${route}" }, remove_headers = ["x-secret"] }"#),
    );
    let headers = [
        ("X-Request-Id", "id-1"),
        ("X-Set", "theirs"),
        ("X-Many", "1"),
        ("X-Gone", "1"),
    ];
    let answer = proxy.client().request("GET", "/", &headers, "");
    let seen = origin.only_request();
    assert_eq!(seen.head.all("x-set"), ["id-1"]);
    assert_eq!(seen.head.all("x-many"), ["1", "3"]);
    assert_eq!(seen.header("x-gone"), None);
    assert_eq!(answer.header("x-route"), Some("all"));
    assert_eq!(answer.header("x-secret"), None);
    assert_eq!(answer.header("x-keep"), Some("1"));
}

#[test]
fn a_header_may_name_the_upstream_that_gets_the_request() {
    let (a, b) = (Origin::start(), Origin::start());
    let address = |origin: &Origin| format!("endpoints = [\"{}\"]", origin.address());
    let proxy = Proxy::start(&format!(
        r#"
        [listeners.main]
        listen = "127.0.0.1:0"
        [upstreams.a]
        {}
        [upstreams.b]
        {}
        [defaults]
        request = {{ set_headers = {{ x-to = "${{upstream}}" }} }}
        response = {{ set_headers = {{ x-from = "${{upstream}}" }} }}
        [routes.one]
        match = {{ path = "/one" }}
        upstream = "a"
        [routes.split]
        split = [{{ upstream = "a", weight = 1 }}, {{ upstream = "b", weight = 1 }}]
        [routes.here]
        match = {{ path = "/here" }}
        respond = {{ headers = {{ x-to = "[${{upstream}}]" }} }}
        "#,
        address(&a),
        address(&b),
    ));
    assert_eq!(proxy.get("/one").header("x-from"), Some("a"));
    assert_eq!(proxy.get("/here").header("x-to"), Some("[]"));
    let mut client = proxy.client();
    for _ in 0..16 {
        let told = client.get("/split");
        let asked = |origin: &Origin, name: &str| {
            let requests = origin.requests();
            assert!(
                requests
                    .iter()
                    .all(|request| request.header("x-to") == Some(name))
            );
            requests.len()
        };
        let (asked_a, asked_b) = (asked(&a, "a"), asked(&b, "b"));
        assert!(
            told.header("x-from")
                .is_some_and(|name| name == "a" || name == "b")
        );
        assert!(asked_a + asked_b >= 2);
    }
}
