//! Names as this machine knows them: the hosts file, the loopback names, and then DNS.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use hickory_resolver::config::NameServerConfig;
use hickory_resolver::proto::rr::{RData, RecordType};

use super::hosts_file::{self, Hosts};
use super::name_servers::NameServers;
use super::odd_lines::OddLines;
use super::reread::Reread;
use super::resolv_conf::{self, ResolvConf};
use super::{Addresses, Answer, Failure, Found, Known, Resolve, Service};

/// How long the hosts file is relied on.
const HOSTS_TTL: Duration = Duration::from_secs(5);

/// Resolves by `/etc/hosts` and `/etc/resolv.conf`, which are read again when they change. Either may be missing.
pub struct SystemResolver {
    hosts: Reread<Hosts>,
    dns: Reread<NameServers>,
}

impl Default for SystemResolver {
    fn default() -> Self {
        Self::of(Path::new("/etc/hosts"), Path::new("/etc/resolv.conf"))
    }
}

impl SystemResolver {
    pub fn new() -> Self {
        Self::default()
    }

    fn of(hosts: &Path, resolv_conf: &Path) -> Self {
        SystemResolver {
            hosts: Reread::new(hosts, read_hosts),
            dns: Reread::new(resolv_conf, read_resolv_conf),
        }
    }

    /// As the C library does it: a name that the hosts file has is not asked for elsewhere, not even for the
    /// other version of IP.
    fn local(&self, host: &str) -> Option<Vec<IpAddr>> {
        let name = hosts_file::key(host);
        let hosts = self.hosts.get();
        if let Some(found) = hosts.as_ref().and_then(|hosts| hosts.get(&name)) {
            return Some(found.clone());
        }
        // RFC 6761, section 6.3: these are the loopback, and name servers are not asked.
        (name == "localhost" || name.ends_with(".localhost"))
            .then(|| vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()])
    }

    fn dns(&self) -> Result<Arc<NameServers>, Failure> {
        let unread = || Failure::Refused("/etc/resolv.conf cannot be read".into());
        self.dns.get().ok_or_else(unread)
    }
}

impl Resolve for SystemResolver {
    fn addresses<'a>(
        &'a self,
        host: &'a str,
        known: Known<'a>,
    ) -> BoxFuture<'a, Result<Found<Addresses>, Failure>> {
        Box::pin(async move {
            if let Some(records) = self.local(host) {
                return Ok(Found {
                    name: None,
                    what: by_version(records),
                });
            }
            let dns = self.dns()?;
            let ask = |name: String| {
                let dns = dns.clone();
                async move { dns.addresses(&name, known.usable).await }
            };
            dns.candidates(host).walk(known, ask).await
        })
    }

    fn services<'a>(
        &'a self,
        name: &'a str,
        known: Known<'a>,
    ) -> BoxFuture<'a, Result<Found<Answer<Service>>, Failure>> {
        Box::pin(async move {
            let dns = self.dns()?;
            let ask = |name: String| {
                let dns = dns.clone();
                async move { dns.ask(&name, RecordType::SRV, service).await }
            };
            dns.candidates(name).walk(known, ask).await
        })
    }
}

fn service(data: &RData) -> Option<Service> {
    match data {
        // RFC 2782: the target "." says that there is no such service.
        RData::SRV(srv) if !srv.target.is_root() => Some(Service {
            priority: srv.priority,
            weight: srv.weight,
            port: srv.port,
            host: srv.target.to_ascii(),
        }),
        _ => None,
    }
}

/// As the hosts file has them: what it lacks, there is not.
fn by_version(records: Vec<IpAddr>) -> Addresses {
    let (v4, v6) = records.into_iter().partition(IpAddr::is_ipv4);
    let half = |records: Vec<IpAddr>| {
        if records.is_empty() {
            Err(Failure::NoRecords("none of this version".into()))
        } else {
            Ok(Answer {
                records,
                ttl: HOSTS_TTL,
            })
        }
    };
    Addresses {
        v4: half(v4),
        v6: half(v6),
    }
}

fn read_hosts(path: &Path) -> std::io::Result<Hosts> {
    let mut odd = OddLines::default();
    let hosts = hosts_file::parse(&std::fs::read(path)?, &mut odd);
    odd.tell(path);
    Ok(hosts)
}

fn read_resolv_conf(path: &Path) -> std::io::Result<NameServers> {
    let conf = resolv_conf(path)?;
    let servers = conf.servers.iter();
    let servers = servers
        .map(|ip| NameServerConfig::udp_and_tcp(*ip))
        .collect();
    NameServers::new(conf, servers).map_err(std::io::Error::other)
}

fn resolv_conf(path: &Path) -> std::io::Result<ResolvConf> {
    let text = match std::fs::read(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        read => read?,
    };
    let host_name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let mut odd = OddLines::default();
    let mut conf = resolv_conf::parse(&text, host_name.trim(), &mut odd);
    odd.tell(path);
    if conf.servers.is_empty() {
        // resolv.conf(5)
        conf.servers.push(Ipv4Addr::LOCALHOST.into());
        let path = path.display();
        tracing::info!("{path} names no name server: the one of this machine is asked");
    }
    Ok(conf)
}

#[cfg(test)]
mod tests;
