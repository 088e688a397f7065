//! Why a route was passed over, in words: told by the very conditions that the search asks.

use http::HeaderName;

use super::conditions::Unmet;
use super::host::{HostKey, HostPattern};
use super::lookup::Lookup;
use super::matching::ValueMatch;
use super::rule::Rule;
use super::table::{Table, matched_path};
use crate::value::{Name, REDACTED, names_a_secret};

/// A route that a request does not get, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PassedOver {
    pub route: Name,
    /// The key of `match` that does not hold; None where all hold, and another route takes precedence.
    pub condition: Option<&'static str>,
    /// What the route wants, and what the request has.
    pub why: String,
}

impl<T> Table<T> {
    /// The routes that do not take the request, each with the first of its conditions that fails: first those whose host and
    /// path match, by precedence, then the others by name. `chosen` is the one that takes it. Of headers for which
    /// `announces` holds the values are not known yet.
    pub fn passed_over(
        &self,
        lookup: &Lookup<'_>,
        announces: impl Fn(&HeaderName) -> bool,
        chosen: Option<&str>,
    ) -> Vec<PassedOver> {
        let path = matched_path(lookup);
        let mut told: Vec<PassedOver> = Vec::new();
        // The one that would take it stands before others also where the path keeps it from that.
        let mut first = chosen;
        self.visit_rules(lookup, |rule| {
            if chosen == Some(rule.name.as_str()) {
                return;
            }
            let passed = unmet(rule, lookup, path, &announces, first);
            if passed.condition == Some(SLASHES) {
                first = first.or(Some(rule.name.as_str()));
            }
            told.push(passed);
        });
        let mut others: Vec<PassedOver> = Vec::new();
        for rule in self.rules() {
            let known = told.iter().any(|one| one.route == rule.name);
            if !known && chosen != Some(rule.name.as_str()) {
                others.push(elsewhere(rule, lookup, path));
            }
        }
        others.sort_by(|a, b| a.route.cmp(&b.route));
        told.extend(others);
        told
    }
}

const SLASHES: &str = "allow_encoded_slashes";

/// Of a route whose host and path match.
fn unmet(
    rule: &Rule,
    lookup: &Lookup<'_>,
    path: &str,
    announces: impl Fn(&HeaderName) -> bool,
    chosen: Option<&str>,
) -> PassedOver {
    let unmet = rule.conditions.unmet(lookup, path, announces);
    let (condition, why) = match unmet {
        Some(unmet) => (Some(unmet.key()), words(&unmet, lookup, path)),
        None if lookup.encoded_separators && !rule.allow_encoded_slashes => (
            Some(SLASHES),
            "the path has an encoded slash, backslash or NUL, which the route does not allow"
                .to_owned(),
        ),
        None => {
            let why = match chosen {
                Some(chosen) => format!("all conditions hold, but `{chosen}` takes precedence"),
                None => "all conditions hold".to_owned(),
            };
            (None, why)
        }
    };
    PassedOver {
        route: rule.name.clone(),
        condition,
        why,
    }
}

/// Of a route whose host or path does not match.
fn elsewhere(rule: &Rule, lookup: &Lookup<'_>, path: &str) -> PassedOver {
    let (condition, why) = match &rule.host {
        Some(host) if !host_matches(host, lookup.host) => {
            let wanted = String::from(host.clone());
            let has = match lookup.host {
                Some(host) => format!("the request is for `{host}`"),
                None => "the request names none".to_owned(),
            };
            ("host", format!("it takes the host `{wanted}`, and {has}"))
        }
        _ => {
            let wanted = String::from(rule.path.clone());
            let why = format!("it takes the path `{wanted}`, and the request has `{path}`");
            ("path", why)
        }
    };
    PassedOver {
        route: rule.name.clone(),
        condition: Some(condition),
        why,
    }
}

fn host_matches(pattern: &HostPattern, host: Option<&str>) -> bool {
    let Some(key) = host.and_then(HostKey::new) else {
        return false;
    };
    match pattern {
        HostPattern::Exact(exact) => exact == key.as_str(),
        HostPattern::Suffix(suffix) => key
            .as_str()
            .strip_suffix(suffix)
            .is_some_and(|below| below.len() > 1 && below.ends_with('.')),
    }
}

fn words(unmet: &Unmet<'_>, lookup: &Lookup<'_>, path: &str) -> String {
    match unmet {
        Unmet::Method(None) => format!("{} has to be named in `methods`", lookup.method),
        Unmet::Method(Some(methods)) => {
            let names: Vec<&str> = methods.iter().map(|method| method.as_str()).collect();
            let names = names.join(", ");
            format!("it takes {names}, and the request is {}", lookup.method)
        }
        Unmet::Listener(names) => {
            let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
            format!(
                "it takes callers of listener {}, and the request came to `{}`",
                names.join(", "),
                lookup.listener
            )
        }
        Unmet::Header(name, wanted) => {
            let values: Vec<_> = lookup.headers.get_all(name).collect();
            let text = values.join(&b", "[..]);
            let has = (!values.is_empty()).then(|| String::from_utf8_lossy(&text).into_owned());
            let secret = names_a_secret(name.as_str());
            format!(
                "it wants the header `{name}` {}",
                wanted_and(wanted, has, secret)
            )
        }
        Unmet::Query(name, wanted) => {
            let has = super::values::query_value(lookup.query.unwrap_or_default(), name);
            let secret = names_a_secret(name);
            format!(
                "it wants the query parameter `{name}` {}",
                wanted_and(wanted, has, secret)
            )
        }
        Unmet::PathRegex(regex) => format!(
            "`path_regex` is `{}`, which does not match `{path}`",
            regex.as_str()
        ),
    }
}

fn wanted_and(wanted: &ValueMatch, has: Option<String>, secret: bool) -> String {
    let shown = |text: &str| {
        if secret {
            REDACTED.to_owned()
        } else {
            text.to_owned()
        }
    };
    let wanted = match wanted {
        ValueMatch::Present => "with whatever value".to_owned(),
        ValueMatch::Exact(text) => format!("to be `{}`", shown(text)),
        ValueMatch::Regex(regex) => format!("to match `{}`", shown(regex.as_str())),
    };
    match has {
        Some(has) => format!("{wanted}, and the request has `{}`", shown(&has)),
        None => format!("{wanted}, and the request has none"),
    }
}
