//! `jwks`: where the keys come from, a file or a URL.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, header};
use metrics::{Counter, counter};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::{Value, json};

use super::keys::KeySet;
use crate::fetch::{Call, Fetch, Fetched, Url};
use crate::policy::fresh::{Fresh, Obtain, Obtained, Unavailable};
use crate::policy::stack::{Build, Shown};
use crate::problem::Problems;
use crate::value::FilePath;

const REFRESHES: &str = "outrigger_key_refreshes_total";

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
    pub file: Option<KeyFile>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<Url>,
}

impl JwksConfig {
    pub(super) fn check(&self, problems: &mut Problems) {
        match (&self.file, &self.url) {
            (Some(file), None) => {
                for skipped in &file.keys.skipped {
                    problems.warning(&["file"], format!("{skipped}, and is not used"));
                }
            }
            (None, Some(url)) => url.check(&["url"], problems),
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
}

/// A file of keys, as it was when the config was read.
#[derive(Clone, Debug)]
pub struct KeyFile {
    path: FilePath,
    text: Arc<[u8]>,
    keys: Arc<KeySet>,
}

impl PartialEq for KeyFile {
    fn eq(&self, other: &Self) -> bool {
        self.path == other.path && self.text == other.text
    }
}

impl<'de> Deserialize<'de> for KeyFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let path = FilePath::deserialize(deserializer)?;
        let text = path.read(LONGEST as u64).map_err(de::Error::custom)?;
        let unfit = |why| de::Error::custom(format!("`{path}` is no set of keys: {why}"));
        let keys = Arc::new(KeySet::parse(&text).map_err(unfit)?);
        let text = text.into();
        Ok(KeyFile { path, text, keys })
    }
}

impl Serialize for KeyFile {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.path.serialize(serializer)
    }
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

/// Kept over reloads with the same URL.
pub(super) struct Facts {
    url: Url,
    fresh: Fresh<Arc<KeySet>>,
}

impl Source {
    pub fn new(config: &JwksConfig, build: &mut Build<'_>) -> Option<Self> {
        let JwksConfig { file, url } = config;
        if let Some(file) = file {
            let set = file.keys.clone();
            build.show("jwt", set.clone());
            return Some(Source::File(Keys { set, version: 0 }));
        }
        let url = url.as_ref()?;
        let (route, fetch) = (build.route.clone(), build.fetch());
        let facts = build.keep_if(|old: Option<Arc<Facts>>| match old {
            Some(old) if old.url == *url => old,
            _ => Arc::new(Facts {
                url: url.clone(),
                fresh: Fresh::start(None, obtain(url.clone(), fetch, &route)),
            }),
        });
        build.show("jwt", facts.clone());
        Some(Source::Url(facts))
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

fn obtain(url: Url, fetch: Arc<dyn Fetch>, route: &Arc<str>) -> Obtain<Arc<KeySet>> {
    let counted = |result| counter!(REFRESHES, "route" => route.clone(), "result" => result);
    let told = Arc::new(Told {
        route: route.clone(),
        refreshed: counted("refreshed"),
        failed: counted("failed"),
    });
    Box::new(move || {
        let (url, fetch, told) = (url.clone(), fetch.clone(), told.clone());
        Box::pin(async move { told.tell(fetch_keys(url, &*fetch).await) })
    })
}

async fn fetch_keys(url: Url, fetch: &dyn Fetch) -> Obtained<Arc<KeySet>> {
    let accept = HeaderValue::from_static("application/jwk-set+json, application/json");
    let answer = fetch
        .fetch(Call {
            method: Method::GET,
            url,
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

/// What is told of each fetch.
struct Told {
    route: Arc<str>,
    refreshed: Counter,
    failed: Counter,
}

impl Told {
    fn tell(&self, obtained: Obtained<Arc<KeySet>>) -> Obtained<Arc<KeySet>> {
        let route = &*self.route;
        match &obtained {
            Ok((set, _)) => {
                self.refreshed.increment(1);
                for skipped in &set.skipped {
                    tracing::debug!(route, "of the fetched keys, {skipped}, and is not used");
                }
            }
            Err(why) => {
                self.failed.increment(1);
                tracing::warn!(
                    route,
                    "the keys that tokens are verified with could not be fetched: {why}"
                );
            }
        }
        obtained
    }
}

impl Shown for KeySet {
    fn state(&self) -> Value {
        json!({ "keys": self.names().collect::<Vec<_>>() })
    }
}

impl Shown for Facts {
    fn state(&self) -> Value {
        let held = self.fresh.now();
        let names = held
            .as_ref()
            .map(|held| held.value.names().collect::<Vec<_>>());
        json!({ "keys": names, "last_error": self.fresh.last_error().as_deref() })
    }
}
