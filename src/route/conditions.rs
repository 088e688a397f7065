//! What a route asks of a request beyond host and path.

use std::borrow::Cow;

use http::{HeaderName, Method};

use super::lookup::Lookup;
use super::matching::{MatchConfig, Pattern, ValueMatch};
use super::overlap::{Overlap, Overlaps, Texts};
use crate::http::headers::Headers;
use crate::http::path::escaped_byte;
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

/// Whether one value of the header does it: a line, an element of a comma-separated line, or all lines joined,
/// which means the same (RFC 9110, section 5.3). So a second value never hides the first from a route.
fn header_holds(wanted: &ValueMatch, headers: &Headers, name: &HeaderName) -> bool {
    let mut lines = headers.get_all(name).peekable();
    if lines.peek().is_none() {
        return false;
    }
    if *wanted == ValueMatch::Present {
        return true;
    }
    let mut count = 0;
    for line in lines {
        count += 1;
        if value_holds(wanted, line) {
            return true;
        }
        let elements = || line.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        if line.contains(&b',') && elements().any(|element| value_holds(wanted, element)) {
            return true;
        }
    }
    count > 1 && {
        let lines: Vec<&[u8]> = headers.get_all(name).collect();
        value_holds(wanted, &lines.join(&b", "[..]))
    }
}

fn value_holds(wanted: &ValueMatch, value: &[u8]) -> bool {
    match wanted {
        ValueMatch::Present => true,
        ValueMatch::Exact(text) => text.as_bytes() == value,
        ValueMatch::Regex(regex) => regex.is_match(&String::from_utf8_lossy(value)),
    }
}

fn query_holds(wanted: &ValueMatch, query: &str, name: &str) -> bool {
    query.split('&').any(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        decoded(key).eq(name.bytes())
            && !pair.is_empty()
            && match wanted {
                ValueMatch::Present => true,
                ValueMatch::Exact(text) => decoded(value).eq(text.bytes()),
                ValueMatch::Regex(_) => value_holds(wanted, &decoded_whole(value)),
            }
    })
}

/// The first value of a query parameter, for people.
pub(super) fn query_value(query: &str, name: &str) -> Option<String> {
    query.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (!pair.is_empty() && decoded(key).eq(name.bytes()))
            .then(|| String::from_utf8_lossy(&decoded_whole(value)).into_owned())
    })
}

/// The bytes of a form-encoded text: `+` is a space; a malformed escape stands for itself.
fn decoded(text: &str) -> impl Iterator<Item = u8> + '_ {
    let mut rest = text.as_bytes();
    std::iter::from_fn(move || {
        let (first, after) = rest.split_first()?;
        let (byte, after) = match first {
            b'+' => (b' ', after),
            b'%' => match escaped_byte(rest) {
                Some(byte) => (byte, &rest[3..]),
                None => (b'%', after),
            },
            byte => (*byte, after),
        };
        rest = after;
        Some(byte)
    })
}

fn decoded_whole(text: &str) -> Cow<'_, [u8]> {
    if text.contains(['+', '%']) {
        decoded(text).collect()
    } else {
        Cow::Borrowed(text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::headers;
    use proptest::prelude::*;

    fn wanted(value: &str) -> ValueMatch {
        match value.strip_prefix('~') {
            Some(regex) => ValueMatch::Regex(regex.to_owned().try_into().unwrap()),
            None if value == "*" => ValueMatch::Present,
            None => ValueMatch::Exact(value.to_owned()),
        }
    }

    #[test]
    fn a_second_value_never_hides_the_first() {
        let name = HeaderName::from_static("x-admin");
        for (fields, value, holds) in [
            (&["true"][..], "true", true),
            (&["false", "true"], "true", true),
            (&["true", "false"], "true", true),
            (&["false, true"], "true", true),
            (&["true,x", "y"], "true", true),
            (&["x", "y"], "x, y", true),
            (&["x, y"], "x, y", true),
            (&["true", "false"], "~^true$", true),
            (&["a,b"], "~^b$", true),
            (&["a", "b"], "~^a, b$", true),
            (&["xtrue"], "true", false),
            (&["TRUE"], "true", false),
            (&["xtruex"], "~true", true),
            (&[""], "*", true),
            (&[], "*", false),
            (&[], "~", false),
        ] {
            let headers = headers(&fields.iter().map(|v| ("x-admin", *v)).collect::<Vec<_>>());
            assert_eq!(
                header_holds(&wanted(value), &headers, &name),
                holds,
                "{fields:?} against {value}"
            );
        }
    }

    #[test]
    fn the_query_is_decoded_and_any_value_counts() {
        for (query, name, value, holds) in [
            ("v=2", "v", "2", true),
            ("v=1&v=2", "v", "2", true),
            ("a=b&v=2", "v", "2", true),
            ("v=%32", "v", "2", true),
            ("%76=2", "v", "2", true),
            ("v=a+b%2B", "v", "a b+", true),
            ("v=%zz", "v", "%zz", true),
            ("v", "v", "", true),
            ("v", "v", "*", true),
            ("v=2=3", "v", "2=3", true),
            ("v=x%20y", "v", "~^x y$", true),
            ("v=22", "v", "2", false),
            ("w=2", "v", "*", false),
            ("", "v", "*", false),
            ("", "", "*", false),
        ] {
            assert_eq!(
                query_holds(&wanted(value), query, name),
                holds,
                "{query:?} against {name}={value}"
            );
        }
    }

    proptest! {
        #[test]
        fn decoding_never_fails(text in "[a-c%+&=0-9]{0,20}") {
            prop_assert_eq!(decoded(&text).collect::<Vec<_>>(), decoded_whole(&text).into_owned());
        }
    }
}
