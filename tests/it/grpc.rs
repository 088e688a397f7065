//! Calls of gRPC: what their callers are told in, and how they are counted.

use crate::support::{H2Client, H2Origin, Origin, Proxy, Setup};

const CALL: (&str, &str) = ("content-type", "application/grpc");

fn to_h2(origin: &H2Origin) -> Setup {
    Setup::to_address(origin.address()).upstream(r#"protocol = "http2""#)
}

#[test]
fn a_call_that_is_refused_before_its_route_is_known_gets_a_status() {
    let origin = H2Origin::start();
    let setup = to_h2(&origin)
        .listener("max_headers = 5\nmax_header_bytes = \"4KiB\"")
        .route(r#"match = { path = "/a.B/{method}", methods = ["PUT"] }"#);
    let proxy = Proxy::with(&setup);
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
        assert!(answer.body.is_empty(), "{reason}");
    }
    assert!(origin.requests().is_empty());
}

#[test]
fn a_call_of_a_page_that_is_refused_gets_a_status_in_its_head() {
    let origin = Origin::start();
    let proxy = Proxy::with(
        &Setup::to(&origin)
            .route(r#"match = { path = "/a.B/{method}" }"#)
            .route(r#"authorize = { cidrs = ["10.0.0.0/8"] }"#)
            .route(r#"cors = { allow_origins = ["https://app.example"] }"#)
            .route("response = { envelope = true }"),
    );
    for (asked, told) in [
        ("application/grpc-web", "application/grpc-web+proto"),
        ("application/grpc-web+proto", "application/grpc-web+proto"),
        (
            "application/grpc-web-text",
            "application/grpc-web-text+proto",
        ),
    ] {
        let fields = [("Content-Type", asked), ("Origin", "https://app.example")];
        for (path, status, reason) in [("/none", "12", "no_route"), ("/a.B/C", "7", "forbidden")] {
            let answer = proxy.client().request("POST", path, &fields, "");
            answer.assert_refused(200, reason);
            assert_eq!(answer.header("grpc-status"), Some(status), "{asked}");
            assert_eq!(answer.header("content-type"), Some(told), "{asked}");
            assert!(answer.body.is_empty(), "{asked}");
            let exposed = answer.header("access-control-expose-headers");
            let told = exposed.is_some_and(|names| names.contains("grpc-status"));
            assert_eq!(told, reason == "forbidden", "{exposed:?}");
        }
    }
}
