//! Bytes on a TLS connection that cannot be decrypted.

use std::io::Error;
use std::net::TcpListener;

use rustls::AlertDescription;

use crate::support::pki::{Ask, Authority, put};
use crate::support::{Origin, Proxy, SOON, Setup, TlsClient, TlsServer, eventually};

/// A record of application data that no key fits.
fn bad_record() -> Vec<u8> {
    [&[23, 3, 3, 0, 64][..], &[7; 64]].concat()
}

fn alert(error: &Error) -> Option<AlertDescription> {
    match error.get_ref()?.downcast_ref()? {
        rustls::Error::AlertReceived(alert) => Some(*alert),
        _ => None,
    }
}

/// What an HTTP/2 caller begins with, with empty settings.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

#[test]
fn a_caller_is_told_by_an_alert_whatever_is_spoken_and_the_log_says_why() {
    let origin = Origin::start();
    let ca = Authority::new("ca");
    let files = tempfile::tempdir().unwrap();
    let (cert, key) = ca
        .issue(Ask::of(&["localhost"]))
        .write(files.path(), "server");
    let tls = format!("tls = {{ cert = {cert:?}, key = {key:?} }}");
    let proxies = [
        "protocols = [\"http1\", \"http2\"]",
        "protocols = [\"http2\"]",
        "protocols = [\"http1\"]",
    ]
    .map(|protocols| Proxy::with(&Setup::to(&origin).listener(&tls).listener(protocols)));
    let [both, http2, http1] = &proxies;
    let too_large = [&[23, 3, 3, 0xff, 0xff][..], &[7; 20_000]].concat();
    for (proxy, protocol, data) in [
        (both, None, &b""[..]),
        (both, None, b"GET / HTTP/1.1\r\n"),
        (both, Some("h2"), b""),
        (both, Some("h2"), PREFACE),
        (both, Some("http/1.1"), b""),
        (http2, Some("h2"), b""),
        (http1, None, b""),
        (
            http1,
            None,
            b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n",
        ),
    ] {
        for (bytes, expected) in [
            (bad_record(), &[AlertDescription::BadRecordMac][..]),
            (
                b"GET / HTTP/1.1\r\n\r\n".to_vec(),
                &[AlertDescription::DecodeError],
            ),
            (
                too_large.clone(),
                &[
                    AlertDescription::RecordOverflow,
                    AlertDescription::DecodeError,
                ],
            ),
        ] {
            for client in [
                TlsClient::trusting(ca.pem()),
                TlsClient::old(ca.pem(), None),
            ] {
                let offered: Vec<&str> = protocol.into_iter().collect();
                let told = proxy.log().matches("a TLS connection broke").count();
                let shaken = client.offering(&offered).shake(proxy.address()).unwrap();
                let error = shaken.broken_by(data, &bytes);
                let alert = alert(&error);
                assert!(
                    alert.is_some_and(|alert| expected.contains(&alert)),
                    "{protocol:?} {data:?}: {error}"
                );
                eventually(SOON, "it is told", || {
                    proxy.log().matches("a TLS connection broke").count() > told
                });
            }
        }
    }
}

#[test]
fn a_server_is_told_by_an_alert() {
    let ca = Authority::new("ca");
    let files = tempfile::tempdir().unwrap();
    let leaf = ca.issue(Ask::of(&["localhost"]));
    put(&files.path().join("ca.pem"), ca.pem());
    for protocol in ["http/1.1", "h2"] {
        for server in [TlsServer::showing(&leaf), TlsServer::old(&leaf, None)] {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = format!("localhost:{}", listener.local_addr().unwrap().port());
            let setup = Setup::to_address(address)
                .upstream(format!(
                    "tls = {{ ca = {:?} }}",
                    files.path().join("ca.pem")
                ))
                .upstream("connect_timeout = \"5s\"");
            let proxy = Proxy::with(&setup);
            let server = server.taking(&[protocol]);
            std::thread::scope(|scope| {
                let ended = scope.spawn(|| server.breaking(&listener, &bad_record()));
                assert_eq!(proxy.get("/").status, 502);
                let error = ended.join().unwrap();
                assert_eq!(
                    alert(&error),
                    Some(AlertDescription::BadRecordMac),
                    "{protocol}: {error}"
                );
            });
        }
    }
}
