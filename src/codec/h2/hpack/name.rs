//! What a field's name means to HTTP/2, found out once: when it is read as a literal.

use crate::codec::h1::head::names_framing_with_underscore;

/// Kinds of names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name {
    /// No token, or one with letters in upper case (RFC 9113, section 8.2.1).
    Malformed,
    Method,
    Scheme,
    Authority,
    Path,
    Status,
    OtherPseudo,
    ContentLength,
    ContentType,
    Cookie,
    Expect,
    Host,
    Te,
    /// Says something of a connection of HTTP/1.1 (RFC 9113, section 8.2.2).
    ConnectionSpecific,
    /// What gateways could read as a framing header.
    FramingLookalike,
    Other,
}

impl Name {
    pub fn of(name: &[u8]) -> Self {
        if name.first() == Some(&b':') {
            return match &name[1..] {
                b"method" => Name::Method,
                b"scheme" => Name::Scheme,
                b"authority" => Name::Authority,
                b"path" => Name::Path,
                b"status" => Name::Status,
                _ => Name::OtherPseudo,
            };
        }
        if name.is_empty() || !name.iter().all(|byte| IS_NAME[usize::from(*byte)]) {
            return Name::Malformed;
        }
        match name {
            b"te" => Name::Te,
            b"host" => Name::Host,
            b"cookie" => Name::Cookie,
            b"expect" => Name::Expect,
            b"content-type" => Name::ContentType,
            b"content-length" => Name::ContentLength,
            b"upgrade" | b"connection" | b"keep-alive" | b"proxy-connection"
            | b"transfer-encoding" => Name::ConnectionSpecific,
            _ if names_framing_with_underscore(name) => Name::FramingLookalike,
            _ => Name::Other,
        }
    }

    pub fn is_pseudo(self) -> bool {
        matches!(
            self,
            Name::Method
                | Name::Scheme
                | Name::Authority
                | Name::Path
                | Name::Status
                | Name::OtherPseudo
        )
    }
}

/// Whether a value may stand in a field: no control characters but the tab, and no blanks at its ends (RFC 9113,
/// section 8.2.1).
pub fn is_value(value: &[u8]) -> bool {
    let blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    !blank(value.first())
        && !blank(value.last())
        && value.iter().all(|byte| IS_VALUE[usize::from(*byte)])
}

/// Token characters (RFC 9110, section 5.6.2) without those in upper case.
static IS_NAME: [bool; 256] = {
    let mut is = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        is[byte] = matches!(
            byte as u8,
            b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'0'..=b'9' | b'^'..=b'z' | b'|' | b'~'
        );
        byte += 1;
    }
    is
};

static IS_VALUE: [bool; 256] = {
    let mut is = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        is[byte] = matches!(byte as u8, b'\t' | b' '..=b'~' | 0x80..);
        byte += 1;
    }
    is
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::semantics::connection;

    /// Names are told apart by a `match` that no list can be part of.
    #[test]
    fn what_speaks_of_a_connection_is_known() {
        for name in connection::NAMES {
            let name = Name::of(name.as_bytes());
            assert_eq!(name, Name::ConnectionSpecific);
        }
    }

    /// The types of the `http` crate know the same grammar.
    #[test]
    fn names_and_values_are_those_that_others_take() {
        for byte in 0..=255u8 {
            let name = [b'a', byte];
            // They let a quotation mark pass, which is no token character.
            let theirs = byte != b'"' && http::HeaderName::from_lowercase(&name).is_ok();
            assert_eq!(Name::of(&name) != Name::Malformed, theirs, "{byte}");
            let value = [b'a', byte, b'a'];
            let theirs = http::HeaderValue::from_bytes(&value).is_ok();
            assert_eq!(is_value(&value), theirs, "{byte}");
        }
        assert_eq!(Name::of(b""), Name::Malformed);
        assert_eq!(Name::of(b":"), Name::OtherPseudo);
        assert_eq!(Name::of(b"content_length"), Name::FramingLookalike);
        assert!(is_value(b"") && is_value(b"a b"));
        assert!(!is_value(b" a") && !is_value(b"a\t") && !is_value(b" "));
    }
}
