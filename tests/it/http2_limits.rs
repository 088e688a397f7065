//! What one HTTP/2 stream must not do to its caller, its siblings or the proxy.

use crate::support::frames::FrameClient;
use crate::support::{
    H2Client, H2Origin, LARGE, Launch, Origin, Proxy, SOON, Setup, eventually, stays,
};

const RESPOND: &str = r#"
[routes.here]
match = { path = "/here" }
respond = { status = 200, body = "hello" }
"#;

#[test]
fn a_head_request_that_the_proxy_answers_itself_gets_no_body() {
    let origin = Origin::start();
    let setup = Setup::to(&origin).route(r#"match = { path = "/origin" }"#);
    let proxy = Proxy::with(&setup.also(RESPOND));
    for (path, status) in [("/here", 200), ("/nowhere", 404)] {
        let client = H2Client::connect(proxy.address());
        let get = client.get(path);
        let head = client.request("HEAD", path, &[], "");
        assert_eq!((get.status, head.status), (status, status), "{path}");
        assert_eq!(head.header("content-length"), get.header("content-length"));
        assert!(head.body.is_empty() && !get.body.is_empty(), "{path}");
        let over_http1 = proxy.client().request("HEAD", path, &[], "");
        assert_eq!(over_http1.status, status, "{path}");
        assert_eq!(
            over_http1.header("content-length"),
            get.header("content-length")
        );
    }
    let answered = [("route", "here"), ("code", "200")];
    eventually(SOON, "all are counted", || {
        proxy.metrics().sum("outrigger_requests_total", &answered) == 3.0
    });
    assert_eq!(
        proxy.metrics().sum("outrigger_callers_gone_total", &[]),
        0.0
    );
}

#[test]
fn too_many_header_fields_are_refused() {
    let origin = Origin::start();
    let proxy = Proxy::with(&Setup::to(&origin).listener("max_headers = 5"));
    let client = H2Client::connect(proxy.address());
    let fields = [("x-a", "1"); 6];
    let answer = client.request("GET", "/", &fields, "");
    assert_eq!(
        (answer.status, answer.header("outrigger-reason")),
        (431, Some("headers_too_large"))
    );
    assert_eq!(client.request("GET", "/", &fields[..5], "").status, 200);
    assert_eq!(origin.requests().len(), 1);
}

#[test]
fn a_body_that_stops_arriving_is_given_up_unless_its_answer_has_begun() {
    let origin = H2Origin::start();
    let proxy = Proxy::with(
        &Setup::to_address(origin.address())
            .upstream(r#"protocol = "http2""#)
            .listener(r#"body_timeout = "150ms""#),
    );
    let client = H2Client::connect(proxy.address());
    let stalled = client.open("POST", "/stall", &[]);
    // The origin echoes: its answer has begun when the first piece comes back.
    let mut listening = client.open("POST", "/", &[]);
    listening.send("one");
    assert_eq!(listening.next().as_deref(), Some("one"));
    let grpc = [("content-type", "application/grpc"), ("te", "trailers")];
    let call = client.open("POST", "/stall", &grpc);
    let answer = stalled.answer();
    assert_eq!(
        (answer.status, answer.header("outrigger-reason")),
        (408, Some("request_timeout"))
    );
    listening.send("two");
    assert_eq!(listening.next().as_deref(), Some("two"));
    assert_eq!(listening.ended().answer().status, 200);
    let open = || origin.open_streams() == 1;
    stays(3 * SOON / 100, "the gRPC call goes on", open);
    drop(call);
}

/// Callers who take nothing hold what the upstream sent for them, which must not be all that it may send.
#[test]
fn callers_that_read_nothing_do_not_stall_others_upstream() {
    let origin = H2Origin::start();
    let setup = Setup::to_address(origin.address()).upstream(r#"protocol = "http2""#);
    let proxy = Launch::new(setup.toml()).one_worker().start();
    let mut idle = FrameClient::connect(proxy.address());
    for _ in 0..20 {
        idle.get("/large");
    }
    eventually(SOON, "the requests arrive", || {
        origin.requests().len() == 20
    });
    let client = H2Client::connect(proxy.address());
    for _ in 0..10 {
        assert_eq!(client.get("/large").body.len(), LARGE);
    }
    assert_eq!(origin.connections(), 1);
}
