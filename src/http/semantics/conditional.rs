//! Conditional requests: what a request asks of the representation that is there (RFC 9110, section 13).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderName, header};

use crate::http::headers::{Headers, Names};

/// An entity tag (section 8.8.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntityTag {
    pub weak: bool,
    /// With its quotes.
    pub opaque: String,
}

impl EntityTag {
    /// As it stands in `ETag`.
    pub fn text(&self) -> String {
        let weak = if self.weak { "W/" } else { "" };
        format!("{weak}{}", self.opaque)
    }

    fn is_strongly(&self, other: Tag<'_>) -> bool {
        !self.weak && !other.weak && self.opaque.as_bytes() == other.opaque
    }

    fn is_weakly(&self, other: Tag<'_>) -> bool {
        self.opaque.as_bytes() == other.opaque
    }
}

/// What the representation is known by that is there.
#[derive(Clone, Debug)]
pub struct Validators {
    pub tag: EntityTag,
    pub modified: SystemTime,
}

/// What the conditions come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The request is to be carried out.
    Holds,
    /// 304: the caller of a GET or HEAD has it already.
    NotModified,
    /// 412
    Failed,
}

/// Whether the request has a condition, `If-Range` aside.
pub fn has_conditions(headers: &Headers) -> bool {
    const CONDITIONS: Names = Names::new(&[
        "if-match",
        "if-none-match",
        "if-modified-since",
        "if-unmodified-since",
    ]);
    headers.may_have(&CONDITIONS)
}

/// Judges the conditions of a request in the order of section 13.2.2. `reads`: it is a GET or HEAD. `current` is what is
/// there, if anything is.
pub fn judge(reads: bool, headers: &Headers, current: Option<&Validators>) -> Verdict {
    if !has_conditions(headers) {
        return Verdict::Holds;
    }
    if headers.contains(&header::IF_MATCH) {
        if !is_one_of(headers, &header::IF_MATCH, current, EntityTag::is_strongly) {
            return Verdict::Failed;
        }
    } else if let Some(since) = date(headers, &header::IF_UNMODIFIED_SINCE)
        && current.is_some_and(|current| seconds(current.modified) > seconds(since))
    {
        return Verdict::Failed;
    }
    if headers.contains(&header::IF_NONE_MATCH) {
        if is_one_of(
            headers,
            &header::IF_NONE_MATCH,
            current,
            EntityTag::is_weakly,
        ) {
            return if reads {
                Verdict::NotModified
            } else {
                Verdict::Failed
            };
        }
    } else if reads
        && let Some(since) = date(headers, &header::IF_MODIFIED_SINCE)
        && current.is_some_and(|current| seconds(current.modified) <= seconds(since))
    {
        return Verdict::NotModified;
    }
    Verdict::Holds
}

/// Whether a `Range` beside it holds: there is no `If-Range`, or it names what is there for certain (section 13.1.5). A
/// date does when it is at least a second old at `now`, so that nothing else can have been there within it.
pub fn if_range_holds(headers: &Headers, current: &Validators, now: SystemTime) -> bool {
    let Some(value) = headers.get(&header::IF_RANGE) else {
        return true;
    };
    let value = value.trim_ascii();
    if let Some((tag, [])) = tag(value) {
        return current.tag.is_strongly(tag);
    }
    let age = now.duration_since(current.modified).unwrap_or_default();
    date(headers, &header::IF_RANGE).is_some_and(|date| {
        !current.tag.weak
            && seconds(date) == seconds(current.modified)
            && age >= Duration::from_secs(1)
    })
}

/// Whether the list under `name` has a tag that `is` what is there, or is `*` where anything is.
fn is_one_of(
    headers: &Headers,
    name: &HeaderName,
    current: Option<&Validators>,
    is: fn(&EntityTag, Tag<'_>) -> bool,
) -> bool {
    let Some(current) = current else {
        return false;
    };
    headers.get_all(name).any(|list| {
        let list = list.trim_ascii();
        list == b"*" || tags(list).any(|tag| is(&current.tag, tag))
    })
}

#[derive(Clone, Copy)]
struct Tag<'a> {
    weak: bool,
    opaque: &'a [u8],
}

/// The tags of a list, up to what is none.
fn tags(mut list: &[u8]) -> impl Iterator<Item = Tag<'_>> {
    std::iter::from_fn(move || {
        let start = list
            .iter()
            .position(|byte| !matches!(byte, b',' | b' ' | b'\t'))?;
        let (tag, rest) = tag(&list[start..])?;
        list = rest;
        Some(tag)
    })
}

/// The tag with which `text` begins, and what follows.
fn tag(text: &[u8]) -> Option<(Tag<'_>, &[u8])> {
    let (weak, opaque) = match text.strip_prefix(b"W/") {
        Some(opaque) => (true, opaque),
        None => (false, text),
    };
    let inner = opaque.strip_prefix(b"\"")?;
    let end = inner.iter().position(|byte| *byte == b'"')? + 2;
    let (opaque, rest) = opaque.split_at(end);
    Some((Tag { weak, opaque }, rest))
}

