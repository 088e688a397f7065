//! `[routes.*]`: what a request must look like. Where it then goes, its [`target`](crate::target) says.

use std::collections::BTreeMap;

use http::{HeaderValue, Method};
use serde::{Deserialize, Serialize};

use crate::value::problem::Problems;
use crate::value::{Name, OneOrMany};
use conditions::Conditions;

mod conditions;
mod explanation;
mod host;
mod lookup;
pub mod matching;
mod overlap;
mod pattern;
mod rule;
mod table;
mod trie;
mod values;

pub use explanation::PassedOver;
pub use host::HostPattern;
pub use lookup::Lookup;
pub use matching::MatchConfig;
pub use pattern::PathPattern;
pub use table::{Found, Table};

/// The keys of `[routes.NAME]` that choose a request; the others are its target and its policies.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
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
    /// The listeners whose callers it takes; none: every listener's.
    pub fn listeners(&self) -> Option<&[Name]> {
        let listener = self.listener.as_ref().or(self.matches.listener.as_ref());
        listener.map(|names| names.0.as_slice())
    }

    /// What deserializing alone cannot see, except what concerns other routes.
    pub fn check(&self, problems: &mut Problems) {
        problems.within(&["match"], |problems| {
            self.matches.check(self.allow_encoded_slashes, problems);
        });
        self.check_listeners(problems);
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

    /// The names that `path` of `match` gives to its parts.
    pub fn captures(&self) -> Vec<&str> {
        let path = self.matches.path.as_ref();
        path.into_iter().flat_map(PathPattern::names).collect()
    }

    /// The name that `path` of `match` gives to the rest of a path.
    pub fn rest(&self) -> Option<&str> {
        self.matches.path.as_ref()?.rest()
    }

    /// What `Allow` says of the route.
    pub fn allow(&self) -> HeaderValue {
        let mut methods: Vec<Method> = Conditions::new(&self.matches, None).allow().collect();
        methods.sort_by(|a, b| a.as_str().cmp(b.as_str()));
        methods.dedup();
        let names: Vec<&str> = methods.iter().map(Method::as_str).collect();
        HeaderValue::from_str(&names.join(", ")).unwrap_or(HeaderValue::from_static(""))
    }
}

#[cfg(test)]
mod tests;
