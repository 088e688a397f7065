//! All routes, and the search for the one that a request belongs to.

use std::cmp::Reverse;
use std::collections::HashMap;

use http::{HeaderName, Method};

use super::Config;
use super::host::{HostKey, HostPattern};
use super::lookup::Lookup;
use super::rule::{Rule, check_together};
use super::trie::Trie;
use crate::http::message::Captures;
use crate::value::Name;
use crate::value::problem::Problems;

/// Routes by precedence, each with a value of the caller's.
pub struct Table<T> {
    /// By precedence among those of one host and path.
    entries: Vec<Entry<T>>,
    exact: HashMap<String, Trie>,
    /// By suffix, without the `*.`.
    suffixes: HashMap<String, Trie>,
    any: Trie,
}

struct Entry<T> {
    rule: Rule,
    value: T,
}

/// What the search finds.
#[derive(Debug, PartialEq)]
pub enum Found<'t, T> {
    Route {
        value: &'t T,
        captures: Captures,
    },
    /// The path has an encoded slash, backslash or NUL, and no route that allows it was chosen.
    BadPath,
    /// Only the method did not match.
    MethodNotAllowed {
        /// The methods that would have, sorted.
        allow: Vec<Method>,
    },
    NoRoute,
}

impl<T> Table<T> {
    /// # Errors
    /// When two routes tie completely: both are named, at paths from the config's root. Warnings do not fail
    /// it, and are not told here but by [`check`](super::check).
    pub fn build(routes: Vec<(Name, &Config, T)>) -> Result<Self, Problems> {
        let (rules, values): (Vec<_>, Vec<_>) = routes
            .into_iter()
            .map(|(name, config, value)| (Rule::new(name, config), value))
            .unzip();
        let mut problems = Problems::default();
        check_together(&rules, &mut problems);
        if problems.has_errors() {
            return Err(problems);
        }
        let mut entries: Vec<_> = rules
            .into_iter()
            .zip(values)
            .map(|(rule, value)| Entry { rule, value })
            .collect();
        entries.sort_by(|a, b| a.rule.rank().cmp(&b.rule.rank()));
        Ok(Self::index(entries))
    }

    fn index(entries: Vec<Entry<T>>) -> Self {
        let mut table = Table {
            entries,
            exact: HashMap::new(),
            suffixes: HashMap::new(),
            any: Trie::default(),
        };
        for (index, entry) in table.entries.iter().enumerate() {
            let trie = match &entry.rule.host {
                Some(HostPattern::Exact(host)) => table.exact.entry(host.clone()).or_default(),
                Some(HostPattern::Suffix(suffix)) => {
                    table.suffixes.entry(suffix.clone()).or_default()
                }
                None => &mut table.any,
            };
            trie.insert(&entry.rule.path, index);
        }
        table
    }

    /// The first route by precedence whose conditions all hold.
    pub fn find(&self, lookup: &Lookup<'_>) -> Found<'_, T> {
        let path = matched_path(lookup);
        let mut method_missed = false;
        let mut found = None;
        self.candidates(lookup, |entry| {
            let takes = entry.rule.conditions.takes_method(lookup.method);
            method_missed |= !takes;
            if takes && entry.rule.conditions.hold(lookup, path) {
                found = Some(entry);
            }
            found.is_some()
        });
        match found {
            Some(entry) if entry.rule.allow_encoded_slashes || !lookup.encoded_separators => {
                Found::Route {
                    value: &entry.value,
                    captures: entry.rule.path.capture(path),
                }
            }
            _ if lookup.encoded_separators => Found::BadPath,
            _ if method_missed => self.without_method(lookup),
            _ => Found::NoRoute,
        }
    }

    /// The route of a request that another one announces, as the preflights of CORS do: `lookup` has the announced
    /// method, and of the headers for which `announces` holds the values are not known yet.
    pub fn find_announced(
        &self,
        lookup: &Lookup<'_>,
        announces: impl Fn(&HeaderName) -> bool,
    ) -> Option<(&T, Captures)> {
        let path = matched_path(lookup);
        let mut found = None;
        self.candidates(lookup, |entry| {
            let conditions = &entry.rule.conditions;
            if conditions.takes_method(lookup.method)
                && conditions.hold_with(lookup, path, &announces)
            {
                found = Some(entry);
            }
            found.is_some()
        });
        let entry =
            found.filter(|entry| entry.rule.allow_encoded_slashes || !lookup.encoded_separators)?;
        Some((&entry.value, entry.rule.path.capture(path)))
    }

    /// The values of all routes.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.entries.iter().map(|entry| &entry.value)
    }

    /// Shows `visit` the rules whose host and path match, by precedence.
    pub(super) fn visit_rules<'t>(&'t self, lookup: &Lookup<'_>, mut visit: impl FnMut(&'t Rule)) {
        self.candidates(lookup, |entry| {
            visit(&entry.rule);
            false
        });
    }

    pub(super) fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.entries.iter().map(|entry| &entry.rule)
    }

    /// The answer when no route takes the request with its method.
    fn without_method(&self, lookup: &Lookup<'_>) -> Found<'_, T> {
        let path = matched_path(lookup);
        let mut allow = Vec::new();
        self.candidates(lookup, |entry| {
            if entry.rule.conditions.hold(lookup, path) {
                allow.extend(entry.rule.conditions.allow());
            }
            false
        });
        allow.sort_by(|a: &Method, b| a.as_str().cmp(b.as_str()));
        allow.dedup();
        if allow.is_empty() {
            Found::NoRoute
        } else {
            Found::MethodNotAllowed { allow }
        }
    }

    /// Shows `visit` the routes whose host and path match, by precedence, until it returns true.
    fn candidates<'t>(&'t self, lookup: &Lookup<'_>, mut visit: impl FnMut(&'t Entry<T>) -> bool) {
        let path = matched_path(lookup);
        let mut visit = |index: usize| visit(&self.entries[index]);
        let key = match lookup.host {
            Some(host) if !(self.exact.is_empty() && self.suffixes.is_empty()) => {
                HostKey::new(host)
            }
            _ => None,
        };
        if let Some(key) = &key {
            let host = key.as_str();
            if let Some(trie) = self.exact.get(host)
                && trie.visit(path, &mut visit)
            {
                return;
            }
            let mut below = host;
            while !self.suffixes.is_empty()
                && let Some((_, suffix)) = below.split_once('.')
            {
                if let Some(trie) = self.suffixes.get(suffix)
                    && trie.visit(path, &mut visit)
                {
                    return;
                }
                below = suffix;
            }
        }
        self.any.visit(path, &mut visit);
    }
}

impl Rule {
    /// Its place among routes of one host and path; the smaller is asked first. The name only makes the order
    /// certain: routes for which it matters are disjoint for all but callers who repeat a header.
    fn rank(&self) -> (Reverse<usize>, Reverse<bool>, &Name) {
        let conditions = &self.conditions;
        (
            Reverse(conditions.count()),
            Reverse(conditions.names_head()),
            &self.name,
        )
    }
}

pub(super) fn matched_path<'a>(lookup: &Lookup<'a>) -> &'a str {
    match lookup.path {
        "*" | "" => "/",
        path => path,
    }
}
