//! `jwks`: where the keys come from, a file or a URL.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderMap, HeaderValue, Method, header};
use metrics::{Counter, Gauge, counter, gauge};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::keys::KeySet;
use crate::fetch::{Call, Fetch, Fetched, Private, Url};
use crate::policy::build::{Build, ShowState};
use crate::policy::fresh::{Fresh, Obtain, Obtained, Unavailable};
use crate::tls::Opened;
use crate::tls::outbound::Client;
use crate::value::exposition::Metric;
use crate::value::problem::Problems;
use crate::value::{FilePath, Wrong};

pub(super) const REFRESHES: Metric = Metric::counter(
    "outrigger_key_refreshes_total",
    "Fetches of the keys that tokens are verified with, by how they ended.",
);
pub(super) const LAST: Metric = Metric::gauge(
    "outrigger_key_last_refresh_timestamp_seconds",
    "When the keys that a route verifies tokens with were fetched last, in seconds since 1970.",
);

/// The longest set of keys, in bytes.
const LONGEST: usize = 1 << 20;
/// The longest that a request waits for keys.
const WAIT: Duration = Duration::from_secs(5);
/// How long keys count as fresh whose answer does not say, and the bounds of what an answer may say (RFC 9111,
/// section 5.2.2.1).
const DEFAULT_LIFE: Duration = Duration::from_secs(300);
const SHORTEST_LIFE: Duration = Duration::from_secs(60);
const LONGEST_LIFE: Duration = Duration::from_secs(3600);

/// `jwks`: one of its keys.
///
/// A file is read with the config, and again when it changes. A URL is fetched when the config is put to use, then
/// whenever what it gave is no longer fresh (`Cache-Control: max-age`, at least a minute and at most an hour; without
/// it 5 min), and when a token names an unknown key, though not more often than every 10 s on end. While it cannot be
/// fetched, the keys from before serve.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct JwksConfig {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<FilePath>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<Url>,
    /// CAs in PEM form that sign the server of an `https://` URL. Default: the system's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<FilePath>,
}

impl JwksConfig {
    pub(super) fn check(&self, problems: &mut Problems) {
        match (&self.file, &self.url) {
            (Some(_), None) => {
                if self.ca.is_some() {
                    problems.warning(
                        &["ca"],
                        "a file is read without TLS, so these CAs are not asked",
                    );
                }
            }
            (None, Some(url)) => Private::check(url, self.ca.as_ref(), problems),
            (Some(_), Some(_)) => {
                problems
                    .error(
                        &["url"],
                        "the keys come from one place, and there is a `file` already",
                    )
                    .help("keep one of them");
            }
            (None, None) => {
                problems
                    .error(&[], "this does not say where the keys come from")
                    .help("set `file` or `url`");
            }
        }
    }

    pub(super) fn open(&self, problems: &mut Problems) -> Opened<OpenedKeys> {
        let keys = self.file.as_ref().and_then(|file| match read(file) {
            Ok(keys) => {
                for skipped in &keys.skipped {
                    problems.warning(&["file"], format!("{skipped}, and is not used"));
                }
                Some(Arc::new(OpenedKeys::File(Arc::new(keys))))
            }
            Err(wrong) => {
                problems.wrong(&["file"], wrong);
                None
            }
        });
        match (&self.file, &self.url) {
            (None, Some(url)) => Private::open(url, self.ca.as_ref(), problems)
                .map(|private| OpenedKeys::Url(url.clone(), (*private).clone())),
            _ => Opened::without_certificates(keys),
        }
    }
}

/// The keys of a file, as it is now.
fn read(file: &FilePath) -> Result<KeySet, Wrong> {
    let text = file.read(LONGEST as u64)?;
    let unfit = |why| format!("`{file}` is no set of keys: {why}").into();
    KeySet::parse(&text).map_err(unfit)
}

/// What was opened of `jwks`.
#[derive(Debug)]
pub(super) enum OpenedKeys {
    File(Arc<KeySet>),
    Url(Url, Private),
}

/// Keys, and a number that changes when they do.
#[derive(Clone)]
pub(super) struct Keys {
    pub set: Arc<KeySet>,
    pub version: u64,
}

/// Where a route's keys come from.
pub(super) enum Source {
    File(Keys),
    Url(Arc<Facts>),
}

/// Kept over reloads with the same URL and the same CAs.
pub(super) struct Facts {
    url: Url,
    private: Private,
    fresh: Fresh<Arc<KeySet>>,
}

impl Source {
    pub fn new(keys: &OpenedKeys, build: &mut Build<'_>) -> Self {
        let (url, private) = match keys {
            OpenedKeys::File(set) => {
                build.show(set.clone());
                let set = set.clone();
                return Source::File(Keys { set, version: 0 });
            }
            OpenedKeys::Url(url, private) => (url, private),
        };
        let (route, fetch) = (build.route.clone(), build.fetch());
        let rehearses = build.rehearses();
        let facts = build.keep_if(|old: Option<Arc<Facts>>| match old {
            Some(old) if old.url == *url && old.private == *private && !rehearses => old,
            old => {
                // Keys outlive the CAs by which they were fetched, until there are new ones.
                let same = old.filter(|old| old.url == *url);
                let seed = same.and_then(|old| old.fresh.now().map(|held| held.value.clone()));
                let server = KeyServer {
                    url: url.clone(),
                    tls: private.client(),
                    fetch,
                };
                Arc::new(Facts {
                    url: url.clone(),
                    private: private.clone(),
                    fresh: Fresh::start(seed, obtain(server, &route)),
                })
            }
        });
        build.show(facts.clone());
        Source::Url(facts)
    }

