//! Names as this machine knows them: the hosts file, the loopback names, and then DNS.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use futures_util::future::{BoxFuture, Either, select};
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{NameServerConfig, ResolveHosts, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError, NoRecords};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use tokio::time::timeout;

use super::hosts_file::{self, Hosts};
use super::odd_lines::OddLines;
use super::resolv_conf::{self, ResolvConf};
use super::resolve::{Addresses, Answer, Failure, Found, Known, Resolve, Service};
use super::search::Candidates;

/// How long the hosts file is relied on.
const HOSTS_TTL: Duration = Duration::from_secs(5);

/// The longest that one entry of the search list may take, tries included.
const LONGEST: Duration = Duration::from_secs(5);

/// How long the addresses of the other version of IP are waited for when there is nothing else to use (RFC 8305,
/// section 3), and when there is.
const HURRY: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_secs(1);

/// Resolves by `/etc/hosts` and `/etc/resolv.conf`, which are read again when they change. Either may be missing.
pub struct SystemResolver {
    hosts: Reread<Hosts>,
    dns: Reread<Dns>,
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

    fn dns(&self) -> Result<Arc<Dns>, Failure> {
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
            let patience = if known.usable { PATIENCE } else { HURRY };
            let ask = |name: String| {
                let dns = dns.clone();
                async move { dns.addresses(&name, patience).await }
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
    let half = |records: Vec<IpAddr>| match records.is_empty() {
        true => Err(Failure::NoRecords("none of this version".into())),
        false => Ok(Answer {
            records,
            ttl: HOSTS_TTL,
        }),
    };
    Addresses {
        v4: half(v4),
        v6: half(v6),
    }
}

/// The name servers, and the search list.
struct Dns {
    client: TokioResolver,
    search: Vec<String>,
    ndots: usize,
    /// The longest that one question may take.
    limit: Duration,
}

impl Dns {
    fn new(conf: ResolvConf, servers: Vec<NameServerConfig>) -> Result<Self, NetError> {
        let limit = (conf.timeout * conf.attempts as u32).min(LONGEST);
        let config = ResolverConfig::from_parts(None, vec![], servers);
        let mut builder =
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        let options = builder.options_mut();
        options.timeout = limit / conf.attempts as u32;
        // It counts the tries after the first one.
        options.attempts = conf.attempts - 1;
        options.edns0 = conf.edns0;
        options.use_hosts_file = ResolveHosts::Never;
        // Whoever asks here has waited for the TTL already, and wants to hear what is true now.
        options.cache_size = 0;
        Ok(Dns {
            client: builder.build()?,
            search: conf.search,
            ndots: conf.ndots,
            limit,
        })
    }

    fn candidates(&self, name: &str) -> Candidates {
        Candidates::of(name, &self.search, self.ndots)
    }

    /// Asks for both versions of IP at once. What comes first waits for the other as long as `patience` has it.
    async fn addresses(&self, name: &str, patience: Duration) -> Result<Addresses, Failure> {
        let of = |kind| Box::pin(self.ask(name, kind, RData::ip_addr));
        let (v4, v6) = match select(of(RecordType::A), of(RecordType::AAAA)).await {
            Either::Left((v4, v6)) => {
                let v6 = self.second(name, &v4, v6, patience).await;
                (v4, v6)
            }
            Either::Right((v6, v4)) => {
                let v4 = self.second(name, &v6, v4, patience).await;
                (v4, v6)
            }
        };
        match (v4, v6) {
            (v4, v6) if v4.is_ok() || v6.is_ok() => Ok(Addresses { v4, v6 }),
            // RFC 8020: where there is no such name, there is nothing of any type.
            (Err(Failure::NoName), _) => Err(Failure::NoName),
            // RFC 4074, section 4.2: some servers say so of AAAA alone, while A is only in trouble.
            (Err(Failure::Silence(_)), Err(Failure::NoName)) => Err(Failure::NoName),
            (Err(v4), Err(v6)) if v4.is_denial() && !v6.is_denial() => Err(v6),
            (Err(v4), _) => Err(v4),
            (v4, v6) => Ok(Addresses { v4, v6 }),
        }
    }

    /// The answer that did not come first.
    async fn second(
        &self,
        name: &str,
        first: &Result<Answer<IpAddr>, Failure>,
        second: impl Future<Output = Result<Answer<IpAddr>, Failure>>,
        patience: Duration,
    ) -> Result<Answer<IpAddr>, Failure> {
        let patience = match first {
            Ok(_) => patience,
            Err(Failure::NoName) => PATIENCE,
            // It is all that can still come.
            Err(_) => self.limit,
        };
        let silence = |_| Err(silence(name));
        timeout(patience, second).await.unwrap_or_else(silence)
    }

    /// Asks for the records of a whole name of which `take` makes something.
    async fn ask<T>(
        &self,
        name: &str,
        kind: RecordType,
        take: impl Fn(&RData) -> Option<T>,
    ) -> Result<Answer<T>, Failure> {
        let none = || Failure::NoRecords(format!("`{name}` has no {kind} records"));
        let Ok(whole) = Name::from_str_relaxed(name) else {
            return Err(Failure::NoName);
        };
        let lookup = match timeout(self.limit, self.client.lookup(whole, kind)).await {
            Err(_) | Ok(Err(NetError::Timeout)) => return Err(silence(name)),
            Ok(Err(error)) => {
                return Err(match error {
                    NetError::Dns(DnsError::NoRecordsFound(NoRecords {
                        response_code, ..
                    })) => match response_code {
                        ResponseCode::NXDomain => Failure::NoName,
                        ResponseCode::NoError => none(),
                        code => refusal(name, code),
                    },
                    NetError::Dns(DnsError::ResponseCode(code)) => refusal(name, code),
                    error => Failure::Silence(format!("no name server tells of `{name}`: {error}")),
                });
            }
            Ok(Ok(lookup)) => lookup,
        };
        let answers = lookup.answers().iter();
        let records: Vec<T> = answers.filter_map(|record| take(&record.data)).collect();
        match records.is_empty() {
            true => Err(none()),
            false => Ok(Answer {
                records,
                ttl: lookup
                    .valid_until()
                    .saturating_duration_since(Instant::now()),
            }),
        }
    }
}

fn silence(name: &str) -> Failure {
    Failure::Silence(format!("no name server answers for `{name}`"))
}

fn refusal(name: &str, code: ResponseCode) -> Failure {
    Failure::Refused(format!("the name server answers for `{name}`: {code}"))
}

fn read_hosts(path: &Path) -> std::io::Result<Hosts> {
    let mut odd = OddLines::default();
    let hosts = hosts_file::parse(&std::fs::read(path)?, &mut odd);
    odd.tell(path);
    Ok(hosts)
}

fn read_resolv_conf(path: &Path) -> std::io::Result<Dns> {
    let conf = resolv_conf(path)?;
    let servers = conf.servers.iter();
    let servers = servers
        .map(|ip| NameServerConfig::udp_and_tcp(*ip))
        .collect();
    Dns::new(conf, servers).map_err(std::io::Error::other)
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

/// Something read from a file, read again when the file changed.
struct Reread<T> {
    path: PathBuf,
    read: fn(&Path) -> std::io::Result<T>,
    last: Mutex<Last<T>>,
}

struct Last<T> {
    /// Time and length of the file that was read; None before the first time and for a file that is missing.
    stamp: Option<(SystemTime, u64)>,
    looked: bool,
    value: Option<Arc<T>>,
}

impl<T> Reread<T> {
    fn new(path: &Path, read: fn(&Path) -> std::io::Result<T>) -> Self {
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
