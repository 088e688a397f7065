//! Calls of gRPC: what their callers are told in, and how they are counted.

use crate::support::{H2Client, H2Origin, Origin, Proxy, SOON, Script, Setup, eventually};

const CALL: (&str, &str) = ("content-type", "application/grpc");
const RESPONSES: &str = "outrigger_grpc_responses_total";
const LOGGED: &str = "[log]\naccess_log = true\n";

fn to_h2(origin: &H2Origin) -> Setup {
    Setup::to_address(origin.address()).upstream(r#"protocol = "http2""#)
}

#[test]
fn a_call_that_is_refused_before_its_route_is_known_gets_a_status() {
    let origin = H2Origin::start();
    let setup = to_h2(&origin)
        .listener("max_headers = 5\nmax_header_bytes = \"4KiB\"")
        .route(r#"match = { path = "/a.B/{method}", methods = ["PUT"] }"#);
    let proxy = Proxy::with(&setup.also(LOGGED));
    let many = [("x-a", "1"); 6];
    let long = "y".repeat(5000);
    // Metadata stands before what says that it is a call, as some libraries have it.
    let too_many = [&many[..], &[CALL]].concat();
    for (path, fields, status, reason) in [
        ("/a.B/C", &too_many[..], "8", "headers_too_large"),
        (
            "/a.B/C",
            &[("x-long", &*long), CALL],
            "8",
            "headers_too_large",
        ),
        ("/a.B/C", &[CALL], "12", "method_not_allowed"),
        ("/none", &[CALL], "12", "no_route"),
        ("/a.B/%2F", &[CALL], "3", "bad_path"),
        (
            "/a.B/C",
            &[CALL, ("content_length", "1")],
            "3",
            "bad_request",
        ),
    ] {
        let answer = H2Client::connect(proxy.address()).request("POST", path, fields, "");
        assert_eq!(answer.header("outrigger-reason"), Some(reason), "{path}");
        assert_eq!(answer.status, 200, "{reason}");
        assert_eq!(answer.header("grpc-status"), Some(status), "{reason}");
        assert_eq!(answer.header("content-type"), Some(CALL.1), "{reason}");
        assert!(answer.header("grpc-message").is_some(), "{reason}");
        let request_id = answer.header("x-request-id").unwrap().to_owned();
        eventually(SOON, "its line is written", || {
            proxy.stdout().contains(&request_id)
        });
        assert!(answer.body.is_empty(), "{reason}");
    }
    eventually(SOON, "all are counted", || {
        proxy.metrics().sum(RESPONSES, &[("upstream", "")]) == 6.0
    });
    let exhausted = [("grpc_status", "RESOURCE_EXHAUSTED")];
    assert_eq!(proxy.metrics().sum(RESPONSES, &exhausted), 2.0);
    assert!(proxy.stdout().contains("\"rpc.grpc.status_code\":8"));
    assert!(origin.requests().is_empty());
}

#[test]
fn calls_are_counted_and_logged_by_their_status() {
    let origin = H2Origin::start();
    let proxy = Proxy::with(&to_h2(&origin).route("retry = false").also(LOGGED));
    let client = H2Client::connect(proxy.address());
    for path in ["/good", "/good", "/unavailable"] {
        client.request("POST", path, &[CALL], "message");
    }
    let mut cut = client.open("POST", "/cut", &[CALL]);
    cut.send("message");
    assert!(cut.ended().try_answer().is_err());
    client.request("POST", "/plain", &[], "no call");
    let of = |status: &str| {
        let labels = [
            ("route", "all"),
            ("upstream", "origin"),
            ("grpc_status", status),
        ];
        proxy.metrics().sum(RESPONSES, &labels)
    };
    eventually(SOON, "the last is counted", || {
        proxy.metrics().sum("outrigger_requests_total", &[]) == 5.0
    });
    assert_eq!(of("OK"), 2.0);
    assert_eq!(of("UNAVAILABLE"), 1.0);
    // What its caller reads out of the reset.
    assert_eq!(of("INTERNAL"), 1.0);
    assert_eq!(proxy.metrics().sum(RESPONSES, &[]), 4.0);
    let stats = proxy.admin("GET", "/routes/all/stats", "").json();
    assert_eq!(
        (&stats["successes"], &stats["failures"]),
        (&3.into(), &2.into())
    );
    let newest = &stats["last_failures"];
    assert_eq!(newest[0]["grpc_status"], "INTERNAL", "{newest}");
    assert_eq!(newest[1]["grpc_status"], "UNAVAILABLE", "{newest}");
    assert_eq!(newest[1]["upstream"], "origin", "{newest}");
    eventually(SOON, "all lines are written", || {
        proxy.stdout().lines().count() == 5
    });
    let status = |path: &str| {
        let log = proxy.stdout();
        let line = log.lines().find(|line| line.contains(path)).unwrap();
        serde_json::from_str::<serde_json::Value>(line).unwrap()["rpc.grpc.status_code"].clone()
    };
    assert_eq!(status("/good"), 0);
    assert_eq!(status("/unavailable"), 14);
    assert_eq!(status("/cut"), 13);
    assert!(status("/plain").is_null());
}

#[test]
fn an_answer_without_a_status_counts_as_what_its_caller_makes_of_it() {
    let origin = Origin::start()
        .on("/bare", Script::new().answering("200 OK", "?"))
        .on(
            "/away",
            Script::new().answering("503 Service Unavailable", "?"),
        );
    let proxy = Proxy::with(&Setup::to(&origin));
    for (path, kind, status) in [
        ("/bare", CALL.1, "UNKNOWN"),
        ("/away", CALL.1, "UNAVAILABLE"),
        // A page's call has its status in the body, unless that is no answer to a call.
        ("/bare", "application/grpc-web", "in_body"),
        ("/away", "application/grpc-web-text", "UNAVAILABLE"),
    ] {
        let of = || proxy.metrics().sum(RESPONSES, &[("grpc_status", status)]);
        let before = of();
        let fields = [("Content-Type", kind)];
        proxy.client().request("POST", path, &fields, "message");
        eventually(SOON, "it is counted", || of() == before + 1.0);
    }
}
