//! `path` of a `match`, read.

use std::sync::Arc;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};

use crate::http::message::Captures;
use crate::http::path;
use crate::value::Wrong;

/// All but the unreserved characters (RFC 3986, section 2.3).
const IN_A_SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A `path`: literal segments, `{name}` for one segment that is not empty, and at the end `{*name}` for the
/// rest, which may be empty: `/a/{*rest}` also takes `/a/` and `/a`.
///
/// Literals are held in the form in which paths are matched (see [`path`]): `/café` means `/caf%C3%A9`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct PathPattern {
    text: String,
    pub(super) segments: Vec<Segment>,
    pub(super) tail: Tail,
    pub(super) encoded_separators: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Segment {
    Literal(String),
    Capture(Arc<str>),
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Tail {
    /// The path ends here.
    End,
    /// Whatever follows, under this name if it has one.
    Rest(Option<Arc<str>>),
}

impl PathPattern {
    /// The pattern of a route that says nothing of paths.
    pub fn everything() -> Self {
        PathPattern {
            text: String::new(),
            segments: Vec::new(),
            tail: Tail::Rest(None),
            encoded_separators: false,
        }
    }

    /// Names of what it captures, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let segments = self.segments.iter().filter_map(|segment| match segment {
            Segment::Literal(_) => None,
            Segment::Capture(name) => Some(&**name),
        });
        segments.chain(self.rest())
    }

    /// The name of the rest, if it captures that.
    pub fn rest(&self) -> Option<&str> {
        match &self.tail {
            Tail::Rest(name) => name.as_deref(),
            Tail::End => None,
        }
    }

    /// The only path that it takes, when there is but one.
    pub fn only_path(&self) -> Option<String> {
        let mut path = String::new();
        for segment in &self.segments {
            let Segment::Literal(text) = segment else {
                return None;
            };
            path.push('/');
            path.push_str(text);
        }
        (self.tail == Tail::End).then_some(path)
    }

    /// The path that it takes in which `value_of` says what its names stand for, percent-encoded. A value for the rest keeps
    /// its slashes, and may be left out.
    ///
    /// # Errors
    /// The first name that has no value, or an empty one.
    pub fn filled<'v>(&self, value_of: impl Fn(&str) -> Option<&'v str>) -> Result<String, &str> {
        let mut path = String::new();
        for segment in &self.segments {
            path.push('/');
            match segment {
                Segment::Literal(text) => path.push_str(text),
                Segment::Capture(name) => {
                    let value = value_of(name).filter(|value| !value.is_empty());
                    path.extend(utf8_percent_encode(value.ok_or(&**name)?, IN_A_SEGMENT));
                }
            }
        }
        if let Tail::Rest(name) = &self.tail {
            path.push('/');
            let rest = name.as_deref().and_then(value_of).unwrap_or_default();
            for (at, segment) in rest.split('/').enumerate() {
                path.push_str(if at == 0 { "" } else { "/" });
                path.extend(utf8_percent_encode(segment, IN_A_SEGMENT));
            }
        }
        Ok(path)
    }

    /// A segment that other routers read as a placeholder and this one as plain text, and how it is written here.
    pub(super) fn looks_like_placeholder(&self) -> Option<(&str, String)> {
        let last = self.segments.len().saturating_sub(1);
        self.segments
            .iter()
            .enumerate()
            .find_map(|(index, segment)| {
                let Segment::Literal(text) = segment else {
                    return None;
                };
                let meant = match text.as_str() {
                    "*" | "**" if index == last => "{*rest}".to_owned(),
                    "*" | "**" => "{name}".to_owned(),
                    text => match text.strip_prefix(':') {
                        Some(name) if !name.is_empty() => format!("{{{name}}}"),
                        _ => return None,
                    },
                };
                Some((text.as_str(), meant))
            })
    }

    /// What its names stand for in `path`, which it takes.
    ///
    /// The text is that of the path in its one form, percent-encoded, so that a rewrite loses nothing.
    pub(super) fn capture(&self, path: &str) -> Captures {
        let mut captures = Captures::default();
        let mut rest = path.strip_prefix('/');
        for segment in &self.segments {
            let Some((text, after)) = rest.map(next_segment) else {
                break;
            };
            if let Segment::Capture(name) = segment {
                captures.push(name.clone(), text);
            }
            rest = after;
        }
        if let Tail::Rest(Some(name)) = &self.tail {
            captures.push(name.clone(), rest.unwrap_or_default());
        }
        captures
    }
}

/// Splits the first segment from those that follow, if any do.
pub(super) fn next_segment(path: &str) -> (&str, Option<&str>) {
    match path.split_once('/') {
        Some((segment, rest)) => (segment, Some(rest)),
        None => (path, None),
    }
}

impl TryFrom<String> for PathPattern {
    type Error = Wrong;

