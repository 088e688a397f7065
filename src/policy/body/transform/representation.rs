//! What headers say of a body, read before it is changed, and made right afterwards.

use http::{HeaderName, HeaderValue, header};

use super::decode::Coding;
use crate::http::headers::Headers;
use crate::http::message::is_framed;
pub use crate::http::semantics::essence::of as essence;

/// Whether a body is JSON by its content type: `application/json`, `text/json` or `…+json`
/// (WHATWG MIME Sniffing, "JSON MIME type"). Of several types one that is JSON decides.
pub fn is_json(headers: &Headers) -> bool {
    headers
        .get_all(&header::CONTENT_TYPE)
        .any(|kind| !is_framed(kind) && is_json_type(kind))
}

fn is_json_type(content_type: &[u8]) -> bool {
    let essence = essence(content_type);
    let Some((main, sub)) = essence.split_once('/') else {
        return false;
    };
    match sub.rsplit_once('+') {
        Some((_, suffix)) => suffix == "json",
        None => sub == "json" && ["application", "text"].contains(&main),
    }
}

/// Headers that tell something of the bytes of the content (RFC 9110, section 8; RFC 9530; RFC 3230; RFC 1864).
const OF_THE_BYTES: [HeaderName; 9] = [
    header::CONTENT_LENGTH,
    header::CONTENT_ENCODING,
    header::ETAG,
    header::ACCEPT_RANGES,
    header::TRAILER,
    HeaderName::from_static("digest"),
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("repr-digest"),
    HeaderName::from_static("content-md5"),
];

/// Removes what is no longer true of a body that was changed. Its length is written with it.
pub fn forget_bytes(headers: &mut Headers) {
    for name in &OF_THE_BYTES {
        headers.remove(name);
    }
}

/// Asks for an answer that can be read here: in a coding that is known.
pub fn ask_for_readable(headers: &mut Headers) {
    let accepted: Vec<String> = headers
        .get_all(&header::ACCEPT_ENCODING)
        .map(|value| String::from_utf8_lossy(value).into_owned())
        .collect();
    if accepted.is_empty() {
        return;
    }
    let readable = |coding: &&str| {
        let name = coding.split(';').next().unwrap_or_default().trim();
        name.eq_ignore_ascii_case("identity") || Coding::named(&name.to_ascii_lowercase()).is_some()
    };
    let accepted = accepted.join(",");
    let known: Vec<&str> = accepted
        .split(',')
        .map(str::trim)
        .filter(readable)
        .collect();
    let known = match known.as_slice() {
        [] => "identity".to_owned(),
        known => known.join(", "),
    };
    if let Ok(value) = HeaderValue::from_str(&known) {
        headers.insert(&header::ACCEPT_ENCODING, &value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::headers;

    #[test]
    fn json_is_told_by_the_content_type() {
        for (kind, expected) in [
            ("application/json", true),
            ("Application/JSON; charset=utf-8", true),
            ("application/problem+json", true),
            ("application/vnd.api+json;x=y", true),
            ("text/json", true),
            ("application/x-ndjson", false),
            ("application/json-seq", false),
            ("application/jsonp", false),
            ("application/grpc+json", false),
            ("text/plain", false),
            ("json", false),
            ("", false),
        ] {
            assert_eq!(
                is_json(&headers(&[("content-type", kind)])),
                expected,
                "{kind}"
            );
        }
        assert!(!is_json(&Headers::new()));
        let two = [
            ("content-type", "text/plain"),
            ("content-type", "application/json"),
        ];
        assert!(is_json(&headers(&two)));
    }

    #[test]
    fn only_codings_that_are_known_are_asked_for() {
        for (sent, asked) in [
            ("gzip, deflate, br, zstd", "gzip, deflate, br, zstd"),
            ("dcb, br;q=0.8 , *;q=0.1", "br;q=0.8"),
            ("dcb", "identity"),
            ("*", "identity"),
        ] {
            let mut headers = headers(&[("accept-encoding", sent)]);
            ask_for_readable(&mut headers);
            assert_eq!(headers.get_str(&header::ACCEPT_ENCODING), Some(asked));
        }
    }
}