    /// # Errors
    /// When to ask again, when there are none.
    pub async fn keys(&self) -> Result<Keys, Duration> {
        match self {
            Source::File(keys) => Ok(keys.clone()),
            Source::Url(facts) => match facts.now() {
                Some(keys) => Ok(keys),
                None => facts.newer(0).await,
            },
        }
    }

    /// Keys that may have what `seen` does not: the same, when there are no newer ones and none may be fetched now.
    ///
    /// # Errors
    /// When to ask again, when nobody knows because the keys cannot be fetched.
    pub async fn newer_than(&self, seen: &Keys) -> Result<Keys, Duration> {
        let Source::Url(facts) = self else {
            return Ok(seen.clone());
        };
        if facts.fresh.ask(seen.version) {
            return facts.newer(seen.version).await;
        }
        match facts.fresh.last_error() {
            Some(_) => Err(Duration::ZERO),
            None => Ok(seen.clone()),
        }
    }
}

impl Facts {
    fn now(&self) -> Option<Keys> {
        self.fresh.now().map(|held| Keys {
            set: held.value.clone(),
            version: held.version,
        })
    }

    async fn newer(&self, than: u64) -> Result<Keys, Duration> {
        match self.fresh.newer(than, WAIT).await {
            Ok(held) => Ok(Keys {
                set: held.value.clone(),
                version: held.version,
            }),
            Err(Unavailable(wait)) => Err(wait),
        }
    }
}

/// Where keys are fetched from, and how.
#[derive(Clone)]
struct KeyServer {
    url: Url,
    tls: Option<Arc<Client>>,
    fetch: Arc<dyn Fetch>,
}

fn obtain(server: KeyServer, route: &Arc<str>) -> Obtain<Arc<KeySet>> {
    let reporter = Arc::new(Reporter::new(route));
    Box::new(move || {
        let (server, reporter) = (server.clone(), reporter.clone());
        Box::pin(async move { reporter.report(fetch_keys(server).await) })
    })
}

async fn fetch_keys(server: KeyServer) -> Obtained<Arc<KeySet>> {
    let accept = HeaderValue::from_static("application/jwk-set+json, application/json");
    let answer = server
        .fetch
        .fetch(Call {
            method: Method::GET,
            url: server.url,
            tls: server.tls,
            headers: HeaderMap::from_iter([(header::ACCEPT, accept)]),
            body: Default::default(),
            limit: LONGEST,
        })
        .await?;
    if !answer.status.is_success() {
        return Err(format!("the answer was {}", answer.status.as_u16()));
    }
    let set = KeySet::parse(&answer.body)
        .map_err(|why| format!("the answer is no set of keys: {why}"))?;
    Ok((Arc::new(set), life(&answer)))
}

fn life(answer: &Fetched) -> Duration {
    let lines = answer.headers.get_all(header::CACHE_CONTROL).iter();
    let max_age = lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .filter_map(|directive| directive.trim().strip_prefix("max-age=")?.parse().ok())
        .next();
    max_age
        .map_or(DEFAULT_LIFE, Duration::from_secs)
        .clamp(SHORTEST_LIFE, LONGEST_LIFE)
}

/// Tells metrics and the log of each fetch.
struct Reporter {
    route: Arc<str>,
    refreshed: Counter,
    failed: Counter,
    last: Gauge,
    /// When keys were fetched last.
    fetched: Mutex<Option<Instant>>,
}

impl Reporter {
    fn new(route: &Arc<str>) -> Self {
        let counted =
            |result| counter!(REFRESHES.name, "route" => route.clone(), "result" => result);
        Reporter {
            route: route.clone(),
            refreshed: counted("refreshed"),
            failed: counted("failed"),
            last: gauge!(LAST.name, "route" => route.clone()),
            fetched: Mutex::new(None),
        }
    }

    fn report(&self, obtained: Obtained<Arc<KeySet>>) -> Obtained<Arc<KeySet>> {
        let route = &*self.route;
        let mut fetched = self.fetched.lock().unwrap_or_else(PoisonError::into_inner);
        match &obtained {
            Ok((set, _)) => {
                *fetched = Some(Instant::now());
                self.refreshed.increment(1);
                let now = SystemTime::now().duration_since(UNIX_EPOCH);
                self.last.set(now.unwrap_or_default().as_secs_f64());
                for skipped in &set.skipped {
                    tracing::debug!(route, "of the fetched keys, {skipped}, and is not used");
                }
            }
            Err(why) => {
                self.failed.increment(1);
                let meanwhile = fetched.map_or(String::new(), |at| {
                    format!("; those from {} s ago serve on", at.elapsed().as_secs())
                });
                tracing::warn!(
                    route,
                    "the keys that tokens are verified with could not be fetched: {why}{meanwhile}"
                );
            }
        }
        obtained
    }
}

impl ShowState for KeySet {
    fn state(&self) -> Value {
        json!({ "keys": self.names().collect::<Vec<_>>() })
    }
}

impl ShowState for Facts {
    fn state(&self) -> Value {
        let held = self.fresh.now();
        let names = held
            .as_ref()
            .map(|held| held.value.names().collect::<Vec<_>>());
        json!({ "keys": names, "last_error": self.fresh.last_error().as_deref() })
    }
}
