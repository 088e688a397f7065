//! `grpc-message`: what a status says to people.

use http::HeaderValue;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

/// What may not stand there as it is, beside what is no ASCII (gRPC over HTTP/2, "Status-Message").
const ENCODED: &AsciiSet = &CONTROLS.add(b'%');

/// The text as a value of the header.
pub fn encode(text: &str) -> Option<HeaderValue> {
    let encoded = utf8_percent_encode(text, ENCODED).to_string();
    HeaderValue::try_from(encoded).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_printable_ascii_is_encoded() {
        let encoded = encode("50% of ~\"caf\u{e9}\"\n\u{7f}").unwrap();
        assert_eq!(encoded, "50%25 of ~\"caf%C3%A9\"%0A%7F");
        assert_eq!(encode("").unwrap(), "");
    }
}
