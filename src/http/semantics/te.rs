//! `TE`, of which a proxy understands `trailers`: whoever says so reads the fields behind a body (RFC 9110, section
//! 10.1.4).

use http::{HeaderValue, header};

use crate::http::headers::{Headers, Names};

/// The only value that goes on to an upstream, and the only one that HTTP/2 allows (RFC 9113, section 8.2.2).
pub const TRAILERS: HeaderValue = HeaderValue::from_static("trailers");

/// Whether this value of `TE` says that, and nothing else.
#[inline]
pub fn is_trailers(value: &[u8]) -> bool {
    value.eq_ignore_ascii_case(b"trailers")
}

/// Whether the sender reads trailers, whatever else it lists.
#[inline]
pub fn accepts_trailers(headers: &Headers) -> bool {
    const TE: Names = Names::new(&["te"]);
    headers.may_have(&TE) && lists_trailers(headers)
}

fn lists_trailers(headers: &Headers) -> bool {
    headers.get_all(&header::TE).any(|codings| {
        // Mostly it is the only one.
        is_trailers(codings)
            || (codings.split(|byte| *byte == b',')).any(|coding| is_trailers(coding.trim_ascii()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::headers;

    #[test]
    fn trailers_are_read_by_who_says_so() {
        for (fields, expected) in [
            (&[][..], false),
            (&[("te", "trailers")], true),
            (&[("TE", "gzip;q=0.5 , Trailers")], true),
            (&[("te", "gzip"), ("te", "trailers")], true),
            (&[("te", "gzip")], false),
            (&[("te", "")], false),
            (&[("te", "trailers;q=0.5")], false),
        ] {
            assert_eq!(accepts_trailers(&headers(fields)), expected, "{fields:?}");
        }
        assert!(is_trailers(TRAILERS.as_bytes()));
        assert!(!is_trailers(b"trailers, gzip"));
    }
}
