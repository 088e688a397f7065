//! What a route asks of a request beyond host and path.

use http::{HeaderName, Method};

use super::lookup::Lookup;
use super::matching::{MatchConfig, Pattern, ValueMatch};
use super::overlap::{Overlap, Overlaps, Texts};
use super::values::{header_holds, query_holds};
use crate::value::Name;

/// A condition that a request does not meet.
pub(super) enum Unmet<'a> {
    /// The methods that the route names, if it names any.
    Method(Option<&'a [Method]>),
    Listener(&'a [Name]),
    Header(&'a HeaderName, &'a ValueMatch),
    Query(&'a str, &'a ValueMatch),
    PathRegex(&'a Pattern),
}

impl Unmet<'_> {
    /// Its key in `match`.
    pub fn key(&self) -> &'static str {
        match self {
            Unmet::Method(_) => "methods",
            Unmet::Listener(_) => "listener",
            Unmet::Header(..) => "headers",
            Unmet::Query(..) => "query",
            Unmet::PathRegex(_) => "path_regex",
        }
    }
}

/// Conditions of one route; each given one must hold.
pub(super) struct Conditions {
    listeners: Option<Vec<Name>>,
    methods: Option<Vec<Method>>,
    headers: Vec<(HeaderName, ValueMatch)>,
    query: Vec<(String, ValueMatch)>,
    path_regex: Option<Pattern>,
}

impl Conditions {
    pub(super) fn new(matches: &MatchConfig, listeners: Option<&[Name]>) -> Self {
        Conditions {
            listeners: listeners.map(<[Name]>::to_vec),
            methods: matches
                .methods
                .as_ref()
                .map(|methods| methods.iter().map(|method| method.0.clone()).collect()),
            headers: matches
                .headers
                .iter()
                .map(|(name, value)| (name.name().clone(), value.clone()))
                .collect(),
            query: matches
                .query
                .iter()
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect(),
            path_regex: matches.path_regex.clone(),
        }
    }

    /// How many there are: the last step of precedence.
    pub(super) fn count(&self) -> usize {
        usize::from(self.listeners.is_some())
            + usize::from(self.methods.is_some())
            + usize::from(self.path_regex.is_some())
            + self.headers.len()
            + self.query.len()
    }

    /// Whether all but the methods hold. Regular expressions over the path come last.
    pub(super) fn hold(&self, lookup: &Lookup<'_>, path: &str) -> bool {
        self.hold_with(lookup, path, |_| false)
    }

    /// The same, where a header that is `announced` holds whatever its value must be.
    pub(super) fn hold_with(
        &self,
        lookup: &Lookup<'_>,
        path: &str,
        announced: impl Fn(&HeaderName) -> bool,
    ) -> bool {
        let listener = |names: &Vec<Name>| names.iter().any(|n| n.as_str() == lookup.listener);
        let query = lookup.query.unwrap_or_default();
        self.listeners.as_ref().is_none_or(listener)
            && (self.headers.iter())
                .all(|(name, value)| header_holds(value, lookup.headers, name) || announced(name))
            && (self.query.iter()).all(|(name, value)| query_holds(value, query, name))
            && (self.path_regex.as_ref()).is_none_or(|regex| regex.is_match(path))
    }

