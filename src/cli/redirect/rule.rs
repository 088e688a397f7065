//! A rule, as iptables takes it and shows it.

use std::fmt;
use std::str::FromStr;

use ipnet::IpNet;

/// A rule of one of our chains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    Leave(Matched),
    /// To this port, all or what goes to `only`.
    Redirect {
        only: Option<Ports>,
        to: u16,
    },
}

/// What is left alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Matched {
    /// What this machine sends to itself.
    Loopback,
    Uid(u32),
    To(IpNet),
    Ports(Ports),
}

/// A port, or all from the first to the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ports(u16, u16);

impl Rule {
    /// The rule that `iptables -S` shows as `text`, behind the name of its chain. None where it is not one of ours.
    pub fn parse(text: &str) -> Option<Rule> {
        let words: Vec<&str> = text.split_ascii_whitespace().collect();
        let number = |text: &str| text.parse().ok();
        Some(match words.as_slice() {
            ["-o", "lo", "-j", "RETURN"] => Rule::Leave(Matched::Loopback),
            ["-m", "owner", "--uid-owner", uid, "-j", "RETURN"] => {
                Rule::Leave(Matched::Uid(uid.parse().ok()?))
            }
            ["-d", network, "-j", "RETURN"] => Rule::Leave(Matched::To(network.parse().ok()?)),
            ["-p", "tcp", "-m", "tcp", "--dport", ports, "-j", "RETURN"] => {
                Rule::Leave(Matched::Ports(ports.parse().ok()?))
            }
            ["-p", "tcp", "-j", "REDIRECT", "--to-ports", port] => Rule::Redirect {
                only: None,
                to: number(port)?,
            },
            [
                "-p",
                "tcp",
                "-m",
                "tcp",
                "--dport",
                ports,
                "-j",
                "REDIRECT",
                "--to-ports",
                port,
            ] => Rule::Redirect {
                only: Some(ports.parse().ok()?),
                to: number(port)?,
            },
            _ => return None,
        })
    }

    /// What it does, for people.
    pub fn words(&self) -> String {
        match self {
            Rule::Leave(Matched::Loopback) => {
                "left alone: what this machine sends to itself".to_owned()
            }
            Rule::Leave(Matched::Uid(uid)) => format!("left alone: what user {uid} sends"),
            Rule::Leave(Matched::To(network)) => format!("left alone: what goes to {network}"),
            Rule::Leave(Matched::Ports(ports)) => format!("left alone: what goes to port {ports}"),
            Rule::Redirect {
                only: Some(ports),
                to,
            } => format!("to port {to}: what goes to port {ports}"),
            Rule::Redirect { only: None, to } => format!("to port {to}: all else"),
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Rule::Leave(Matched::Loopback) => f.write_str("-o lo -j RETURN"),
            Rule::Leave(Matched::Uid(uid)) => write!(f, "-m owner --uid-owner {uid} -j RETURN"),
            Rule::Leave(Matched::To(network)) => write!(f, "-d {network} -j RETURN"),
            Rule::Leave(Matched::Ports(ports)) => {
                write!(f, "-p tcp -m tcp --dport {ports:#} -j RETURN")
            }
            Rule::Redirect {
                only: Some(ports),
                to,
            } => write!(
                f,
                "-p tcp -m tcp --dport {ports:#} -j REDIRECT --to-ports {to}"
            ),
            Rule::Redirect { only: None, to } => {
                write!(f, "-p tcp -j REDIRECT --to-ports {to}")
            }
        }
    }
}

impl FromStr for Ports {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (first, last) = text.split_once(['-', ':']).unwrap_or((text, text));
        let port = |text: &str| text.trim().parse().ok().filter(|port| *port != 0);
        match (port(first), port(last)) {
            (Some(first), Some(last)) if first <= last => Ok(Ports(first, last)),
            _ => Err("expected a port such as 22, or a range such as 8000-8010".to_owned()),
        }
    }
}

/// As people write it; with `#` as iptables does.
impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0, self.1) {
            (first, last) if first == last => first.fmt(f),
            (first, last) if f.alternate() => write!(f, "{first}:{last}"),
            (first, last) => write!(f, "{first}-{last}"),
        }
    }
}
