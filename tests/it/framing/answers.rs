//! Answers that could be read differently.

use super::{assert_none_wrong, is};
use crate::support::{Origin, Proxy, Script, Setup};

#[test]
fn an_answer_that_is_ambiguous_is_not_passed_on() {
    let cases = [
        (
            "/both",
            "HTTP/1.1 200 OK\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        ),
        (
            "/lengths",
            "HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabc",
        ),
        (
            "/length",
            "HTTP/1.1 200 OK\r\ncontent-length: +3\r\n\r\nabc",
        ),
        (
            "/fold",
            "HTTP/1.1 200 OK\r\nx-a: 1\r\n 2\r\ncontent-length: 0\r\n\r\n",
        ),
        (
            "/nul",
            "HTTP/1.1 200 OK\r\nx-a: 1\0\r\ncontent-length: 0\r\n\r\n",
        ),
        (
            "/colon",
            "HTTP/1.1 200 OK\r\nx-a : 1\r\ncontent-length: 0\r\n\r\n",
        ),
        ("/status", "HTTP/1.1 20 OK\r\ncontent-length: 0\r\n\r\n"),
        ("/garbage", "SSH-2.0-OpenSSH_9.7\r\n\r\n"),
        (
            "/switch",
            "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n",
        ),
    ];
    let origin = cases
        .into_iter()
        .fold(Origin::start(), |origin, (path, bytes)| {
            origin.on(path, Script::new().send(bytes).close())
        });
    let proxy = Proxy::with(&Setup::to(&origin));
    assert_none_wrong(&cases.map(|(path, _)| (path, path)), |path| {
        is(&proxy.get(path), 502, Some("upstream_protocol_error"))
    });
}

#[test]
fn an_answer_with_broken_chunks_is_cut_not_ended() {
    let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let origin = Origin::start()
        .on(
            "/size",
            Script::new()
                .send(format!("{head}3\r\nabc\r\nxyz\r\n"))
                .close(),
        )
        .on(
            "/end",
            Script::new()
                .send(format!("{head}3\r\nabcd\r\n0\r\n\r\n"))
                .close(),
        );
    let proxy = Proxy::with(&Setup::to(&origin));
    for path in ["/size", "/end"] {
        let answer = proxy
            .client()
            .send_request("GET", path, &[], "")
            .try_answer();
        assert!(
            answer.is_err() || answer.is_ok_and(|answer| answer.status == 502),
            "{path}"
        );
    }
}
