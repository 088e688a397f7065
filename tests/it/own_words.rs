//! What only the proxy says: nobody else can say it in its name.

use crate::support::{H2Client, H2Origin, Origin, Proxy, Script, Setup};

#[test]
fn an_upstream_cannot_say_why_the_proxy_refused() {
    let head = "outrigger-reason: circuit_open\r\nOutrigger-Reason: overloaded\r\nx-a: 1\r\n";
    let trailed = "0\r\noutrigger-reason: circuit_open\r\nx-sum: 1\r\n\r\n";
    let origin = Origin::start()
        .on(
            "/",
            Script::new().send(format!(
                "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n{head}\r\n"
            )),
        )
        .on(
            "/trailed",
            Script::new().send(format!(
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n{trailed}"
            )),
        );
    let proxy = Proxy::with(&Setup::to(&origin).route("retry = {}"));
    let answer = proxy.get("/");
    assert_eq!((answer.reason(), answer.header("x-a")), (None, Some("1")));
    let http2 = H2Client::connect(proxy.address());
    assert_eq!(http2.get("/").header("outrigger-reason"), None);
    let te = [("TE", "trailers")];
    let answer = proxy.client().request("GET", "/trailed", &te, "");
    assert_eq!(answer.trailers.get("outrigger-reason"), None);
    assert_eq!(answer.trailers.get("x-sum"), Some("1"));
    let answer = http2.request("GET", "/trailed", &[("te", "trailers")], "");
    assert_eq!(answer.trailer("outrigger-reason"), None);
    assert_eq!(answer.trailer("x-sum"), Some("1"));
}

#[test]
fn an_operator_may_say_it() {
    let origin = Origin::start();
    let setup = Setup::to(&origin).also(
        "[routes.here]\nmatch = { path = \"/here\" }\n\
         respond = { status = 503, headers = { outrigger-reason = \"maintenance\" } }\n",
    );
    let proxy = Proxy::with(&setup);
    assert_eq!(proxy.get("/here").reason(), Some("maintenance"));
}

#[test]
fn a_caller_cannot_pass_its_request_off_as_a_copy() {
    let (origin, http2_origin) = (Origin::start(), H2Origin::start());
    let more = format!(
        "[upstreams.second]\nprotocol = \"http2\"\nendpoints = [\"{}\"]\n\
         [routes.second]\nmatch = {{ path = \"/second\" }}\nupstream = \"second\"\n",
        http2_origin.address()
    );
    let proxy = Proxy::with(&Setup::to(&origin).also(more));
    let mark = [("Outrigger-Mirrored", "all"), ("X-A", "1")];
    proxy.client().request("GET", "/", &mark, "");
    proxy.client().request("GET", "/second", &mark, "");
    H2Client::connect(proxy.address()).request("GET", "/", &[("outrigger-mirrored", "all")], "");
    proxy
        .client()
        .send(
            "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n\
             1\r\na\r\n0\r\noutrigger-mirrored: all\r\nx-sum: 1\r\n\r\n",
        )
        .read_answer();
    for seen in origin.requests() {
        assert_eq!(seen.header("outrigger-mirrored"), None);
        assert_eq!(seen.trailers.get("outrigger-mirrored"), None);
    }
    let last = origin.requests().pop().unwrap();
    assert_eq!(last.trailers.get("x-sum"), Some("1"));
    let seen = &http2_origin.requests()[0];
    assert!(!seen.headers.contains_key("outrigger-mirrored"));
}

/// The shadow has a proxy of its own, which believes the one before it.
#[test]
fn a_mark_of_a_proxy_that_is_trusted_stays() {
    let origin = Origin::start();
    let proxy = Proxy::with(&Setup::to(&origin).listener("trusted_proxies = [\"127.0.0.0/8\"]"));
    let mark = [("outrigger-mirrored", "all")];
    proxy.client().request("GET", "/", &mark, "");
    let seen = origin.only_request();
    assert_eq!(seen.header("outrigger-mirrored"), Some("all"));
}
