//! What is redirected to a transparent listener and is not HTTP: bytes both ways, to where its caller wanted to go.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use metrics::counter;

use super::upgrade;
use crate::http::message::{Tunnelled, Upgraded};
use crate::http::peer::PeerAddress;
use crate::listener::{Accepted, PassThrough};
use crate::net::dial;
use crate::net::io::Io;
use crate::telemetry::flood::{self, Group, Kind};
use crate::value::exposition::Metric;

const PASSED: Metric = Metric::counter(
    "outrigger_passed_through_connections_total",
    "Connections that are not HTTP and went on as they are, by what came of them.",
);
const BYTES: Metric = Metric::counter(
    "outrigger_passed_through_bytes_total",
    "Bytes of connections that are not HTTP, counted when a connection ends, by whether they came from the caller.",
);

/// What is counted of what is passed through.
pub const METRICS: &[Metric] = &[PASSED, BYTES];

static FAILED: Kind = Kind {
    message: "a connection that is not HTTP was not passed through",
    severe: false,
    first: 10,
};

/// Enough to tell a request line, or the preface of HTTP/2, from other protocols.
const LOOK: usize = 32;

/// Whether the caller speaks HTTP, as far as its first bytes tell. One who sends none within `limit` does not. Nothing
/// is read.
pub(super) async fn speaks_http(io: &Io, limit: Duration) -> bool {
    // Redirected connections are TCP.
    let Io::Tcp(stream) = io else { return true };
    let mut first = [0; LOOK];
    match tokio::time::timeout(limit, stream.peek(&mut first)).await {
        Ok(Ok(length)) => may_be_http(&first[..length]),
        // It has gone, or will be seen to have.
        Ok(Err(_)) => true,
        Err(_) => false,
    }
}

/// Whether a request can begin so: a method in capitals, a space, and a target (RFC 9112, section 3), as does the
/// preface of HTTP/2. What is too short to tell is taken for one.
fn may_be_http(first: &[u8]) -> bool {
    // Some callers send an empty line ahead (RFC 9112, section 2.2).
    let line = first.strip_prefix(b"\r\n").unwrap_or(first);
    let is_method = |byte: &u8| byte.is_ascii_uppercase() || *byte == b'-' || *byte == b'_';
    let Some(end) = line.iter().position(|byte| !is_method(byte)) else {
        return true;
    };
    let target = &line[end + 1..];
    let begins = |with: &[u8]| target.starts_with(with) || with.starts_with(target);
    let is_target = begins(b"/") || begins(b"*") || begins(b"http");
    end > 0 && line[end] == b' ' && (is_target || line.starts_with(b"CONNECT "))
}

/// Passes the connection on to `address`, to the end of both directions.
pub(super) async fn pass(
    accepted: &Accepted,
    address: SocketAddr,
    settings: &PassThrough,
    idle_limit: Duration,
) {
    let listener = &accepted.listener.name;
    let count = |result: &'static str| {
        counter!(PASSED.name, "listener" => listener.clone(), "result" => result).increment(1);
    };
    let fail = |result: &'static str, why: String| {
        count(result);
        let group = Group {
            listener: Some(listener.clone()),
            reason: Some(result),
            ..Group::default()
        };
        if flood::passes(&FAILED, group) {
            let peer = &accepted.peer.address;
            tracing::info!(%listener, %peer, destination = %address, "{}: {why}", FAILED.message);
        }
    };
    if let PeerAddress::Tcp(caller) = accepted.peer.address
        && dial::is_ours(caller)
    {
        let why =
            "it comes from this proxy itself, whose user is not excluded from the redirection";
        return fail("loop_detected", why.to_owned());
    }
    let dialled = match dial::dial(address, settings.connect_timeout.0).await {
        Ok(dialled) => dialled,
        Err(error) => return fail("connect_failed", error.to_string()),
    };
    count("ok");
    tracing::debug!(%listener, peer = %accepted.peer.address, destination = %address, "passing a connection through");
    let passed = Arc::new(Tunnelled::default());
    let upgraded = Upgraded {
        io: dialled.io,
        early: Bytes::new(),
        protocol: None,
        idle_limit: Some(idle_limit),
        passed: passed.clone(),
    };
    upgrade::serve(&accepted.io, Bytes::new(), upgraded).await;
    for (from, bytes) in [
        ("caller", passed.from_caller()),
        ("server", passed.to_caller()),
    ] {
        counter!(BYTES.name, "listener" => listener.clone(), "from" => from).increment(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_told_from_other_protocols() {
        for http in [
            "GET / HTTP/1.1\r\n",
            "GET http://a/ HTTP/1.1\r\n",
            "\r\nGET / HTTP/1.1",
            "OPTIONS * HTTP/1.1",
            "CONNECT a:443 HTTP/1.1",
            "VERSION-CONTROL / HTTP/1.1",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            "G",
            "GET ",
            "GET h",
        ] {
            assert!(may_be_http(http.as_bytes()), "{http}");
        }
        for other in [
            &b"\x16\x03\x01\x02\x00\x01"[..],
            b"SSH-2.0-OpenSSH_9.2",
            b"EHLO me\r\n",
            b"PING\r\n",
            b"*1\r\n$4\r\nPING\r\n",
            b"get key\r\n",
            b"\0\0\0\x08\x04\xd2\x16\x2f",
            b"NICK someone\r\n",
            b"AMQP\0\0\x09\x01",
        ] {
            assert!(!may_be_http(other), "{other:?}");
        }
    }
}
