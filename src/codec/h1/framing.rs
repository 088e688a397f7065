//! Where a body ends (RFC 9112, section 6.3), and which statements of it are refused.

use crate::http::headers::length;

/// How the end of a body is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is no body.
    None,
    /// So many bytes.
    Length(u64),
    Chunked,
    /// Until the connection ends: responses only.
    UntilClose,
}

/// What the framing headers of one head say, gathered while its fields are read.
#[derive(Clone, Copy, Debug, Default)]
pub struct FramingHeaders {
    length: Option<u64>,
    chunked: bool,
}

/// Why framing headers are refused.
pub type Ambiguous = &'static str;

impl FramingHeaders {
    /// Takes note of a `Content-Length` field.
    pub fn content_length(&mut self, value: &[u8]) -> Result<(), Ambiguous> {
        if self.length.is_some() {
            return Err("more than one Content-Length");
        }
        self.length = Some(length::read(value)?);
        Ok(())
    }

    /// Takes note of a `Transfer-Encoding` field.
    pub fn transfer_encoding(&mut self, value: &[u8]) -> Result<(), Ambiguous> {
        if self.chunked {
            return Err("more than one Transfer-Encoding");
        }
        if !value.eq_ignore_ascii_case(b"chunked") {
            return Err("a Transfer-Encoding other than chunked");
        }
        self.chunked = true;
        Ok(())
    }

    /// The framing of a request.
    pub fn of_request(self, http_10: bool) -> Result<Framing, Ambiguous> {
        self.check(http_10)?;
        Ok(match self {
            FramingHeaders { chunked: true, .. } => Framing::Chunked,
            FramingHeaders {
                length: Some(n), ..
            } if n > 0 => Framing::Length(n),
            _ => Framing::None,
        })
    }

    /// The framing of a response; `bodyless` when the status or the request's method rule a body out.
    pub fn of_response(self, http_10: bool, bodyless: bool) -> Result<Framing, Ambiguous> {
        self.check(http_10)?;
        Ok(match self {
            _ if bodyless => Framing::None,
            FramingHeaders { chunked: true, .. } => Framing::Chunked,
            FramingHeaders {
                length: Some(0), ..
            } => Framing::None,
            FramingHeaders {
                length: Some(n), ..
            } => Framing::Length(n),
            _ => Framing::UntilClose,
        })
    }

    fn check(self, http_10: bool) -> Result<(), Ambiguous> {
        match self.chunked {
            true if self.length.is_some() => Err("Content-Length and Transfer-Encoding together"),
            true if http_10 => Err("Transfer-Encoding in HTTP/1.0"),
            _ => Ok(()),
        }
    }

    /// Whether bytes of content are announced.
    pub fn promises_content(self) -> bool {
        self.chunked || self.length.is_some_and(|length| length > 0)
    }

    /// Whether a `Content-Length` was given.
    pub fn has_length(self) -> bool {
        self.length.is_some()
    }

    pub fn is_chunked(self) -> bool {
        self.chunked
    }
}
