//! What the address of an endpoint points at: an address, a unix socket, or a name whose addresses have to be found.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::value::{LONGEST_SOCKET_PATH, Wrong, variable_in};

/// `discovery`
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Discovery {
    /// Host names stand for all their A and AAAA records.
    #[default]
    Dns,
    /// Names of services stand for what their SRV records of the lowest priority number say.
    Srv,
    /// IP addresses only.
    Static,
}

/// What an endpoint's `address` points at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    Ip(SocketAddr),
    Unix(Arc<Path>),
    /// A name with A and AAAA records.
    Host {
        host: String,
        port: u16,
    },
    /// A name with SRV records.
    Service(String),
}

impl Destination {
    /// What `text`, an entry's address, points at when names are found by `discovery`.
    ///
    /// # Errors
    /// What is wrong with the address, and how to write it.
    pub fn parse(text: &str, discovery: Discovery) -> Result<Self, Wrong> {
        if let Some(path) = text.strip_prefix("unix:") {
            return match path.len() {
                1..=LONGEST_SOCKET_PATH if path.starts_with('/') => {
                    Ok(Destination::Unix(Path::new(path).into()))
                }
                0..=LONGEST_SOCKET_PATH => Err(Wrong::new(format!("`{text}` needs a whole path")).help("write it like \"unix:/run/app.sock\"")),
                length => Err(Wrong::new(format!("the path of a unix socket may have {LONGEST_SOCKET_PATH} bytes, and `{path}` has {length}")).help("write a shorter one")),
            };
        }
        if let Some(wrong) = variable_in(text) {
            return Err(wrong);
        }
        if text.contains("://") {
            return Err(Wrong::new(format!("`{text}` is a URL"))
                .help("write \"host:port\" without scheme and path"));
        }
        if text.contains([',', ' ']) {
            return Err(Wrong::new(format!("`{text}` has a comma or a space in it"))
                .help("write each endpoint in quotes of its own"));
        }
        if text.starts_with('/') {
            return Err(Wrong::new(format!("`{text}` is a path"))
                .help(format!("write \"unix:{text}\" for a unix socket")));
        }
        if let Some((address, _)) = text.split_once('/') {
            return Err(Wrong::new(format!(
                "`{text}` has a path, which the route's `rewrite` gives"
            ))
            .help(format!("write \"{address}\"")));
        }
        match discovery {
            Discovery::Srv => service(text),
            Discovery::Dns => host_and_port(text),
            Discovery::Static => match host_and_port(text)? {
                Destination::Host { host, .. } => Err(Wrong::new(format!(
                    "`{host}` is a name, and discovery \"static\" takes only IP addresses"
                ))
                .help("set discovery = \"dns\" or write the address")),
                destination => Ok(destination),
            },
        }
    }

    /// What `Host` says to a server that is reached by this.
    pub fn host_header(&self) -> String {
        match self {
            Destination::Ip(address) => address.to_string(),
            Destination::Unix(_) => "localhost".to_owned(),
            Destination::Host { host, port } => format!("{}:{port}", host.trim_end_matches('.')),
            Destination::Service(name) => name.clone(),
        }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Destination::Ip(address) => address.fmt(f),
            Destination::Unix(path) => write!(f, "unix:{}", path.display()),
            Destination::Host { host, port } => write!(f, "{host}:{port}"),
            Destination::Service(name) => f.write_str(name),
        }
    }
}

fn service(text: &str) -> Result<Destination, Wrong> {
    let host = text.rsplit_once(':').map_or(text, |(host, _)| host);
    if text.parse::<IpAddr>().is_ok() || text.parse::<SocketAddr>().is_ok() {
        Err(Wrong::new(format!(
            "`{text}` is an address, and discovery \"srv\" takes names of services"
        ))
        .help("set discovery = \"static\""))
    } else if host.len() < text.len() {
        Err(Wrong::new(format!(
            "`{text}` has a port, but with discovery \"srv\" the SRV records say the port"
        ))
        .help(format!("write \"{host}\"")))
    } else {
        check_host(text)?;
        Ok(Destination::Service(text.to_owned()))
    }
}

