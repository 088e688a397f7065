//! From a name to addresses, whoever answers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use futures_util::future::{BoxFuture, join_all};

use super::connector::Address;
use super::endpoint_set::Resolved;
use super::target::Target;

/// Why a name did not resolve.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What names stand for.
pub trait Resolve: Send + Sync {
    /// All addresses of `host`: at least one, or a failure.
    fn addresses<'a>(&'a self, host: &'a str) -> BoxFuture<'a, Result<Answer<IpAddr>, Failure>>;

    /// The SRV records of `name`: at least one, or a failure.
    fn services<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Answer<Service>, Failure>>;
}

/// Records, and how long they may be relied on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer<T> {
    pub records: Vec<T>,
    pub ttl: Duration,
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

/// Resolves what `target` names. The result is in an order of its own: name servers shuffle their answers.
pub async fn resolve(target: &Target, resolver: &dyn Resolve) -> Result<Answer<Resolved>, Failure> {
    match target {
        Target::Host { host, port } => {
            let Answer { records, ttl } = resolver.addresses(host).await?;
            let name = target.host_header();
            Ok(Answer {
                records: located(records, *port, &name, 1),
                ttl,
            })
        }
        Target::Service(name) => resolve_services(resolver.services(name).await?, resolver).await,
        Target::Ip(_) | Target::Unix(_) => Err("not a name".into()),
    }
}

/// The services of the lowest priority number of which some has an address.
async fn resolve_services(
    services: Answer<Service>,
    resolver: &dyn Resolve,
) -> Result<Answer<Resolved>, Failure> {
    let mut rest = services.records;
    rest.sort_by(|a, b| (a.priority, &a.host, a.port).cmp(&(b.priority, &b.host, b.port)));
    let mut failure = "no service has an address".into();
    while let Some(priority) = rest.first().map(|service| service.priority) {
        let count = rest.partition_point(|service| service.priority == priority);
        let group: Vec<Service> = rest.drain(..count).collect();
        let answers = join_all(group.iter().map(|s| resolver.addresses(&s.host))).await;
        let mut found = Answer {
            records: Vec::new(),
            ttl: services.ttl,
        };
        for (service, answer) in group.iter().zip(answers) {
            match answer {
                Ok(Answer { records, ttl }) => {
                    found.ttl = found.ttl.min(ttl);
                    let name = format!("{}:{}", service.host.trim_end_matches('.'), service.port);
                    let weight = u32::from(service.weight).max(1);
                    let located = located(records, service.port, &name, weight);
                    found.records.extend(located);
                }
                Err(error) => {
                    // Asked for again as soon as may be.
                    found.ttl = Duration::ZERO;
                    failure = error;
                }
            }
        }
        if !found.records.is_empty() {
            return Ok(found);
        }
    }
    Err(failure)
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
mod tests {
    use super::super::fake::Names;
    use super::*;

    async fn found(target: &Target, names: &Names) -> Result<Vec<String>, String> {
        let answer = resolve(target, names).await.map_err(|e| e.to_string())?;
        let shown = |r: &Resolved| format!("{} {} {}", r.address, r.name, r.weight);
        Ok(answer.records.iter().map(shown).collect())
    }

    fn host(host: &str) -> Target {
        Target::Host {
            host: host.into(),
            port: 80,
        }
    }

    fn service(priority: u16, weight: u16, port: u16, host: &str) -> Service {
        Service {
            priority,
            weight,
            port,
            host: host.into(),
        }
    }

    #[tokio::test]
    async fn a_host_is_all_its_addresses_in_order() {
        let names = Names::default();
        names.set("app.", &["10.0.0.2", "::2", "10.0.0.1", "10.0.0.2"]);
        let expected = [
            "10.0.0.1:80 app:80 1",
            "10.0.0.2:80 app:80 1",
            "[::2]:80 app:80 1",
        ];
        assert_eq!(found(&host("app."), &names).await.unwrap(), expected);
        assert!(found(&host("nobody"), &names).await.is_err());
    }

    #[tokio::test]
    async fn the_loopback_is_one_endpoint() {
        let names = Names::default();
        names.set("localhost", &["::1", "127.0.0.1"]);
        names.set("v6", &["::1"]);
        let of = async |name| found(&host(name), &names).await.unwrap();
        assert_eq!(of("localhost").await, ["localhost:80 localhost:80 1"]);
        assert_eq!(of("v6").await, ["[::1]:80 v6:80 1"]);
    }

    #[tokio::test]
    async fn services_of_the_lowest_priority_with_addresses_count() {
        let names = Names::default();
        let target = Target::Service("_http._tcp.app".into());
        names.set_services(
            "_http._tcp.app",
            vec![
                service(20, 0, 82, "spare."),
                service(10, 0, 81, "b."),
                service(10, 60, 80, "a."),
                service(1, 1, 80, "gone."),
            ],
        );
        names.set("a.", &["10.0.0.1"]);
        names.set("spare.", &["10.0.0.3"]);
        let of = async || found(&target, &names).await;
        assert_eq!(of().await.unwrap(), ["10.0.0.1:80 a:80 60"]);
        names.set("b.", &["10.0.0.2"]);
        let expected = ["10.0.0.1:80 a:80 60", "10.0.0.2:81 b:81 1"];
        assert_eq!(of().await.unwrap(), expected);
        names.fail("a.");
        names.fail("b.");
        assert_eq!(of().await.unwrap(), ["10.0.0.3:82 spare:82 1"]);
        names.fail("spare.");
        assert!(of().await.is_err());
    }
}