/// The date under `name`; none where there are two, or it is none (section 13.1.3).
fn date(headers: &Headers, name: &HeaderName) -> Option<SystemTime> {
    let mut lines = headers.get_all(name);
    let (Some(line), None) = (lines.next(), lines.next()) else {
        return None;
    };
    httpdate::parse_http_date(std::str::from_utf8(line).ok()?.trim()).ok()
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::headers;

    const OLD: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
    const SAME: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const NEW: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

    fn there(weak: bool) -> Validators {
        Validators {
            tag: EntityTag {
                weak,
                opaque: "\"a,b\"".to_owned(),
            },
            modified: httpdate::parse_http_date(SAME).unwrap() + Duration::from_millis(500),
        }
    }

    #[test]
    fn conditions_are_judged_in_the_order_of_the_standard() {
        use Verdict::{Failed, Holds, NotModified};
        // What is asked, and what comes of it for: a GET, a PUT, a PUT where nothing is there.
        for (asked, get, put, absent) in [
            (&[][..], Holds, Holds, Holds),
            (&[("if-match", "\"a,b\"")], Holds, Holds, Failed),
            (&[("if-match", "\"x\", \"a,b\"")], Holds, Holds, Failed),
            (&[("if-match", "*")], Holds, Holds, Failed),
            (&[("if-match", "W/\"a,b\"")], Failed, Failed, Failed),
            (&[("if-match", "\"x\"")], Failed, Failed, Failed),
            (&[("if-match", "a,b")], Failed, Failed, Failed),
            (
                &[("if-match", "\"x\""), ("if-match", "\"a,b\"")],
                Holds,
                Holds,
                Failed,
            ),
            (&[("if-none-match", "*")], NotModified, Failed, Holds),
            (&[("if-none-match", "\"a,b\"")], NotModified, Failed, Holds),
            (
                &[("if-none-match", "W/\"a,b\"")],
                NotModified,
                Failed,
                Holds,
            ),
            (&[("if-none-match", "\"x\"")], Holds, Holds, Holds),
            (&[("if-modified-since", SAME)], NotModified, Holds, Holds),
            (&[("if-modified-since", NEW)], NotModified, Holds, Holds),
            (&[("if-modified-since", OLD)], Holds, Holds, Holds),
            (&[("if-modified-since", "yesterday")], Holds, Holds, Holds),
            (
                &[("if-modified-since", SAME), ("if-modified-since", SAME)],
                Holds,
                Holds,
                Holds,
            ),
            (&[("if-unmodified-since", OLD)], Failed, Failed, Holds),
            (&[("if-unmodified-since", SAME)], Holds, Holds, Holds),
            // A tag counts before a date.
            (
                &[("if-none-match", "\"x\""), ("if-modified-since", NEW)],
                Holds,
                Holds,
                Holds,
            ),
            (
                &[("if-match", "\"a,b\""), ("if-unmodified-since", OLD)],
                Holds,
                Holds,
                Failed,
            ),
            // What must match counts before what must not.
            (
                &[("if-match", "\"x\""), ("if-none-match", "\"a,b\"")],
                Failed,
                Failed,
                Failed,
            ),
            (
                &[("if-match", "\"a,b\""), ("if-none-match", "\"a,b\"")],
                NotModified,
                Failed,
                Failed,
            ),
            (
                &[("if-unmodified-since", SAME), ("if-modified-since", SAME)],
                NotModified,
                Holds,
                Holds,
            ),
        ] {
            let headers = headers(asked);
            let current = there(false);
            assert_eq!(judge(true, &headers, Some(&current)), get, "GET {asked:?}");
            assert_eq!(judge(false, &headers, Some(&current)), put, "PUT {asked:?}");
            assert_eq!(judge(false, &headers, None), absent, "nothing {asked:?}");
        }
        let weak = headers(&[("if-match", "\"a,b\"")]);
        assert_eq!(judge(true, &weak, Some(&there(true))), Failed);
    }

    #[test]
    fn a_range_may_depend_on_what_is_there() {
        let now = there(false).modified + Duration::from_secs(60);
        for (value, strong, weak) in [
            ("\"a,b\"", true, false),
            ("W/\"a,b\"", false, false),
            ("\"x\"", false, false),
            ("\"a,b\", \"x\"", false, false),
            (SAME, true, false),
            (NEW, false, false),
            (OLD, false, false),
            ("", false, false),
        ] {
            let headers = headers(&[("if-range", value)]);
            assert_eq!(
                if_range_holds(&headers, &there(false), now),
                strong,
                "{value}"
            );
            assert_eq!(if_range_holds(&headers, &there(true), now), weak, "{value}");
        }
        let headers = headers(&[("if-range", SAME)]);
        let young = there(false).modified + Duration::from_millis(999);
        assert!(!if_range_holds(&headers, &there(false), young));
        assert!(if_range_holds(
            &crate::testing::headers(&[]),
            &there(true),
            now
        ));
    }
}