fn host_and_port(text: &str) -> Result<Destination, Wrong> {
    let Some((host, port)) = text.rsplit_once(':') else {
        return Err(Wrong::new(format!("`{text}` has no port")).help("write \"host:port\""));
    };
    // Parsing alone would let a leading plus pass.
    let digits = port.bytes().all(|b| b.is_ascii_digit());
    let port = match port.parse::<u16>() {
        Ok(port) if port > 0 && digits => port,
        _ => return Err(format!("`{port}` is not a port from 1 to 65535").into()),
    };
    if let Some(inner) = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
        return match inner.parse() {
            Ok(ip) => Ok(Destination::Ip(SocketAddr::new(IpAddr::V6(ip), port))),
            Err(_) => Err(format!("`{inner}` is not an IPv6 address").into()),
        };
    }
    if host.contains(':') {
        return Err(Wrong::new("an IPv6 address stands in brackets")
            .help(format!("write \"[{host}]:{port}\"")));
    }
    if let Ok(ip) = host.parse() {
        return Ok(Destination::Ip(SocketAddr::new(IpAddr::V4(ip), port)));
    }
    check_host(host)?;
    Ok(Destination::Host {
        host: host.to_owned(),
        port,
    })
}

/// RFC 1123, section 2.1, and underscores, which names of services and of containers have.
fn check_host(host: &str) -> Result<(), Wrong> {
    let name = host.strip_suffix('.').unwrap_or(host);
    let inner = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(inner)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last = name.rsplit('.').next().unwrap_or_default();
    if name.len() > 253 || !name.split('.').all(label) {
        Err(format!("`{host}` is not a host name").into())
    } else if last.bytes().all(|b| b.is_ascii_digit()) {
        // No top-level name is a number: such text is a mistyped address, and resolvers would guess at it.
        Err(format!("`{host}` is neither an IPv4 address nor a host name").into())
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn destination(text: &str, discovery: Discovery) -> Result<Destination, Wrong> {
        Destination::parse(text, discovery)
    }

    fn host(host: &str, port: u16) -> Result<Destination, Wrong> {
        Ok(Destination::Host {
            host: host.to_owned(),
            port,
        })
    }

    #[test]
    fn addresses_and_names_have_ports() {
        let dns = |text| destination(text, Discovery::Dns);
        assert_eq!(dns("app:8080"), host("app", 8080));
        assert_eq!(dns("my_app.example.com.:1"), host("my_app.example.com.", 1));
        assert_eq!(
            dns("10.0.0.1:80"),
            Ok(Destination::Ip(([10, 0, 0, 1], 80).into()))
        );
        assert_eq!(
            dns("[::1]:65535"),
            Ok(Destination::Ip("[::1]:65535".parse().unwrap()))
        );
        assert_eq!(
            dns("unix:/run/app.sock"),
            Ok(Destination::Unix(Path::new("/run/app.sock").into()))
        );
    }

    #[test]
    fn problems_say_how_to_mend_them() {
        for (text, says) in [
            ("app", "has no port"),
            ("app:0", "not a port"),
            ("app:65536", "not a port"),
            ("app:+80", "not a port"),
            ("${APP_HOST}:8080", "write the value itself"),
            ("$APP_HOST:8080", "has a variable in it"),
            ("app:", "not a port"),
            (":80", "not a host name"),
            ("::1:80", "write \"[::1]:80\""),
            ("[::g]:80", "not an IPv6 address"),
            ("10.0.0.256:80", "neither an IPv4 address nor"),
            ("http://app:80", "is a URL"),
            ("a..b:80", "not a host name"),
            ("-a:80", "not a host name"),
            ("unix:app.sock", "needs a whole path"),
            ("unix:", "needs a whole path"),
            (&format!("unix:/{}", "a".repeat(107)), "write a shorter one"),
            ("app:80/x", "write \"app:80\""),
            ("/run/app.sock", "write \"unix:/run/app.sock\""),
            ("a:1, b:2", "quotes of its own"),
        ] {
            let error = destination(text, Discovery::Dns).expect_err(text);
            assert!(error.to_string().contains(says), "{text}: {error}");
        }
    }

    #[test]
    fn services_have_no_port_and_static_ones_no_name() {
        assert_eq!(
            destination("_http._tcp.app.example", Discovery::Srv),
            Ok(Destination::Service("_http._tcp.app.example".into()))
        );
        for text in ["10.0.0.1", "10.0.0.1:80", "_http._tcp.app:80", "::1"] {
            assert!(destination(text, Discovery::Srv).is_err(), "{text}");
        }
        assert!(destination("10.0.0.1:80", Discovery::Static).is_ok());
        assert!(destination("app:80", Discovery::Static).is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_a_destination_or_a_problem(text in "\\PC{0,40}") {
            for discovery in [Discovery::Dns, Discovery::Srv, Discovery::Static] {
                let _ = destination(&text, discovery);
            }
        }

        #[test]
        fn every_socket_address_is_itself(ip: std::net::IpAddr, port in 1u16..) {
            let address = SocketAddr::new(ip, port);
            prop_assert_eq!(destination(&address.to_string(), Discovery::Dns), Ok(Destination::Ip(address)));
        }
    }
}
