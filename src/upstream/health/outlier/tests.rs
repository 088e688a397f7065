//! What counts as a failure of the endpoint.

use http::StatusCode;

use super::*;
use crate::http::body::Body;
use crate::http::error::{OVERLOADED, REQUEST_TIMEOUT};
use crate::testing::headers;

fn answered(status: u16, fields: &[(&str, &str)]) -> Verdict {
    let mut response = Response::new(StatusCode::from_u16(status).unwrap(), Body::empty());
    response.headers = headers(fields);
    Verdict::of(Ok(&response), false, true)
}

#[test]
fn answers_of_5xx_are_failures_but_for_what_is_not_implemented() {
    for status in [500, 502, 503, 504, 599] {
        assert_eq!(answered(status, &[]), Verdict::Failure, "{status}");
    }
    for status in [200, 301, 404, 429, 501] {
        assert_eq!(answered(status, &[]), Verdict::Good, "{status}");
    }
}

#[test]
fn the_status_of_grpc_counts() {
    for status in ["2", "13", "14", "15"] {
        let verdict = answered(200, &[("grpc-status", status)]);
        assert_eq!(verdict, Verdict::Failure, "{status}");
    }
    for status in ["0", "3", "5", "7", "8", "12", "16"] {
        let verdict = answered(200, &[("grpc-status", status)]);
        assert_eq!(verdict, Verdict::Good, "{status}");
    }
}

#[test]
fn only_what_the_endpoint_did_counts() {
    let failed = |reason, progress, stale| {
        let error = Error::new(reason, "").at(progress);
        Verdict::of(Err(&error), stale, false)
    };
    use Progress::{Answering, Sent, Unsent};
    assert_eq!(failed(CONNECT_FAILED, Unsent, false), Verdict::Failure);
    assert_eq!(failed(CONNECT_TIMEOUT, Unsent, false), Verdict::Failure);
    assert_eq!(failed(UPSTREAM_RESET, Sent, false), Verdict::Failure);
    assert_eq!(failed(UPSTREAM_RESET, Answering, false), Verdict::Failure);
    assert_eq!(failed(UPSTREAM_RESET, Sent, true), Verdict::Neither);
    assert_eq!(failed(UPSTREAM_RESET, Unsent, false), Verdict::Neither);
    assert_eq!(failed(OVERLOADED, Unsent, false), Verdict::Neither);
    assert_eq!(failed(REQUEST_TIMEOUT, Sent, false), Verdict::Neither);
}
