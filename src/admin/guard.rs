//! Keeps web pages away from the admin API.
//!
//! A page that a browser on this machine shows may send requests to loopback. With DNS rebinding it reads the
//! answers too, under the name of the page's own site: so the `Host` must be one that the API goes by. A form or
//! script of another site that sends a POST without reading the answer (CSRF) gives itself away by its `Origin`.
//! Another program of this machine is another site too, though its pages may have the same host: the browser says so
//! in `Sec-Fetch-Site`, and such a page may do no more than link to what is here.

use std::net::{IpAddr, Ipv6Addr};

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderMap, Method, StatusCode, Uri, header};

use super::answer::problem;
use super::secure::Encrypted;
use crate::listener::ListenAddress;

/// By which names the API may be asked for, beside those of loopback. A port says nothing: `kubectl
/// port-forward` gives any.
#[derive(Clone, Copy, Debug)]
pub(super) enum Guard {
    /// By any, because browsers cannot reach a unix socket.
    Any,
    /// By any, because the certificate is for it: a browser does not speak with a name of another site.
    Certified,
    /// By this address.
    Address(IpAddr),
    /// By any address, because every one of this machine's is listened on. A rebound request always carries a
    /// name, never an address.
    EveryAddress,
}

impl Guard {
    pub(super) fn of(address: &ListenAddress) -> Self {
        match address {
            ListenAddress::Unix(_) => Guard::Any,
            ListenAddress::Tcp(address) if address.ip().is_unspecified() => Guard::EveryAddress,
            ListenAddress::Tcp(address) => Guard::Address(address.ip().to_canonical()),
        }
    }

    fn refusal(self, head: &Parts) -> Option<&'static str> {
        let (uri, headers) = (&head.uri, &head.headers);
        if !self.admits_hosts(uri, headers) {
            return Some(
                "this API answers only under a loopback address or the one that it listens on",
            );
        }
        if !self.admits_origins(headers) || !is_own_or_followed(head) {
            return Some("web pages of other sites may not use this API");
        }
        None
    }

    fn admits_hosts(self, uri: &Uri, headers: &HeaderMap) -> bool {
        if matches!(self, Guard::Any | Guard::Certified) {
            return true;
        }
        let mut hosts = headers.get_all(header::HOST).iter();
        let (Some(host), None) = (hosts.next(), hosts.next()) else {
            return false;
        };
        let host = Authority::try_from(host.as_bytes());
        // A target in absolute form overrides `Host` (RFC 9112, section 3.2.2).
        host.is_ok_and(|host| self.admits(&host))
            && uri.authority().is_none_or(|target| self.admits(target))
    }

    fn admits_origins(self, headers: &HeaderMap) -> bool {
        headers.get_all(header::ORIGIN).iter().all(|origin| {
            let origin = Uri::try_from(origin.as_bytes());
            origin.is_ok_and(|origin| {
                origin.scheme().is_some()
                    && origin
                        .authority()
                        .is_some_and(|a| self.admits(a) || self.is_own(a, headers))
            })
        })
    }

    /// Whether a page is one of the site that the request goes to. Only TLS proves that the site is this API.
    fn is_own(self, origin: &Authority, headers: &HeaderMap) -> bool {
        let host = headers.get(header::HOST);
        let host = host.and_then(|host| Authority::try_from(host.as_bytes()).ok());
        matches!(self, Guard::Certified) && host.is_some_and(|host| host == *origin)
    }

    fn admits(self, authority: &Authority) -> bool {
        if authority.as_str().contains('@') {
            return false;
        }
        let host = authority.host();
        let Some(address) = address_of(host) else {
            return host.eq_ignore_ascii_case("localhost");
        };
        address.is_loopback()
            || match self {
                Guard::Any | Guard::Certified => false,
                Guard::Address(own) => address == own,
                Guard::EveryAddress => true,
            }
    }
}

/// Refuses what does not come from the machine's own people and tools.
pub(super) async fn check(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    let guard = match request.extensions().get::<Encrypted>() {
        Some(Encrypted) => Guard::Certified,
        None => guard,
    };
    let (head, body) = request.into_parts();
    match guard.refusal(&head) {
        Some(detail) => problem(StatusCode::FORBIDDEN, detail),
        None => next.run(Request::from_parts(head, body)).await,
    }
}

/// Whether no browser says that a page from elsewhere sends this; following a link from there is no more than reading.
fn is_own_or_followed(head: &Parts) -> bool {
    let says = |name: &str, value: &str| head.headers.get(name).is_some_and(|is| is == value);
    let site = head.headers.get("sec-fetch-site");
    let is_own = site.is_none_or(|site| site == "same-origin" || site == "none");
    let is_followed = head.method == Method::GET
        && says("sec-fetch-mode", "navigate")
        && says("sec-fetch-dest", "document");
    is_own || is_followed
}

