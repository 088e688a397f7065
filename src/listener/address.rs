//! Where a listener listens.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize, Serializer};

use crate::value::{LONGEST_SOCKET_PATH, Wrong, text_relative_to_file, variable_in};

/// A socket address or the path of a unix socket.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ListenAddress {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl ListenAddress {
    /// Whether only this machine can reach it.
    pub fn is_local(&self) -> bool {
        match self {
            ListenAddress::Tcp(address) => address.ip().is_loopback(),
            ListenAddress::Unix(_) => true,
        }
    }
}

impl ListenAddress {
    /// Whether two sockets that listen here and there would be in each other's way: one address, or one port of
    /// which one of the two takes all addresses. Port 0 stands for any free one.
    pub fn collides_with(&self, other: &ListenAddress) -> bool {
        let (ListenAddress::Tcp(a), ListenAddress::Tcp(b)) = (self, other) else {
            return self == other;
        };
        a.port() != 0 && a.port() == b.port() && (a.ip() == b.ip() || takes(a, b) || takes(b, a))
    }
}

/// Whether `all` stands for every address, that of `one` among them. `[::]` stands for those of IPv4 too.
fn takes(all: &SocketAddr, one: &SocketAddr) -> bool {
    all.ip().is_unspecified() && (all.is_ipv6() || one.is_ipv4())
}

impl FromStr for ListenAddress {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Self, Wrong> {
        let Some(path) = text.strip_prefix("unix:") else {
            return text.parse().map(ListenAddress::Tcp).map_err(|_| mend(text));
        };
        match path.len() {
            0 => {
                Err(Wrong::new("a unix socket needs a path").help("write it like \"unix:/run/outrigger.sock\""))
            }
            1..=LONGEST_SOCKET_PATH => Ok(ListenAddress::Unix(path.into())),
            length => Err(Wrong::new(format!("the path of a unix socket may have {LONGEST_SOCKET_PATH} bytes, and `{path}` has {length}")).help("write a shorter one")),
        }
    }
}

/// What is wrong with text that is no address, and how it was probably meant.
fn mend(text: &str) -> Wrong {
    if let Some(wrong) = variable_in(text) {
        return wrong;
    }
    let wrong = format!("`{text}` is not an address to listen on");
    let (host, port) = text.rsplit_once(':').unwrap_or((text, ""));
    if port.len() > 4 && port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_err() {
        return Wrong::new(format!("{wrong}: `{port}` is no port")).help("a port is 65535 at most");
    }
    let meant = match host {
        "" | "*" => format!("0.0.0.0:{port}"),
        "localhost" => format!("127.0.0.1:{port}"),
        _ if text.starts_with(['/', '.']) => format!("unix:{text}"),
        _ if text.parse::<IpAddr>().is_ok_and(|ip| ip.is_ipv4()) => format!("{text}:15001"),
        host => format!("[{host}]:{port}"),
    };
    if meant.starts_with("unix:") || meant.parse::<SocketAddr>().is_ok() {
        Wrong::new(wrong).help(format!("write \"{meant}\""))
    } else {
        Wrong::new(wrong)
            .help("write \"127.0.0.1:15001\", \"[::1]:15001\" or \"unix:/run/outrigger.sock\"")
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ListenAddress::Tcp(address) => address.fmt(f),
            ListenAddress::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl fmt::Debug for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl<'de> Deserialize<'de> for ListenAddress {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text_relative_to_file(deserializer, "an address such as \"127.0.0.1:15001\"")
    }
}

impl Serialize for ListenAddress {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn problems_say_how_to_mend_them() {
        for (text, says) in [
            ("127.0.0.1", "write \"127.0.0.1:15001\""),
            (":15001", "write \"0.0.0.0:15001\""),
            ("*:15001", "write \"0.0.0.0:15001\""),
            ("localhost:15001", "write \"127.0.0.1:15001\""),
            ("::1:15001", "write \"[::1]:15001\""),
            ("/run/a.sock", "write \"unix:/run/a.sock\""),
            ("127.0.0.1:70001", "65535 at most"),
            ("[::1]:65536", "65535 at most"),
            ("${HOST}:15001", "write the value itself"),
            ("http://a:1", "write \"127.0.0.1:15001\","),
            ("", "write \"127.0.0.1:15001\","),
            ("unix:", "needs a path"),
        ] {
            let error = text.parse::<ListenAddress>().expect_err(text);
            assert!(error.to_string().contains(says), "{text}: {error}");
        }
    }

    #[test]
    fn all_addresses_collide_with_each() {
        let collide = |a: &str, b: &str| {
            let (a, b): (ListenAddress, ListenAddress) = (a.parse().unwrap(), b.parse().unwrap());
            assert_eq!(a.collides_with(&b), b.collides_with(&a));
            a.collides_with(&b)
        };
        assert!(collide("127.0.0.1:80", "127.0.0.1:80"));
        assert!(collide("0.0.0.0:80", "127.0.0.1:80"));
        assert!(collide("[::]:80", "0.0.0.0:80"));
        assert!(collide("[::]:80", "10.0.0.1:80"));
        assert!(collide("unix:/a", "unix:/a"));
        assert!(!collide("0.0.0.0:80", "[::1]:80"));
        assert!(!collide("127.0.0.1:80", "127.0.0.2:80"));
        assert!(!collide("0.0.0.0:80", "127.0.0.1:81"));
        assert!(!collide("127.0.0.1:0", "127.0.0.1:0"));
        assert!(!collide("unix:/a", "0.0.0.0:80"));
    }

    #[test]
    fn a_unix_path_has_room_in_a_socket_s_address() {
        let path =
            |length: usize| format!("unix:/{}", "a".repeat(length - 1)).parse::<ListenAddress>();
        assert!(path(107).is_ok());
        assert!(path(108).unwrap_err().to_string().contains("has 108"));
    }

    proptest! {
        #[test]
        fn any_text_is_an_address_or_a_problem(text in "\\PC{0,20}|[0-9.:*\\[\\]]{0,20}") {
            let _ = text.parse::<ListenAddress>();
        }
    }
}
