//! Whether a header or a query parameter has the value that a route asks for.

use std::borrow::Cow;

use http::HeaderName;

use super::matching::ValueMatch;
use crate::http::headers::Headers;
use crate::http::path::escaped_byte;

/// Whether one value of the header does it: a line, an element of a comma-separated line, or all lines joined,
/// which means the same (RFC 9110, section 5.3). So a second value never hides the first from a route.
pub(super) fn header_holds(wanted: &ValueMatch, headers: &Headers, name: &HeaderName) -> bool {
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

pub(super) fn query_holds(wanted: &ValueMatch, query: &str, name: &str) -> bool {
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