    fn try_from(text: String) -> Result<Self, Wrong> {
        let Some(inner) = text.strip_prefix('/') else {
            if text.contains("://") {
                return Err(Wrong::new(format!("`{text}` is a URL"))
                    .help("write its path here, and its host under `host`"));
            }
            let wrong = Wrong::new(format!("the path `{text}` must begin with `/`"));
            return Err(if text.starts_with('^') {
                wrong.help("a regular expression goes under `path_regex`")
            } else {
                wrong.help(format!("write \"/{text}\""))
            });
        };
        if text.contains(['?', '#']) {
            return Err(Wrong::new(format!("`{text}` is more than a path"))
                .help("conditions on the query go under `query`"));
        }
        let mut pattern = PathPattern {
            segments: Vec::new(),
            tail: Tail::End,
            encoded_separators: false,
            text: String::new(),
        };
        let mut rest = Some(inner);
        while let Some((segment, after)) = rest.map(next_segment) {
            match placeholder(segment)? {
                None => pattern.push_literal(segment, after.is_none())?,
                Some(name) => match name.strip_prefix('*') {
                    None => {
                        let name = pattern.fresh_name(name)?;
                        pattern.segments.push(Segment::Capture(name));
                    }
                    Some(name) if after.is_none() => {
                        pattern.tail = Tail::Rest(Some(pattern.fresh_name(name)?));
                    }
                    Some(_) => {
                        return Err(
                            Wrong::new(format!("`{segment}` must be the end of the path"))
                                .help("`{name}` stands for one segment"),
                        );
                    }
                },
            }
            rest = after;
        }
        pattern.text = text;
        Ok(pattern)
    }
}

impl PathPattern {
    fn push_literal(&mut self, segment: &str, last: bool) -> Result<(), Wrong> {
        if segment.is_empty() && !last {
            return Err(
                Wrong::new("`//` never matches, for paths are normalised before matching")
                    .help("write `/`"),
            );
        }
        let slashed = format!("/{segment}");
        let Some(canonical) = path::canonical(&slashed) else {
            return Err(
                Wrong::new(format!("`{segment}` has a malformed percent escape"))
                    .help("write a percent sign as `%25`"),
            );
        };
        let literal = &canonical.text[1..];
        if literal.is_empty() && !segment.is_empty() {
            return Err(Wrong::new(format!(
                "`{segment}` never matches, for paths are normalised before matching"
            ))
            .help("write the path that results"));
        }
        self.encoded_separators |= canonical.encoded_separators;
        self.segments.push(Segment::Literal(literal.to_owned()));
        Ok(())
    }

    fn fresh_name(&self, name: &str) -> Result<Arc<str>, Wrong> {
        let inner = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
        if name.is_empty() || !name.bytes().all(inner) {
            return Err(
                Wrong::new(format!("`{name}` cannot name a part of the path"))
                    .help("use letters, digits, `_` and `-`"),
            );
        }
        if self.names().any(|known| known == name) {
            return Err(Wrong::new(format!("`{name}` stands twice in the path"))
                .help("give one of them another name"));
        }
        Ok(name.into())
    }
}

impl From<PathPattern> for String {
    fn from(pattern: PathPattern) -> String {
        pattern.text
    }
}

/// What stands between the braces, when the segment is one placeholder.
fn placeholder(segment: &str) -> Result<Option<&str>, Wrong> {
    let inner = segment.strip_prefix('{').and_then(|s| s.strip_suffix('}'));
    if inner.unwrap_or(segment).contains(['{', '}']) {
        return Err(Wrong::new(format!(
            "braces must span a whole segment, not as in `{segment}`"
        ))
        .help("write it like `/{name}/`"));
    }
    Ok(inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn path(text: &str) -> Result<PathPattern, Wrong> {
        text.to_owned().try_into()
    }

    #[test]
    fn problems_in_paths_are_named() {
        for (text, part) in [
            ("", "must begin with `/`"),
            ("a", "must begin with `/`"),
            ("/a?b=1", "under `query`"),
            ("/a//b", "normalised"),
            ("/a/../b", "normalised"),
            ("/%2e/b", "normalised"),
            ("/%zz", "malformed"),
            ("/a{b}", "whole segment"),
            ("/{a}{b}", "whole segment"),
            ("/{a", "whole segment"),
            ("/{*a}/b", "must be the end"),
            ("/{*a}/", "must be the end"),
            ("/{}", "cannot name"),
            ("/{*}", "cannot name"),
            ("/{a b}", "cannot name"),
            ("/{a}/{a}", "twice"),
            ("/{a}/{*a}", "twice"),
        ] {
            let error = path(text).unwrap_err();
            assert!(error.to_string().contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn literals_take_the_form_of_paths() {
        let pattern = path("/caf\u{e9}/%7euser/").unwrap();
        assert_eq!(pattern.only_path().unwrap(), "/caf%C3%A9/~user/");
        assert!(path("/a%2fb").unwrap().encoded_separators);
        assert_eq!(path("/").unwrap().only_path().unwrap(), "/");
    }

    #[test]
    fn captures_are_as_they_stand_in_the_path() {
        let pattern = path("/a/{id}/{*rest}").unwrap();
        let captures = pattern.capture("/a/x%20y/b/c/");
        assert_eq!(captures.get("id"), Some("x%20y"));
        assert_eq!(captures.get("rest"), Some("b/c/"));
        assert_eq!(pattern.capture("/a/x").get("rest"), Some(""));
        assert_eq!(pattern.capture("/a/x/").get("rest"), Some(""));
        assert_eq!(PathPattern::everything().capture("/a"), Captures::default());
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "/?[a-z{}*/.%é-]{0,20}") {
            if let Ok(pattern) = path(&text) {
                prop_assert_eq!(String::from(pattern), text.clone());
            }
        }
    }
}
