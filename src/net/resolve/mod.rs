//! From a host name or the name of a service to addresses, whoever answers: the system's files and name servers, or a test.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use futures_util::future::BoxFuture;

mod hosts_file;
mod name_servers;
mod odd_lines;
mod reread;
mod resolv_conf;
mod search;
mod system;

pub use system::SystemResolver;

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
