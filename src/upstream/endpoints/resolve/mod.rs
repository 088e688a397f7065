//! From a name to addresses, whoever answers.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use futures_util::future::{BoxFuture, join_all};

use super::address::Address;
use super::entry::Target;
use super::knowledge::{Host, Knowledge};
use super::set::Resolved;

/// What names stand for.
pub trait Resolve: Send + Sync {
    /// The addresses of `host`: at least one, or a failure.
    fn addresses<'a>(
        &'a self,
        host: &'a str,
        known: Known<'a>,
    ) -> BoxFuture<'a, Result<Found<Addresses>, Failure>>;

    /// The SRV records of `name`: at least one, or a failure.
    fn services<'a>(
        &'a self,
        name: &'a str,
        known: Known<'a>,
    ) -> BoxFuture<'a, Result<Found<Answer<Service>>, Failure>>;
}

/// What is known already of a name that is asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Known<'a> {
    /// The whole name that answered last. None that stands further along the search list may take its place: it
    /// would be a stranger's.
    pub name: Option<&'a str>,
    /// Whether there is an address to use meanwhile: then it does no harm to wait for a late answer.
    pub usable: bool,
}

/// What was found, and under which name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found<T> {
    /// The whole name, an entry of the search list included; none for what needs no name server.
    pub name: Option<String>,
    pub what: T,
}

/// Records, and how long they may be relied on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer<T> {
    pub records: Vec<T>,
    pub ttl: Duration,
}

/// The addresses of a host by version of IP. Each is asked for alone, and may fail alone.
#[derive(Clone, Debug)]
pub struct Addresses {
    pub v4: Result<Answer<IpAddr>, Failure>,
    pub v6: Result<Answer<IpAddr>, Failure>,
}

impl Addresses {
    /// All that are known.
    pub fn all(self) -> Vec<IpAddr> {
        let halves = [self.v4, self.v6].into_iter().flatten();
        halves.flat_map(|answer| answer.records).collect()
    }
}

/// Why a name did not resolve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// There is no such name.
    NoName,
    /// The name exists, and has no such records.
    NoRecords(String),
    /// A name server answered that it cannot or will not tell.
    Refused(String),
    /// No name server answered.
    Silence(String),
}

impl Failure {
    /// Whether the question was answered: with no.
    pub fn is_denial(&self) -> bool {
        matches!(self, Failure::NoName | Failure::NoRecords(_))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::NoName => f.write_str("there is no such name"),
            Failure::NoRecords(text) | Failure::Refused(text) | Failure::Silence(text) => {
                f.write_str(text)
            }
        }
    }
}

/// An SRV record (RFC 2782).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Lower ones come first.
    pub priority: u16,
    /// Share of the requests among those of the same priority; 0 is the smallest.
    pub weight: u16,
    pub port: u16,
    pub host: String,
}

/// Where a target leads.
#[derive(Debug)]
pub struct Resolution {
    /// In an order of its own: name servers shuffle their answers.
    pub records: Vec<Resolved>,
    pub ttl: Duration,
    /// Why a part of it could not be asked for: what was known of that part still counts.
    pub failure: Option<Failure>,
}

/// Resolves what `target` names. `knowledge` has what was known of its parts, and keeps what is known now; after a
/// failure it means nothing.
pub async fn resolve(
    target: &Target,
    resolver: &dyn Resolve,
    knowledge: &mut Knowledge,
) -> Result<Resolution, Failure> {
    match target {
        Target::Host { host, port } => {
            let known = knowledge.hosts.entry(host.clone()).or_default();
            let found = resolver.addresses(host, known.known()).await?;
            let (ttl, failure) = known.learn(found);
            Ok(Resolution {
                records: located(known.addresses(), *port, &target.host_header(), 1),
                ttl,
                failure,
            })
        }
        Target::Service(name) => resolve_services(name, resolver, knowledge).await,
        Target::Ip(_) | Target::Unix(_) => {
            Err(Failure::NoRecords(format!("{target} is not a name")))
        }
    }
}

/// The services of the lowest priority number of which some has an address.
async fn resolve_services(
    name: &str,
    resolver: &dyn Resolve,
    knowledge: &mut Knowledge,
) -> Result<Resolution, Failure> {
    let known = knowledge.services.as_ref();
    let asked = Known {
        name: known.and_then(|found| found.name.as_deref()),
        usable: known.is_some(),
    };
    let mut ttl = Duration::MAX;
    let mut failure = None;
    match resolver.services(name, asked).await {
        Ok(Found { name, what }) => {
            ttl = what.ttl;
            let what = what.records;
            knowledge.services = Some(Found { name, what });
        }
        Err(error) if known.is_none() => return Err(error),
        Err(error) => failure = Some(error),
    }
    let Knowledge { services, hosts } = knowledge;
    let mut rest: Vec<Service> = services
        .iter()
        .flat_map(|found| found.what.clone())
        .collect();
    hosts.retain(|host, _| rest.iter().any(|service| service.host == *host));
    rest.sort_by(|a, b| (a.priority, &a.host, a.port).cmp(&(b.priority, &b.host, b.port)));
    let mut why = Failure::NoRecords("no service has an address".into());
    while let Some(priority) = rest.first().map(|service| service.priority) {
        let count = rest.partition_point(|service| service.priority == priority);
        let group: Vec<Service> = rest.drain(..count).collect();
        let answers = join_all(group.iter().map(|service| {
            let known = hosts.get(&service.host).map(Host::known);
            resolver.addresses(&service.host, known.unwrap_or_default())
        }))
        .await;
        let mut records = Vec::new();
        for (service, answer) in group.iter().zip(answers) {
            let host = hosts.entry(service.host.clone()).or_default();
            match answer {
                Ok(found) => {
                    let (lasts, missing) = host.learn(found);
                    ttl = ttl.min(lasts);
                    failure = failure.or(missing);
                }
                Err(error) => {
                    // Asked for again as soon as may be.
                    ttl = Duration::ZERO;
                    why = error.clone();
                    match error.is_denial() {
                        true => *host = Host::default(),
                        // For a moment: it stays where it was, so that its requests do not go to a spare.
                        false => failure = failure.or(Some(error)),
                    }
                }
            }
            let name = format!("{}:{}", service.host.trim_end_matches('.'), service.port);
            let weight = u32::from(service.weight).max(1);
            records.extend(located(host.addresses(), service.port, &name, weight));
        }
        if !records.is_empty() {
            return Ok(Resolution {
                records,
                ttl,
                failure,
            });
        }
    }
    Err(failure.unwrap_or(why))
}

/// Endpoints at these addresses. The two addresses of the loopback are one endpoint: they lead to the same
/// machine, on which a server may listen at one of them only.
fn located(mut addresses: Vec<IpAddr>, port: u16, name: &str, weight: u32) -> Vec<Resolved> {
    addresses.sort_unstable();
    addresses.dedup();
    let loopback = [
        IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(Ipv6Addr::LOCALHOST),
    ];
    let both = loopback.iter().all(|ip| addresses.contains(ip));
    let address = |ip: IpAddr| match ip {
        ip if both && ip == loopback[0] => Some(Address::Localhost(port)),
        ip if both && ip == loopback[1] => None,
        ip => Some(Address::Tcp((ip, port).into())),
    };
    let found = addresses.into_iter().filter_map(address);
    found
        .map(|address| Resolved::new(address, name, weight))
        .collect()
}

#[cfg(test)]
mod tests;
