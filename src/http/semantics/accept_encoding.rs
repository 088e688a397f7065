//! `Accept-Encoding`: in which codings a caller takes an answer (RFC 9110, section 12.5.3).

use http::header;

use crate::http::headers::Headers;

/// How much a caller wants a coding, in thousandths; 0: not at all. The last one that names it counts, and `*` stands for
/// those that nobody names.
pub fn weight(headers: &Headers, coding: &str) -> u16 {
    let (mut named, mut others) = (None, None);
    for line in headers.get_all(&header::ACCEPT_ENCODING) {
        for element in line.split(|byte| *byte == b',') {
            let mut parts = element.split(|byte| *byte == b';');
            let name = parts.next().unwrap_or_default().trim_ascii();
            let weight = parts.find_map(quality).unwrap_or(1000);
            if is(name, coding) {
                named = Some(weight);
            } else if name == b"*" {
                others = Some(weight);
            }
        }
    }
    named.or(others).unwrap_or(0)
}

fn is(name: &[u8], coding: &str) -> bool {
    let name = match name {
        b"x-gzip" | b"X-GZIP" => b"gzip",
        name => name,
    };
    name.eq_ignore_ascii_case(coding.as_bytes())
}

/// The value of `q` (section 12.4.2); one that is malformed asks for nothing.
fn quality(parameter: &[u8]) -> Option<u16> {
    let value = match parameter.trim_ascii() {
        [b'q' | b'Q', b'=', value @ ..] => value,
        _ => return None,
    };
    let digits = match value {
        [b'1'] => return Some(1000),
        [b'1', b'.', zeros @ ..] if zeros.len() <= 3 && zeros.iter().all(|z| *z == b'0') => {
            return Some(1000);
        }
        [b'0'] => &[],
        [b'0', b'.', digits @ ..] if digits.len() <= 3 => digits,
        _ => return Some(0),
    };
    let mut weight = 0;
    for place in 0..3 {
        let digit = digits.get(place).copied().unwrap_or(b'0');
        if !digit.is_ascii_digit() {
            return Some(0);
        }
        weight = weight * 10 + u16::from(digit - b'0');
    }
    Some(weight)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::headers;

    #[test]
    fn codings_have_weights() {
        for (value, gzip, br) in [
            ("gzip", 1000, 0),
            ("gzip, br", 1000, 1000),
            ("x-gzip;q=0.5,BR ; q=0.25", 500, 250),
            ("*", 1000, 1000),
            ("*;q=0.1, br;q=0", 100, 0),
            ("gzip;q=0", 0, 0),
            ("gzip;q=1.000, br;q=0.999", 1000, 999),
            ("gzip;q=2, br;q=x", 0, 0),
            ("", 0, 0),
            ("gzipped, brr", 0, 0),
        ] {
            let headers = headers(&[("accept-encoding", value)]);
            let weights = (weight(&headers, "gzip"), weight(&headers, "br"));
            assert_eq!(weights, (gzip, br), "{value}");
        }
        assert_eq!(weight(&headers(&[]), "gzip"), 0);
    }
}
