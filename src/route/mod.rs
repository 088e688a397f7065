//! `[routes.*]`: what a request must look like, and where it then goes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::value::problem::Problems;
use crate::value::{Name, NotBuilt, OneOrMany};

mod conditions;
mod host;
pub mod matching;
mod mirror;
pub mod names;
mod overlap;
pub mod path;
mod pattern;
mod recipient;
mod redirect;
mod respond;
mod rewrite;
mod rule;
mod split;
mod table;
pub mod target;
mod trie;

pub use host::HostPattern;
pub use matching::MatchConfig;
pub use mirror::MirrorConfig;
pub use path::{Normalised, normalise};
pub use pattern::PathPattern;
pub use redirect::{Redirect, RedirectConfig};
pub use respond::{Respond, RespondConfig};
pub use rewrite::{HostRewrite, PathTemplate, Rewrite, RewriteConfig};
pub use split::{Split, SplitConfig, Sticky};
pub use table::{Found, Lookup, Table};

/// The keys of `[routes.NAME]` that choose a request and say where it goes; the others are its policies.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Config {
    #[serde(default, rename = "match")]
    pub matches: MatchConfig,
    /// Only for callers of these listeners. May stand under `match` instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listener: Option<OneOrMany<Name>>,
    /// Let a path with an encoded slash, backslash or NUL pass.
    #[serde(default)]
    pub allow_encoded_slashes: bool,
    /// Forward to this upstream.
    pub upstream: Option<String>,
    /// Forward to one of several upstreams, by weight.
    pub split: Option<Vec<SplitConfig>>,
    /// Keep a caller on one side of the split: `"header:NAME"`, `"cookie:NAME"` or `"client-ip"`.
    pub sticky: Option<Sticky>,
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
    /// Send a copy of some requests to another upstream, and throw its answer away.
    pub mirror: Option<MirrorConfig>,
}

/// Reports what only all routes together show: those that tie (errors) and those that can never match
/// (warnings), at paths from the config's root. `listeners` are all that there are.
pub fn check(routes: &BTreeMap<Name, &Config>, listeners: &[Name], problems: &mut Problems) {
    let rules: Vec<_> = routes
        .iter()
        .map(|(name, config)| rule::Rule::new(name.clone(), config))
        .collect();
    rule::check_together(&rules, problems);
    rule::check_shadows(&rules, listeners, problems);
}

impl Config {
    /// Whether an upstream gets the requests.
    pub fn is_forwarded(&self) -> bool {
        self.upstream.is_some() || self.split.is_some()
    }

    /// The listeners whose callers it takes; none: every listener's.
    pub fn listeners(&self) -> Option<&[Name]> {
        let listener = self.listener.as_ref().or(self.matches.listener.as_ref());
        listener.map(|names| names.0.as_slice())
    }

    /// What deserializing alone cannot see, except what concerns other rooms or other routes.
    pub fn check(&self, problems: &mut Problems) {
        problems.within(&["match"], |problems| {
            self.matches.check(self.allow_encoded_slashes, problems);
        });
        self.check_listeners(problems);
        self.check_target(problems);
        self.check_names(problems);
        if let Some(sides) = &self.split {
            problems.within(&["split"], |problems| split::check(sides, problems));
        }
        if let Some(mirror) = &self.mirror {
            problems.within(&["mirror"], |problems| mirror.check(problems));
        }
        if let Some(respond) = &self.respond {
            problems.within(&["respond"], |problems| respond.check(problems));
        }
        if let Some(redirect) = &self.redirect {
            problems.within(&["redirect"], |problems| redirect.check(problems));
        }
    }

    fn check_listeners(&self, problems: &mut Problems) {
        if self.listener.is_some() && self.matches.listener.is_some() {
            problems
                .error(&["listener"], "`listener` stands here and under `match`")
                .help("keep one of the two");
        }
        if self.listeners().is_some_and(<[Name]>::is_empty) {
            let place: &[&str] = match self.listener {
                Some(_) => &["listener"],
                None => &["match", "listener"],
            };
            problems
                .error(place, "a route without listeners matches nothing")
                .help("leave `listener` out to match on every listener");
        }
    }

    fn check_target(&self, problems: &mut Problems) {
        let targets = [
            ("upstream", self.upstream.is_some()),
            ("split", self.split.is_some()),
            ("respond", self.respond.is_some()),
            ("redirect", self.redirect.is_some()),
        ];
        let set: Vec<_> = targets.iter().filter(|t| t.1).map(|t| t.0).collect();
        match set[..] {
            [_] => {}
            [] => {
                problems
                    .error(&[], "a route needs a target")
                    .help("set one of `upstream`, `split`, `respond` or `redirect`");
            }
            [first, second, ..] => {
                problems
                    .error(
                        &[second],
                        format!("a route has one target, and this one has `{first}` already"),
                    )
                    .help("keep one of them");
            }
        }
        let forwards = self.upstream.is_some() || self.split.is_some();
        if self.rewrite.is_some() && !forwards && !set.is_empty() {
            problems.error(
                &["rewrite"],
                "`rewrite` changes what an upstream sees, and this route has none",
            );
        }
        if self.mirror.is_some() && !forwards && !set.is_empty() {
            problems.error(
                &["mirror"],
                "`mirror` copies what an upstream gets, and this route has none",
            );
        }
        if self.sticky.is_some() && self.split.is_none() {
            problems.error(
                &["sticky"],
                "`sticky` keeps a caller on one side of a `split`, and this route has none",
            );
        }
    }

    /// The names that `path` of `match` gives to its parts.
    pub fn captures(&self) -> Vec<&str> {
        let path = self.matches.path.as_ref();
        path.into_iter().flat_map(PathPattern::names).collect()
    }

    /// Names of captures that are used must stand in the path.
    fn check_names(&self, problems: &mut Problems) {
        let known = &self.captures()[..];
        if let Some(path) = self.rewrite.as_ref().and_then(|r| r.path.as_ref()) {
            names::check(known, &["rewrite", "path"], path.captures(), "", problems);
        }
        if let Some(redirect) = &self.redirect {
            let place = ["redirect", "location"];
            names::check(known, &place, redirect.location.captures(), "", problems);
        }
        if let Some(respond) = &self.respond {
            let (place, body) = (["respond", "body"], &respond.body);
            names::check(known, &place, body.captures(), body.as_str(), problems);
            for (name, value) in &respond.headers {
                let place = ["respond", "headers", name.as_str()];
                names::check(known, &place, value.captures(), value.as_str(), problems);
            }
        }
    }
}

#[cfg(test)]
mod tests;
