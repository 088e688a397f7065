//! An entry of `endpoints`, and what it points at.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use serde::ser::SerializeStruct;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::discovery::Discovery;
use crate::value::{LONGEST_SOCKET_PATH, relative_to_file, text_or_table, variable_in};

/// The largest `weight` of an endpoint.
pub const MAX_WEIGHT: u32 = 1000;

/// An entry of `endpoints`: `"host:port"` or `{ address = "host:port", weight = 2 }`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointConfig {
    /// `host:port`, `ip:port`, `[ipv6]:port`, `unix:/path`; with `discovery = "srv"` the name of a service.
    pub address: String,
    /// Share of the requests, relative to the other endpoints: 1 to 1000. A host name with several addresses
    /// has this weight once for each of them.
    pub weight: u32,
}

/// What an endpoint's `address` points at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
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

impl Target {
    /// What `Host` says to a server that is reached by this.
    pub fn host_header(&self) -> String {
        match self {
            Target::Ip(address) => address.to_string(),
            Target::Unix(_) => "localhost".to_owned(),
            Target::Host { host, port } => format!("{}:{port}", host.trim_end_matches('.')),
            Target::Service(name) => name.clone(),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Ip(address) => address.fmt(f),
            Target::Unix(path) => write!(f, "unix:{}", path.display()),
            Target::Host { host, port } => write!(f, "{host}:{port}"),
            Target::Service(name) => f.write_str(name),
        }
    }
}

impl EndpointConfig {
    /// What this entry points at when names are found by `discovery`.
    ///
    /// # Errors
    /// A sentence that says what is wrong with the address, and how to write it.
    pub fn target(&self, discovery: Discovery) -> Result<Target, String> {
        let text = self.address.as_str();
        if let Some(path) = text.strip_prefix("unix:") {
            return match path.len() {
                1..=LONGEST_SOCKET_PATH if path.starts_with('/') => {
                    Ok(Target::Unix(Path::new(path).into()))
                }
                0..=LONGEST_SOCKET_PATH => Err(format!(
                    "`{text}` needs a whole path; write it like \"unix:/run/app.sock\""
                )),
                length => Err(format!(
                    "the path of a unix socket may have {LONGEST_SOCKET_PATH} bytes, and `{path}` has {length}; \
                     write a shorter one"
                )),
            };
        }
        if let Some(mistake) = variable_in(text) {
            return Err(mistake);
        }
        if text.contains("://") {
            return Err(format!(
                "`{text}` is a URL; write \"host:port\" without scheme and path"
            ));
        }
        if text.contains([',', ' ']) {
            return Err(format!(
                "`{text}` has a comma or a space in it; write each endpoint in quotes of its own"
            ));
        }
        if text.starts_with('/') {
            return Err(format!(
                "`{text}` is a path; write \"unix:{text}\" for a unix socket"
            ));
        }
        if let Some((address, _)) = text.split_once('/') {
            return Err(format!(
                "`{text}` has a path, which the route's `rewrite` gives; write \"{address}\""
            ));
        }
        match discovery {
            Discovery::Srv => service(text),
            Discovery::Dns => host_and_port(text),
            Discovery::Static => match host_and_port(text)? {
                Target::Host { host, .. } => Err(format!(
                    "`{host}` is a name, and discovery \"static\" takes only IP addresses; set discovery = \"dns\" or write the address"
                )),
                target => Ok(target),
            },
        }
    }
}

fn service(text: &str) -> Result<Target, String> {
    let host = text.rsplit_once(':').map_or(text, |(host, _)| host);
    if text.parse::<IpAddr>().is_ok() || text.parse::<SocketAddr>().is_ok() {
        Err(format!(
            "`{text}` is an address, and discovery \"srv\" takes names of services; set discovery = \"static\""
        ))
    } else if host.len() < text.len() {
        Err(format!(
            "`{text}` has a port, but with discovery \"srv\" the SRV records say the port; write \"{host}\""
        ))
    } else {
        check_host(text)?;
        Ok(Target::Service(text.to_owned()))
    }
}

fn host_and_port(text: &str) -> Result<Target, String> {
    let Some((host, port)) = text.rsplit_once(':') else {
        return Err(format!("`{text}` has no port; write \"host:port\""));
    };
    // Parsing alone would let a leading plus pass.
    let digits = port.bytes().all(|b| b.is_ascii_digit());
    let port = match port.parse::<u16>() {
        Ok(port) if port > 0 && digits => port,
        _ => return Err(format!("`{port}` is not a port from 1 to 65535")),
    };
    if let Some(inner) = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
        return match inner.parse() {
            Ok(ip) => Ok(Target::Ip(SocketAddr::new(IpAddr::V6(ip), port))),
            Err(_) => Err(format!("`{inner}` is not an IPv6 address")),
        };
    }
    if host.contains(':') {
        return Err(format!(
            "an IPv6 address stands in brackets; write \"[{host}]:{port}\""
        ));
    }
    if let Ok(ip) = host.parse() {
        return Ok(Target::Ip(SocketAddr::new(IpAddr::V4(ip), port)));
    }
    check_host(host)?;
    Ok(Target::Host {
        host: host.to_owned(),
        port,
    })
}