    /// The first condition that does not hold, the methods included; None where [`Conditions::takes_method`] and
    /// [`Conditions::hold_with`] both hold.
    pub(super) fn unmet(
        &self,
        lookup: &Lookup<'_>,
        path: &str,
        announced: impl Fn(&HeaderName) -> bool,
    ) -> Option<Unmet<'_>> {
        if !self.takes_method(lookup.method) {
            return Some(Unmet::Method(self.methods.as_deref()));
        }
        let listener = |names: &&[Name]| !names.iter().any(|n| n.as_str() == lookup.listener);
        if let Some(names) = self.listeners.as_deref().filter(listener) {
            return Some(Unmet::Listener(names));
        }
        for (name, value) in &self.headers {
            if !header_holds(value, lookup.headers, name) && !announced(name) {
                return Some(Unmet::Header(name, value));
            }
        }
        for (name, value) in &self.query {
            if !query_holds(value, lookup.query.unwrap_or_default(), name) {
                return Some(Unmet::Query(name, value));
            }
        }
        let regex = self.path_regex.as_ref();
        regex
            .filter(|regex| !regex.is_match(path))
            .map(Unmet::PathRegex)
    }

    /// Some must be named; `GET` stands for `HEAD` too.
    pub(super) fn takes_method(&self, method: &Method) -> bool {
        match &self.methods {
            None => !must_be_named(method),
            Some(methods) => {
                methods.contains(method)
                    || *method == Method::HEAD && methods.contains(&Method::GET)
            }
        }
    }

    /// Whether `HEAD` is named: such a route is asked before one that takes it only as a `GET`.
    pub(super) fn names_head(&self) -> bool {
        self.methods
            .as_ref()
            .is_some_and(|methods| methods.contains(&Method::HEAD))
    }

    /// What `Allow` says for this route.
    pub(super) fn allow(&self) -> impl Iterator<Item = Method> + '_ {
        let named = self.methods.as_deref().unwrap_or(&[
            Method::DELETE,
            Method::GET,
            Method::OPTIONS,
            Method::PATCH,
            Method::POST,
            Method::PUT,
        ]);
        let head = named.contains(&Method::GET).then_some(Method::HEAD);
        named.iter().cloned().chain(head)
    }

    /// Whether it is certain that no request meets both.
    ///
    /// Two exact values of one name count as disjoint. A caller who repeats the name can meet both, and then
    /// the routes' names decide; it could have had either route by sending one value.
    pub(super) fn disjoint(&self, other: &Conditions, overlaps: &mut Overlaps) -> bool {
        let listeners = match (&self.listeners, &other.listeners) {
            (Some(a), Some(b)) => !a.iter().any(|name| b.contains(name)),
            _ => false,
        };
        listeners
            || methods_disjoint(self.methods.as_deref(), other.methods.as_deref())
            || values_disjoint(&self.headers, &other.headers, overlaps)
            || values_disjoint(&self.query, &other.query, overlaps)
            || self.common_path(other, overlaps) == Some(Overlap::None)
    }

    /// What is known of the paths that both regular expressions match, where both have one.
    pub(super) fn common_path(
        &self,
        other: &Conditions,
        overlaps: &mut Overlaps,
    ) -> Option<Overlap> {
        let (a, b) = self.path_regex.as_ref().zip(other.path_regex.as_ref())?;
        Some(overlaps.of(a, b, Texts::Paths))
    }

    /// The listeners that it names; `all` when it names none.
    pub(super) fn listeners<'a>(&'a self, all: &'a [Name]) -> &'a [Name] {
        self.listeners.as_deref().unwrap_or(all)
    }

    pub(super) fn methods(&self) -> Option<&[Method]> {
        self.methods.as_deref()
    }

    /// Whether a request of this listener, and of this method if one is given, may meet it.
    pub(super) fn admits(&self, listener: &Name, method: Option<&Method>) -> bool {
        let listens = |names: &Vec<Name>| names.contains(listener);
        self.listeners.as_ref().is_none_or(listens)
            && match method {
                Some(method) => self.takes_method(method),
                None => self.methods.is_none(),
            }
    }

    /// Whether it is certain that every request that meets `other` meets this, if this [admits](Self::admits) its
    /// listener and its method, both having the path pattern whose only path is `path`.
    pub(super) fn cover(&self, other: &Conditions, path: Option<&str>) -> bool {
        let path_regex = match &self.path_regex {
            None => true,
            Some(regex) => {
                other.path_regex.as_ref() == Some(regex)
                    || path.is_some_and(|path| regex.is_match(path))
            }
        };
        path_regex
            && values_cover(&self.headers, &other.headers)
            && values_cover(&self.query, &other.query)
    }
}

/// `CONNECT` opens a way to anywhere, and `TRACE` gives back what was attached to the request on its way.
fn must_be_named(method: &Method) -> bool {
    matches!(*method, Method::CONNECT | Method::TRACE)
}

fn methods_disjoint(a: Option<&[Method]>, b: Option<&[Method]>) -> bool {
    match (a, b) {
        (None, None) => false,
        (Some(a), Some(b)) => !a.iter().any(|method| b.contains(method)),
        (Some(only), None) | (None, Some(only)) => only.iter().all(must_be_named),
    }
}

fn values_disjoint<N: PartialEq>(
    a: &[(N, ValueMatch)],
    b: &[(N, ValueMatch)],
    overlaps: &mut Overlaps,
) -> bool {
    let mut differ = |a: &ValueMatch, b: &ValueMatch| match (a, b) {
        (ValueMatch::Exact(a), ValueMatch::Exact(b)) => a != b,
        (ValueMatch::Exact(text), ValueMatch::Regex(regex))
        | (ValueMatch::Regex(regex), ValueMatch::Exact(text)) => !regex.is_match(text),
        (ValueMatch::Regex(a), ValueMatch::Regex(b)) => {
            overlaps.of(a, b, Texts::Values) == Overlap::None
        }
        _ => false,
    };
    a.iter()
        .any(|(name, a)| b.iter().any(|(other, b)| name == other && differ(a, b)))
}

fn values_cover<N: PartialEq>(a: &[(N, ValueMatch)], b: &[(N, ValueMatch)]) -> bool {
    let implied = |a: &ValueMatch, b: &ValueMatch| match (a, b) {
        (ValueMatch::Present, _) => true,
        (ValueMatch::Regex(regex), ValueMatch::Exact(text)) => regex.is_match(text),
        (a, b) => a == b,
    };
    a.iter()
        .all(|(name, a)| b.iter().any(|(other, b)| name == other && implied(a, b)))
}
