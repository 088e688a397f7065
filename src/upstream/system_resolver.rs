//! Names as this machine knows them: the hosts file, the loopback names, and then DNS.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use futures_util::future::BoxFuture;
use hickory_resolver::config::{LookupIpStrategy, ResolveHosts, ResolverConfig, ResolverOpts};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::op::Query;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use hickory_resolver::{Hosts, TokioResolver, system_conf};

use super::resolve::{Answer, Failure, Resolve, Service};

/// How long the hosts file is relied on.
const HOSTS_TTL: Duration = Duration::from_secs(5);

/// Resolves by `/etc/hosts` and `/etc/resolv.conf`, which are read again when they change. Either may be missing.
pub struct SystemResolver {
    hosts: Reread<Hosts>,
    dns: Reread<TokioResolver>,
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
        let name = Name::from_str_relaxed(host).ok()?;
        let hosts = self.hosts.get();
        let found: Vec<IpAddr> = [RecordType::A, RecordType::AAAA]
            .into_iter()
            .filter_map(|kind| {
                let query = Query::query(name.clone(), kind);
                hosts.as_ref()?.lookup_static_host(&query)
            })
            .flat_map(|lookup| {
                let records = lookup.answers().iter();
                records.filter_map(|r| r.data.ip_addr()).collect::<Vec<_>>()
            })
            .collect();
        if !found.is_empty() {
            return Some(found);
        }
        // RFC 6761, section 6.3: these are the loopback, and name servers are not asked.
        let name = host.trim_end_matches('.').to_ascii_lowercase();
        (name == "localhost" || name.ends_with(".localhost"))
            .then(|| vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()])
    }

    fn dns(&self) -> Result<Arc<TokioResolver>, Failure> {
        self.dns
            .get()
            .ok_or_else(|| "no name server is configured".into())
    }
}

impl Resolve for SystemResolver {
    fn addresses<'a>(&'a self, host: &'a str) -> BoxFuture<'a, Result<Answer<IpAddr>, Failure>> {
        Box::pin(async move {
            if let Some(records) = self.local(host) {
                let ttl = HOSTS_TTL;
                return Ok(Answer { records, ttl });
            }
            let lookup = self.dns()?.lookup_ip(host).await?;
            answer(lookup.iter().collect(), lookup.valid_until())
        })
    }

    fn services<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Answer<Service>, Failure>> {
        Box::pin(async move {
            let lookup = self.dns()?.srv_lookup(name).await?;
            let service = |data: &RData| match data {
                // RFC 2782: the target "." says that there is no such service.
                RData::SRV(srv) if !srv.target.is_root() => Some(Service {
                    priority: srv.priority,
                    weight: srv.weight,
                    port: srv.port,
                    host: srv.target.to_ascii(),
                }),
                _ => None,
            };
            let records = lookup.answers().iter().filter_map(|r| service(&r.data));
            answer(records.collect(), lookup.valid_until())
        })
    }
}

fn answer<T>(records: Vec<T>, valid_until: Instant) -> Result<Answer<T>, Failure> {
    match records.is_empty() {
        true => Err("the answer has no records".into()),
        false => Ok(Answer {
            records,
            ttl: valid_until.saturating_duration_since(Instant::now()),
        }),
    }
}

fn read_hosts(path: &Path) -> Result<Hosts, Failure> {
    let mut hosts = Hosts::default();
    hosts.read_hosts_conf(std::fs::File::open(path)?)?;
    Ok(hosts)
}

fn read_resolv_conf(path: &Path) -> Result<TokioResolver, Failure> {
    let (config, options) = system_conf::parse_resolv_conf(std::fs::read(path)?)?;
    client(config, options)
}

fn client(config: ResolverConfig, options: ResolverOpts) -> Result<TokioResolver, Failure> {
    let provider = TokioRuntimeProvider::default();
    let mut builder = TokioResolver::builder_with_config(config, provider);
    *builder.options_mut() = options;
    let options = builder.options_mut();
    options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    options.use_hosts_file = ResolveHosts::Never;
    // Whoever asks here has waited for the TTL already, and wants to hear what is true now.
    options.cache_size = 0;
    builder.build().map_err(NetError::into)
}

/// Something read from a file, read again when the file changed.
struct Reread<T> {
    path: PathBuf,
    read: fn(&Path) -> Result<T, Failure>,
    last: Mutex<Last<T>>,
}

struct Last<T> {
    /// Time and length of the file that was read; None before the first time and for a file that is missing.
    stamp: Option<(SystemTime, u64)>,
    looked: bool,
    value: Option<Arc<T>>,
}

impl<T> Reread<T> {
    fn new(path: &Path, read: fn(&Path) -> Result<T, Failure>) -> Self {
        Reread {
            path: path.to_owned(),
            read,
            last: Mutex::new(Last {
                stamp: None,
                looked: false,
                value: None,
            }),
        }
    }

    /// What the file says now, or what it said when it could be read last.
    fn get(&self) -> Option<Arc<T>> {
        let stamp = std::fs::metadata(&self.path)
            .ok()
            .and_then(|found| Some((found.modified().ok()?, found.len())));
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if !last.looked || last.stamp != stamp {
            last.looked = true;
            last.stamp = stamp;
            match (self.read)(&self.path) {
                Ok(value) => last.value = Some(Arc::new(value)),
                Err(failure) => {
                    let path = self.path.display();
                    tracing::warn!("{path} is not used to resolve names: {failure}");
                }
            }
        }
        last.value.clone()
    }
}

#[cfg(test)]
#[path = "system_resolver_tests.rs"]
mod tests;
