//! `[routes.*]`: what a request must look like, and where it then goes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::problem::Problems;
use crate::value::{Name, NotBuilt, OneOrMany};

mod captures;
pub mod matching;
pub mod path;

pub use captures::Captures;
pub use matching::MatchConfig;

/// The keys of `[routes.NAME]` that choose a request and say where it goes; the others are its policies.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Config {
    #[serde(default, rename = "match")]
    pub matches: MatchConfig,
    /// Only for callers of these listeners.
    pub listener: Option<OneOrMany<Name>>,
    /// Let a path with an encoded slash, backslash or NUL pass.
    #[serde(default)]
    pub allow_encoded_slashes: bool,
    /// Forward to this upstream.
    pub upstream: Option<String>,
    /// Forward to one of several upstreams, by weight.
    pub split: Option<Vec<SplitConfig>>,
    /// Keep a caller on one side of the split: `"header:NAME"`, `"cookie:NAME"` or `"client-ip"`.
    pub sticky: Option<String>,
    /// Answer here.
    pub respond: Option<RespondConfig>,
    /// Send the caller elsewhere.
    pub redirect: Option<RedirectConfig>,
    #[serde(default, skip_serializing)]
    pub publish: Option<NotBuilt>,
    #[serde(default, skip_serializing)]
    pub sql: Option<NotBuilt>,
    #[serde(default, skip_serializing)]
    pub files: Option<NotBuilt>,
    /// Change path or `Host` on the way to the upstream.
    pub rewrite: Option<RewriteConfig>,
    #[serde(default, skip_serializing)]
    pub mirror: Option<NotBuilt>,
}

impl Config {
    /// What deserializing alone cannot see, except what concerns other rooms or other routes.
    pub fn check(&self, problems: &mut Problems) {
        let targets = [
            self.upstream.is_some(),
            self.split.is_some(),
            self.respond.is_some(),
            self.redirect.is_some(),
        ];
        if targets.iter().filter(|set| **set).count() != 1 {
            problems
                .error(&[], "a route needs exactly one target")
                .help("set one of `upstream`, `split`, `respond` or `redirect`");
        }
    }
}

/// One side of a `split`.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct SplitConfig {
    pub upstream: String,
    /// Share of the requests, relative to the other sides. 0 takes none.
    pub weight: u32,
}

/// `respond`: an answer made here.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct RespondConfig {
    #[serde(default = "ok")]
    pub status: u16,
    #[serde(default)]
    pub body: String,
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
}

/// `redirect`: where the caller is sent.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct RedirectConfig {
    #[serde(default = "permanent_redirect")]
    pub status: u16,
    /// May use `{name}` of the path and `${...}` variables.
    pub location: String,
}

/// `rewrite`: what the upstream sees instead.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct RewriteConfig {
    /// A new path; `{name}` stands for what the match found under that name. The query stays.
    pub path: Option<String>,
    /// A new `Host`; `"upstream"` sends the endpoint's name.
    pub host: Option<String>,
}

fn ok() -> u16 {
    200
}

fn permanent_redirect() -> u16 {
    308
}