/// RFC 1123, section 2.1, and underscores, which names of services and of containers have.
fn check_host(host: &str) -> Result<(), String> {
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
        Err(format!("`{host}` is not a host name"))
    } else if last.bytes().all(|b| b.is_ascii_digit()) {
        // No top-level name is a number: such text is a mistyped address, and resolvers would guess at it.
        Err(format!(
            "`{host}` is neither an IPv4 address nor a host name"
        ))
    } else {
        Ok(())
    }
}

impl<'de> Deserialize<'de> for EndpointConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Table {
            #[serde(deserialize_with = "relative_to_file")]
            address: String,
            #[serde(default = "one")]
            weight: u32,
        }

        struct Entry(EndpointConfig);

        impl<'de> Deserialize<'de> for Entry {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                text_or_table(
                    deserializer,
                    "\"host:port\" or `{ address = \"host:port\", weight = 2 }`",
                    |address| {
                        Ok(EndpointConfig {
                            address: address.to_owned(),
                            weight: one(),
                        })
                    },
                    |Table { address, weight }| EndpointConfig { address, weight },
                )
                .map(Entry)
            }
        }

        relative_to_file(deserializer).map(|Entry(endpoint)| endpoint)
    }
}

fn one() -> u32 {
    1
}

impl Serialize for EndpointConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.weight == 1 {
            return serializer.serialize_str(&self.address);
        }
        let mut table = serializer.serialize_struct("EndpointConfig", 2)?;
        table.serialize_field("address", &self.address)?;
        table.serialize_field("weight", &self.weight)?;
        table.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn target(text: &str, discovery: Discovery) -> Result<Target, String> {
        let entry = EndpointConfig {
            address: text.to_owned(),
            weight: 1,
        };
        entry.target(discovery)
    }

    fn host(host: &str, port: u16) -> Result<Target, String> {
        Ok(Target::Host {
            host: host.to_owned(),
            port,
        })
    }

    #[test]
    fn addresses_and_names_have_ports() {
        let dns = |text| target(text, Discovery::Dns);
        assert_eq!(dns("app:8080"), host("app", 8080));
        assert_eq!(dns("my_app.example.com.:1"), host("my_app.example.com.", 1));
        assert_eq!(
            dns("10.0.0.1:80"),
            Ok(Target::Ip(([10, 0, 0, 1], 80).into()))
        );
        assert_eq!(
            dns("[::1]:65535"),
            Ok(Target::Ip("[::1]:65535".parse().unwrap()))
        );
        assert_eq!(
            dns("unix:/run/app.sock"),
            Ok(Target::Unix(Path::new("/run/app.sock").into()))
        );
    }

    #[test]
    fn mistakes_say_how_to_mend_them() {
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
            let error = target(text, Discovery::Dns).expect_err(text);
            assert!(error.contains(says), "{text}: {error}");
        }
    }

    #[test]
    fn services_have_no_port_and_static_ones_no_name() {
        assert_eq!(
            target("_http._tcp.app.example", Discovery::Srv),
            Ok(Target::Service("_http._tcp.app.example".into()))
        );
        for text in ["10.0.0.1", "10.0.0.1:80", "_http._tcp.app:80", "::1"] {
            assert!(target(text, Discovery::Srv).is_err(), "{text}");
        }
        assert!(target("10.0.0.1:80", Discovery::Static).is_ok());
        assert!(target("app:80", Discovery::Static).is_err());
    }

    #[test]
    fn an_entry_is_text_or_a_table() {
        #[derive(Deserialize, Serialize, PartialEq, Debug)]
        struct Block {
            endpoints: Vec<EndpointConfig>,
        }
        let text = r#"endpoints = ["a:1", { address = "b:2" }, { address = "c:3", weight = 7 }]"#;
        let block: Block = toml::from_str(text).unwrap();
        let weights: Vec<u32> = block.endpoints.iter().map(|e| e.weight).collect();
        assert_eq!(weights, [1, 1, 7]);
        assert_eq!(
            serde_json::to_string(&block.endpoints).unwrap(),
            r#"["a:1","b:2",{"address":"c:3","weight":7}]"#
        );
        let unknown = r#"endpoints = [{ address = "b:2", wieght = 2 }]"#;
        let error = toml::from_str::<Block>(unknown).unwrap_err().to_string();
        assert!(error.contains("unknown field `wieght`"), "{error}");
    }

    proptest! {
        #[test]
        fn any_text_is_a_target_or_a_mistake(text in "\\PC{0,40}") {
            for discovery in [Discovery::Dns, Discovery::Srv, Discovery::Static] {
                let _ = target(&text, discovery);
            }
        }

        #[test]
        fn every_socket_address_is_itself(ip: std::net::IpAddr, port in 1u16..) {
            let address = SocketAddr::new(ip, port);
            prop_assert_eq!(target(&address.to_string(), Discovery::Dns), Ok(Target::Ip(address)));
        }
    }
}
