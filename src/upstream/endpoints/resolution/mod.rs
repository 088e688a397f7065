//! The addresses that an entry of the config stands for now.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use futures_util::future::join_all;

use super::address::Address;
use super::destination::Destination;
use super::knowledge::{Host, Knowledge};
use super::set::Resolved;
use crate::net::resolve::{Failure, Found, Known, Resolve, Service};

/// Where a destination is.
#[derive(Debug)]
pub struct Resolution {
    /// In an order of its own: name servers shuffle their answers.
    pub records: Vec<Resolved>,
    pub ttl: Duration,
    /// Why a part of it could not be asked for: what was known of that part still counts.
    pub failure: Option<Failure>,
}

/// Resolves what `destination` names. `knowledge` has what was known of its parts, and keeps what is known now; after a
/// failure it means nothing.
pub async fn resolve(
    destination: &Destination,
    resolver: &dyn Resolve,
    knowledge: &mut Knowledge,
) -> Result<Resolution, Failure> {
    match destination {
        Destination::Host { host, port } => {
            let known = knowledge.hosts.entry(host.clone()).or_default();
            let found = resolver.addresses(host, known.known()).await?;
            let (ttl, failure) = known.learn(found);
            Ok(Resolution {
                records: located(known.addresses(), *port, &destination.host_header(), 1),
                ttl,
                failure,
            })
        }
        Destination::Service(name) => resolve_services(name, resolver, knowledge).await,
        Destination::Ip(_) | Destination::Unix(_) => {
            Err(Failure::NoRecords(format!("{destination} is not a name")))
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
                    if error.is_denial() {
                        *host = Host::default()
                    } else {
                        // For a moment: it stays where it was, so that its requests do not go to a spare.
                        failure = failure.or(Some(error))
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
