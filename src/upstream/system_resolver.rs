//! Names as this machine knows them: the hosts file, the loopback names, and then DNS.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use futures_util::future::BoxFuture;
use hickory_resolver::config::LookupIpStrategy;
use hickory_resolver::config::ResolveHosts;
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

impl SystemResolver {
    pub fn new() -> Self {
        Self::of(Path::new("/etc/hosts"), Path::new("/etc/resolv.conf"))
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

impl Default for SystemResolver {
    fn default() -> Self {
        Self::new()
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
mod tests {
    use super::*;

    fn resolver(hosts: Option<&str>) -> (tempfile::TempDir, SystemResolver) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("hosts");
        if let Some(text) = hosts {
            std::fs::write(&path, text).unwrap();
        }
        let resolver = SystemResolver::of(&path, &dir.path().join("resolv.conf"));
        (dir, resolver)
    }

    async fn found(resolver: &SystemResolver, host: &str) -> Vec<String> {
        match resolver.addresses(host).await {
            Ok(answer) => answer.records.iter().map(IpAddr::to_string).collect(),
            Err(failure) => vec![failure.to_string()],
        }
    }

    #[tokio::test]
    async fn localhost_needs_no_name_server() {
        let (_dir, resolver) = resolver(None);
        let both = ["127.0.0.1", "::1"];
        for host in ["localhost", "LocalHost.", "pay.localhost"] {
            assert_eq!(found(&resolver, host).await, both, "{host}");
        }
        let nobody = ["no name server is configured"];
        assert_eq!(found(&resolver, "notlocalhost").await, nobody);
        assert!(resolver.services("_http._tcp.app").await.is_err());
    }

    #[tokio::test]
    async fn the_hosts_file_comes_first_and_is_read_again() {
        let (dir, resolver) = resolver(Some("127.0.0.1 localhost # me\n10.0.0.1 App other\n"));
        assert_eq!(found(&resolver, "localhost").await, ["127.0.0.1"]);
        assert_eq!(found(&resolver, "app").await, ["10.0.0.1"]);
        std::fs::write(
            dir.path().join("hosts"),
            "10.0.0.1 app\n10.0.0.2 app\nfd00::1 app\n",
        )
        .unwrap();
        let all = ["10.0.0.1", "10.0.0.2", "fd00::1"];
        assert_eq!(found(&resolver, "app.").await, all);
        std::fs::remove_file(dir.path().join("hosts")).unwrap();
        assert_eq!(found(&resolver, "app").await, all);
    }

    #[tokio::test]
    async fn a_name_server_is_used_as_soon_as_there_is_one() {
        let (dir, resolver) = resolver(None);
        assert!(resolver.dns().is_err());
        std::fs::write(dir.path().join("resolv.conf"), "nameserver 127.0.0.1\n").unwrap();
        assert!(resolver.dns().is_ok());
    }
}
