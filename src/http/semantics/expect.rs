//! `Expect: 100-continue`: the sender of a body waits until it is told that the body is wanted (RFC 9110, section
//! 10.1.1). No other expectation is known; one that stands beside it in a list is a value that is none.

use http::header;

use crate::http::headers::{Headers, Names};

/// Whether this value of `Expect` asks for `100 Continue`.
#[inline]
pub fn is_continue(value: &[u8]) -> bool {
    value.eq_ignore_ascii_case(b"100-continue")
}

/// Whether a head asks for `100 Continue`, in any field of the name.
#[inline]
pub fn expects_continue(headers: &Headers) -> bool {
    const EXPECT: Names = Names::new(&["expect"]);
    headers.may_have(&EXPECT) && headers.get_all(&header::EXPECT).any(is_continue)
}

/// Removes the expectation from a request whose body is here: the upstream has nothing to decide any more, and one that
/// knows no `100 Continue` would be waited for.
pub fn forget(headers: &mut Headers) {
    headers.remove(&header::EXPECT);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::headers;

    #[test]
    fn one_expectation_is_known() {
        for (fields, expected) in [
            (&[][..], false),
            (&[("expect", "100-continue")], true),
            (&[("Expect", "100-Continue")], true),
            (
                &[("expect", "101-continue"), ("expect", "100-continue")],
                true,
            ),
            (&[("expect", "100-continue, more")], false),
            (&[("expect", "")], false),
            (&[("expects", "100-continue")], false),
        ] {
            let mut headers = headers(fields);
            assert_eq!(expects_continue(&headers), expected, "{fields:?}");
            forget(&mut headers);
            assert!(!expects_continue(&headers));
        }
    }
}
