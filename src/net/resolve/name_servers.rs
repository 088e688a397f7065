//! Asking name servers for the records of a whole name, and telling a "no" from a failure.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use futures_util::future::{Either, select};
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{NameServerConfig, ResolveHosts, ResolverConfig};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError, NoRecords};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use tokio::time::timeout;

use super::resolv_conf::ResolvConf;
use super::search::Candidates;
use super::{Addresses, Answer, Failure};

/// The longest that one entry of the search list may take, tries included.
const LONGEST: Duration = Duration::from_secs(5);

/// How long the addresses of the other version of IP are waited for when there is nothing else to use (RFC 8305,
/// section 3), and when there is.
const HURRY: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_secs(1);

/// The name servers, and the search list.
pub struct NameServers {
    /// Asks several servers at once.
    client: TokioResolver,
    /// Asks one each, where there are several.
    each: Vec<TokioResolver>,
    search: Vec<String>,
    ndots: usize,
    /// The longest that one question may take.
    limit: Duration,
}

impl NameServers {
    pub fn new(conf: ResolvConf, servers: Vec<NameServerConfig>) -> Result<Self, NetError> {
        let limit = (conf.timeout * conf.attempts as u32).min(LONGEST);
        let client = |servers: &[NameServerConfig], tries: usize| {
            let config = ResolverConfig::from_parts(None, vec![], servers.to_vec());
            let provider = TokioRuntimeProvider::default();
            let mut builder = TokioResolver::builder_with_config(config, provider);
            let options = builder.options_mut();
            options.timeout = limit / conf.attempts as u32;
            // It counts the tries after the first one.
            options.attempts = tries - 1;
            options.edns0 = conf.edns0;
            options.use_hosts_file = ResolveHosts::Never;
            // Whoever asks here has waited for the TTL already, and wants to hear what is true now.
            options.cache_size = 0;
            builder.build()
        };
        let each = servers.chunks(1).filter(|_| servers.len() > 1);
        Ok(NameServers {
            client: client(&servers, conf.attempts)?,
            each: each.map(|one| client(one, 1)).collect::<Result<_, _>>()?,
            search: conf.search,
            ndots: conf.ndots,
            limit,
        })
    }

    pub fn candidates(&self, name: &str) -> Candidates {
        Candidates::of(name, &self.search, self.ndots)
    }

    /// Asks for both versions of IP at once. What comes first waits for the other for a while, which is short when
    /// nothing is `usable` meanwhile.
    pub async fn addresses(&self, name: &str, usable: bool) -> Result<Addresses, Failure> {
        let patience = if usable { PATIENCE } else { HURRY };
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

    /// The first answer of all name servers is taken, but one that refuses is not let speak for the others: as in the
    /// C library, they are asked then.
    async fn lookup(&self, name: Name, kind: RecordType) -> Result<Lookup, NetError> {
        let first = self.client.lookup(name.clone(), kind).await;
        if is_refusal(&first) {
            for one in &self.each {
                let answer = one.lookup(name.clone(), kind).await;
                let is_denial = |error: &NetError| error.is_no_records_found();
                if answer.as_ref().map_or_else(is_denial, |_| true) {
                    return answer;
                }
            }
        }
        first
    }

    /// Asks for the records of a whole name of which `take` makes something.
    pub async fn ask<T>(
        &self,
        name: &str,
        kind: RecordType,
        take: impl Fn(&RData) -> Option<T>,
    ) -> Result<Answer<T>, Failure> {
        let none = || Failure::NoRecords(format!("`{name}` has no {kind} records"));
        let Ok(whole) = Name::from_str_relaxed(name) else {
            return Err(Failure::NoName);
        };
        let lookup = match timeout(self.limit, self.lookup(whole, kind)).await {
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
        if records.is_empty() {
            Err(none())
        } else {
            Ok(Answer {
                records,
                ttl: lookup
                    .valid_until()
                    .saturating_duration_since(Instant::now()),
            })
        }
    }
}

/// Whether a name server answered that it cannot or will not tell.
fn is_refusal(answer: &Result<Lookup, NetError>) -> bool {
    matches!(answer, Err(NetError::Dns(DnsError::ResponseCode(_))))
}

fn silence(name: &str) -> Failure {
    Failure::Silence(format!("no name server answers for `{name}`"))
}

fn refusal(name: &str, code: ResponseCode) -> Failure {
    Failure::Refused(format!("the name server answers for `{name}`: {code}"))
}
