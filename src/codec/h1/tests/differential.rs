//! The same bytes to this codec and to hyper's: where they disagree, there is a reason.

use std::sync::Mutex;

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::splits::read_requests;
use super::wire::{Ended, Seen, fed, flawed, map_fields, requests, run};
use super::*;

/// What is refused here and read by hyper: our words for it, why that is right, and a case.
const STRICTER: &[(&str, &str, &str)] = &[
    (
        "together",
        "hyper reads Transfer-Encoding; whoever reads Content-Length sees another message",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n0\r\n\r\n",
    ),
    (
        "more than one Content-Length",
        "hyper takes equal ones for one; others take the first, the last, or the sum",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
    ),
    (
        "more than one Transfer-Encoding",
        "hyper looks at the last",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "other than chunked",
        "hyper leaves codings before chunked on the body, for nobody to undo",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "ends without CR",
        "RFC 9112 section 2.2 allows both ways to read it",
        "GET / HTTP/1.1\nHost: a\n\n",
    ),
    (
        "no Host",
        "RFC 9112 section 3.2 asks for 400",
        "GET / HTTP/1.1\r\n\r\n",
    ),
    (
        "more than one Host",
        "RFC 9112 section 3.2 asks for 400",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    ),
    (
        "malformed Host",
        "RFC 9112 section 3.2 asks for 400",
        "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
    ),
    (
        "a fragment in the request target",
        "hyper cuts it off; others read it as part of the path",
        "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n",
    ),
    (
        "a method in lower case",
        "lenient servers take it for the one in upper case, which routes and policies do not",
        "post / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
    ),
    (
        "malformed request target",
        "a form that belongs to another method, or a scheme that is not HTTP",
        "GET a:80 HTTP/1.1\r\nHost: a\r\n\r\n",
    ),
    (
        "could be read as a framing header",
        "CGI and its like read underscores as hyphens",
        "POST / HTTP/1.1\r\nHost: a\r\nContent_Length: 1\r\n\r\n",
    ),
    (
        "something other than an extension",
        "hyper lets blanks stand behind a chunk size",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1 \r\nx\r\n0\r\n\r\n",
    ),
    (
        "a control character in a chunk extension",
        "hyper looks at the end of the line only",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;\x01\r\nx\r\n0\r\n\r\n",
    ),
];

/// Fields that are no business of trailers, and dropped here.
const DROPPED: [&str; 5] = [
    "connection",
    "content-length",
    "host",
    "transfer-encoding",
    "upgrade",
];

async fn read_by_hyper(wire: &[u8]) -> (Vec<Seen>, bool) {
    let (near, far) = UnixStream::pair().unwrap();
    let seen = Mutex::new(Vec::new());
    let service = service_fn(|request: http::Request<Incoming>| {
        let seen = &seen;
        async move {
            let (head, body) = request.into_parts();
            let read = body.collect().await?;
            seen.lock().unwrap().push(Seen {
                method: head.method.to_string(),
                target: head
                    .uri
                    .path_and_query()
                    .map(ToString::to_string)
                    .unwrap_or_default(),
                fields: map_fields(Some(&head.headers)),
                trailers: map_fields(read.trailers()),
                body: read.to_bytes().to_vec(),
            });
            Ok::<_, hyper::Error>(http::Response::new(String::from("seen")))
        }
    });
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder.half_close(true).max_headers(100);
    let serving = builder.serve_connection(TokioIo::new(near), service);
    let served = fed(Far(far), wire, &[], serving).await;
    (seen.into_inner().unwrap(), served.is_ok())
}

/// `Err` says how they disagree.
async fn compare(wire: &[u8]) -> Result<(), String> {
    let (ours, ended) = read_requests(wire, &[]).await;
    let (theirs, _) = read_by_hyper(wire).await;
    for (n, (our, their)) in ours.iter().zip(&theirs).enumerate() {
        let mut their = their.clone();
        their
            .trailers
            .retain(|(name, _)| !DROPPED.contains(&&**name));
        if *our != their {
            return Err(format!("request {n} is read as {our:?} and as {their:?}"));
        }
    }
    match ended {
        // Hyper refuses a quote in a query, and here it is encoded.
        _ if ours.len() > theirs.len() && ours[theirs.len()].target.contains("%22") => Ok(()),
        _ if ours.len() > theirs.len() => Err(format!("only we read {:?}", &ours[theirs.len()..])),
        Ended::Refused(why) if STRICTER.iter().any(|(ours, ..)| why.contains(ours)) => Ok(()),
        _ if ours.len() < theirs.len() => Err(format!(
            "{ended:?}, and hyper reads {:?}",
            &theirs[ours.len()..]
        )),
        _ => Ok(()),
    }
}

fn check(wire: &[u8]) -> Result<(), TestCaseError> {
    run(compare(wire)).map_err(|how| TestCaseError::fail(format!("{how}\n{}", wire.escape_ascii())))
}

#[test]
fn every_disagreement_has_a_case() {
    for (words, why, wire) in STRICTER {
        let (ours, ended) = run(read_requests(wire.as_bytes(), &[]));
        let (theirs, _) = run(read_by_hyper(wire.as_bytes()));
        assert!(theirs.len() > ours.len(), "they agree: {why}");
        assert!(
            matches!(&ended, Ended::Refused(detail) if detail.contains(words)),
            "{why}: {ended:?}"
        );
    }
}

/// The same cases every time.
#[test]
fn known_cases() {
    let config = Config {
        cases: 2000,
        failure_persistence: None,
        ..Config::default()
    };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(config, rng);
    runner
        .run(&flawed(requests()), |wire| check(&wire))
        .unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn whole_requests(wire in requests()) {
        check(&wire)?;
    }

    #[test]
    fn flawed_requests(wire in flawed(requests())) {
        check(&wire)?;
    }
}