fn address_of(host: &str) -> Option<IpAddr> {
    let inner = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    match inner {
        Some(v6) => v6
            .parse::<Ipv6Addr>()
            .ok()
            .map(|v6| IpAddr::V6(v6).to_canonical()),
        None => host.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn guard(address: &str) -> Guard {
        Guard::of(&address.parse().unwrap())
    }

    fn admits(guard: Guard, target: &str, fields: &[(&'static str, &str)]) -> bool {
        asks(guard, "GET", target, fields)
    }

    fn asks(guard: Guard, method: &str, target: &str, fields: &[(&'static str, &str)]) -> bool {
        let mut request = http::Request::builder().method(method).uri(target);
        for (name, value) in fields {
            request = request.header(*name, HeaderValue::from_str(value).unwrap());
        }
        let (head, ()) = request.body(()).unwrap().into_parts();
        guard.refusal(&head).is_none()
    }

    #[test]
    fn loopback_is_admitted_under_any_port() {
        let guard = guard("127.0.0.1:15000");
        for host in [
            "localhost",
            "LocalHost:8080",
            "127.0.0.1:15000",
            "127.9.9.9",
            "[::1]:15000",
            "[::ffff:127.0.0.1]",
        ] {
            assert!(admits(guard, "/", &[("host", host)]), "{host}");
        }
        for host in [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "10.0.0.7",
            "[::2]",
            "localhost@evil.example",
            "evil.example@localhost",
            "",
            "127.1",
            "2130706433",
        ] {
            assert!(!admits(guard, "/", &[("host", host)]), "{host}");
        }
    }

    #[test]
    fn exactly_one_host_is_needed_and_the_target_counts_too() {
        let guard = guard("127.0.0.1:15000");
        assert!(!admits(guard, "/", &[]));
        assert!(!admits(
            guard,
            "/",
            &[("host", "localhost"), ("host", "localhost")]
        ));
        assert!(!admits(
            guard,
            "http://evil.example/",
            &[("host", "localhost")]
        ));
        assert!(admits(guard, "http://localhost/", &[("host", "localhost")]));
    }

    #[test]
    fn the_own_address_is_admitted() {
        let one = guard("10.0.0.7:15000");
        assert!(admits(one, "/", &[("host", "10.0.0.7:15000")]));
        assert!(!admits(one, "/", &[("host", "10.0.0.8:15000")]));
        let every = guard("[::]:15000");
        assert!(admits(every, "/", &[("host", "10.0.0.8:15000")]));
        assert!(admits(every, "/", &[("host", "[fd00::1]:15000")]));
        assert!(!admits(every, "/", &[("host", "pod.evil.example:15000")]));
    }

    #[test]
    fn a_unix_socket_goes_by_any_name() {
        let guard = guard("unix:/run/admin.sock");
        assert!(admits(guard, "/", &[("host", "outrigger")]));
        assert!(admits(guard, "/", &[]));
        assert!(!admits(guard, "/", &[("origin", "https://evil.example")]));
    }

    #[test]
    fn over_tls_any_name_will_do_and_its_own_pages_with_it() {
        let own = "pod.example:15000";
        assert!(admits(Guard::Certified, "/", &[("host", own)]));
        let from = |origin| admits(Guard::Certified, "/", &[("host", own), ("origin", origin)]);
        assert!(from("https://pod.example:15000"));
        for origin in [
            "https://evil.example",
            "https://pod.example",
            "https://evil.pod.example:15000",
            "null",
        ] {
            assert!(!from(origin), "{origin}");
        }
        let plain = guard("0.0.0.0:15000");
        let origin = ("origin", "http://pod.example:15000");
        assert!(!admits(plain, "/", &[("host", own), origin]));
    }

    #[test]
    fn pages_of_other_sites_are_refused() {
        let guard = guard("127.0.0.1:15000");
        let from = |origin: &str| admits(guard, "/", &[("host", "localhost"), ("origin", origin)]);
        assert!(from("http://localhost:15000"));
        assert!(from("http://127.0.0.1:15000"));
        assert!(from("http://[::1]:3000"));
        for origin in [
            "https://evil.example",
            "null",
            "localhost",
            "http://localhost.evil.example",
            "http://localhost@evil.example",
            "",
        ] {
            assert!(!from(origin), "{origin}");
        }
    }

    #[test]
    fn a_page_of_another_program_here_may_only_link_to_it() {
        let guard = guard("127.0.0.1:15000");
        let fetch = |method, site: &str, mode: &str, dest: &str| {
            let fields = [
                ("host", "localhost:15000"),
                ("sec-fetch-site", site),
                ("sec-fetch-mode", mode),
                ("sec-fetch-dest", dest),
            ];
            asks(guard, method, "/", &fields)
        };
        for site in ["same-origin", "none"] {
            assert!(fetch("GET", site, "navigate", "document"), "{site}");
            assert!(fetch("POST", site, "cors", "empty"), "{site}");
        }
        for site in ["same-site", "cross-site", "anything"] {
            assert!(fetch("GET", site, "navigate", "document"), "{site}");
            assert!(!fetch("POST", site, "navigate", "document"), "{site}");
            assert!(!fetch("GET", site, "navigate", "iframe"), "{site}");
            assert!(!fetch("GET", site, "no-cors", "script"), "{site}");
            assert!(!fetch("POST", site, "no-cors", "empty"), "{site}");
        }
    }

    proptest! {
        #[test]
        fn no_name_but_localhost_is_admitted(host in "[a-z]([a-z0-9-]{0,10}\\.){0,3}[a-z]{1,5}(:[0-9]{1,5})?") {
            prop_assume!(!host.starts_with("localhost"));
            for guard in [guard("127.0.0.1:1"), guard("0.0.0.0:1"), guard("10.0.0.7:1")] {
                prop_assert!(!admits(guard, "/", &[("host", &host)]));
            }
        }
    }
}
