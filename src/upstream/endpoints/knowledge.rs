//! What is known of a destination, part by part: the failure of one part costs no more than what is new of that part.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use crate::net::resolve::{Addresses, Failure, Found, Known, Service};

/// What the last good answers said.
#[derive(Clone, Debug, Default)]
pub struct Knowledge {
    /// The SRV records, where the destination is a service.
    pub services: Option<Found<Vec<Service>>>,
    /// By the name that the config or an SRV record has.
    pub hosts: HashMap<String, Host>,
}

/// The addresses of a host.
#[derive(Clone, Debug, Default)]
pub struct Host {
    /// The whole name that has them.
    name: Option<String>,
    v4: Vec<IpAddr>,
    v6: Vec<IpAddr>,
}

impl Host {
    /// For who asks again.
    pub fn known(&self) -> Known<'_> {
        Known {
            name: self.name.as_deref(),
            usable: !self.v4.is_empty() || !self.v6.is_empty(),
        }
    }

    pub fn addresses(&self) -> Vec<IpAddr> {
        [&self.v4[..], &self.v6[..]].concat()
    }

    /// Takes what was found. A version of IP that failed keeps its last addresses, unless they were another name's.
    /// Says how long all this may be relied on, and why a part of it could not be asked for.
    pub fn learn(&mut self, found: Found<Addresses>) -> (Duration, Option<Failure>) {
        let Found { name, what } = found;
        if self.name != name {
            *self = Host {
                name,
                ..Host::default()
            };
        }
        let mut ttl = Duration::MAX;
        let mut failure = None;
        for (last, now) in [(&mut self.v4, what.v4), (&mut self.v6, what.v6)] {
            match now {
                Ok(answer) => {
                    ttl = ttl.min(answer.ttl);
                    *last = answer.records;
                }
                Err(error) if error.is_denial() => last.clear(),
                Err(error) => failure = Some(error),
            }
        }
        (ttl, failure)
    }
}
