//! Cookies of a request (RFC 6265, section 4.2).

use http::{HeaderName, header};

use super::headers::Headers;

static COOKIE: HeaderName = header::COOKIE;

/// Every value that cookies of this name have, as it stands there. Unlike a header's, the case of a name counts.
pub fn values<'a>(headers: &'a Headers, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    headers
        .get_all(&COOKIE)
        .flat_map(|cookies| cookies.split(|byte| *byte == b';'))
        .filter_map(move |pair| {
            let behind = pair.trim_ascii().strip_prefix(name.as_bytes())?;
            behind.strip_prefix(b"=")
        })
}

/// Whether a cookie can have this name: a token, as a header's is.
pub fn is_name(text: &str) -> bool {
    HeaderName::from_bytes(text.as_bytes()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::headers;

    #[test]
    fn a_cookie_is_found_among_others() {
        let found = |fields: &[(&str, &str)]| {
            let headers = headers(fields);
            let values = values(&headers, "sid").map(String::from_utf8_lossy);
            values.collect::<Vec<_>>().join("|")
        };
        for (fields, expected) in [
            (&[("cookie", "sid=7=7")][..], "7=7"),
            (&[("Cookie", "a=1; sid=\"7\" ;b=2")], "\"7\""),
            (&[("cookie", "a=1"), ("cookie", "sid=7")], "7"),
            (&[("cookie", "sid=7; sid=8"), ("cookie", "sid=9")], "7|8|9"),
            (&[("cookie", "xsid=7; Sid=8; a=sid=9; sid")], ""),
            (&[("set-cookie", "sid=7")], ""),
        ] {
            assert_eq!(found(fields), expected, "{fields:?}");
        }
    }

    #[test]
    fn a_name_is_a_token() {
        assert!(is_name("SID"));
        for wrong in ["", "a=b", "a b", "a;b"] {
            assert!(!is_name(wrong), "{wrong}");
        }
    }
}
