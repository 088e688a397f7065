use std::net::SocketAddr;
use std::sync::Arc;

use super::*;
use crate::http::peer::PeerAddress;
use crate::testing;

fn listener(toml: &str) -> Config {
    toml::from_str(&format!("listen = \"127.0.0.1:0\"\n{toml}")).unwrap()
}

fn peer(address: &str) -> Arc<Peer> {
    Arc::new(Peer {
        address: PeerAddress::Tcp(address.parse::<SocketAddr>().unwrap()),
        listener: "in".into(),
        encrypted: false,
        identity: None,
        source: None,
        original: None,
    })
}

/// What a request from `from` with `headers` is made of by a listener.
fn received(from: &str, listener: &Config, headers: &[(&str, &str)]) -> Box<Request> {
    let mut request = testing::request("GET", "/");
    request.context.peer = peer(from);
    request.context.client = request.context.peer.address.ip();
    request.context.request_id = RequestId::kept("known");
    for (name, value) in headers {
        request
            .headers
            .append(&name.parse().unwrap(), &value.parse().unwrap());
    }
    receive(&mut request, listener);
    request
}

fn header(request: &Request, name: &str) -> Option<String> {
    let name = name.parse().unwrap();
    let values = request.headers.get_all(&name);
    let values: Vec<_> = values.map(String::from_utf8_lossy).collect();
    (!values.is_empty()).then(|| values.join(" | "))
}

#[test]
fn what_is_meant_for_one_connection_goes_no_further() {
    let request = received(
        "10.0.0.9:1",
        &listener(""),
        &[
            ("connection", "close, X-Mine"),
            ("x-mine", "1"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "keep-alive"),
            ("upgrade", "h2c"),
            ("http2-settings", "AAMAAABk"),
            ("x-other", "2"),
        ],
    );
    for gone in [
        "connection",
        "x-mine",
        "keep-alive",
        "proxy-connection",
        "upgrade",
        "http2-settings",
    ] {
        assert_eq!(header(&request, gone), None, "{gone}");
    }
    assert_eq!(header(&request, "x-other").as_deref(), Some("2"));
}

#[test]
fn host_stays_whatever_connection_names() {
    let named = [("host", "app"), ("connection", "host")];
    let request = received("10.0.0.9:1", &listener(""), &named);
    assert_eq!(header(&request, "host").as_deref(), Some("app"));
}

#[test]
fn only_the_word_trailers_of_te_goes_on() {
    let with = |te: &str| {
        let request = received("10.0.0.9:1", &listener(""), &[("te", te)]);
        header(&request, "te")
    };
    assert_eq!(with("gzip, Trailers").as_deref(), Some("trailers"));
    assert_eq!(with("gzip"), None);
}

#[test]
fn a_stranger_does_not_say_who_called_him() {
    let invented = [
        ("x-forwarded-for", "1.2.3.4"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "bank"),
        ("forwarded", "for=1.2.3.4"),
        ("x-forwarded-client-cert", "By=me"),
        ("outrigger-mirrored", "1"),
    ];
    let set = listener("forwarded_headers = \"set\"");
    let request = received("10.0.0.9:1", &set, &invented);
    let chain = header(&request, "x-forwarded-for");
    assert_eq!(chain.as_deref(), Some("10.0.0.9"));
    let scheme = header(&request, "x-forwarded-proto");
    assert_eq!(scheme.as_deref(), Some("http"));
    for gone in [
        "x-forwarded-host",
        "forwarded",
        "x-forwarded-client-cert",
        "outrigger-mirrored",
    ] {
        assert_eq!(header(&request, gone), None, "{gone}");
    }
    assert_eq!(request.context.client, Some([10, 0, 0, 9].into()));
}

#[test]
fn a_trusted_proxy_says_who_called_it() {
    let trusting = listener("trusted_proxies = [\"10.0.0.0/8\"]\nforwarded_headers = \"set\"");
    let told = [
        ("x-forwarded-for", "6.6.6.6, 1.2.3.4, 10.0.0.7"),
        ("x-forwarded-proto", "https"),
        ("outrigger-mirrored", "1"),
    ];
    let request = received("10.0.0.9:1", &trusting, &told);
    // What stands left of the first that is not trusted may be invented.
    assert_eq!(request.context.client, Some([1, 2, 3, 4].into()));
    let chain = header(&request, "x-forwarded-for");
    assert_eq!(
        chain.as_deref(),
        Some("6.6.6.6, 1.2.3.4, 10.0.0.7, 10.0.0.9")
    );
    let scheme = header(&request, "x-forwarded-proto");
    assert_eq!(scheme.as_deref(), Some("https"));
    assert!(header(&request, "outrigger-mirrored").is_some());
}

#[test]
fn a_chain_ends_where_it_is_no_address() {
    let client = |chain: &str| {
        let trusting = listener("trusted_proxies = [\"10.0.0.0/8\"]");
        let told = [("x-forwarded-for", chain)];
        let request = received("10.0.0.9:1", &trusting, &told);
        request.context.client.unwrap().to_string()
    };
    assert_eq!(client("1.2.3.4, unknown, 10.0.0.7"), "10.0.0.7");
    assert_eq!(client("1.2.3.4:80"), "1.2.3.4");
    assert_eq!(client("[2001:db8::1]:80"), "2001:db8::1");
    assert_eq!(client("[2001:db8::1]"), "2001:db8::1");
    assert_eq!(client("::ffff:1.2.3.4"), "1.2.3.4");
    assert_eq!(client(""), "10.0.0.9");
}

#[test]
fn a_request_id_is_kept_when_it_is_fit_for_a_log_line() {
    let id = |value: &[u8]| {
        let mut headers = Headers::new();
        let value = HeaderValue::from_bytes(value).unwrap();
        headers.append(&REQUEST_ID, &value);
        matches!(request_id(&headers), RequestId::Kept(..))
    };
    assert!(id(b"a") && id(&[b'a'; MAX_REQUEST_ID]));
    assert!(!id(&[b'a'; MAX_REQUEST_ID + 1]));
    assert!(!id(b"") && !id(b"a b") && !id(b"a\xff"));
}
