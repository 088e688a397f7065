//! What can be told of a request whose head was refused.

use bytes::Bytes;
use http::uri::{Authority, PathAndQuery};
use http::{HeaderName, HeaderValue, Method, Version, header};
use percent_encoding::{AsciiSet, CONTROLS, percent_encode};

use crate::http::grpc::Dialect;
use crate::http::headers::{Headers, Name};

/// Fields that are looked at, beside those that say who is to read the refusal: whoever sends what is refused
/// should not have much made of it.
const MAX_FIELDS: usize = 256;

/// What no target may hold as it is, beside what is no ASCII.
const NOT_IN_A_TARGET: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'<')
    .add(b'>')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// The parts of a head that could be read. Nothing is done for them but to answer and to log.
#[derive(Clone, Debug, Default)]
pub struct Outline {
    pub method: Option<Method>,
    pub target: Option<PathAndQuery>,
    pub authority: Option<Authority>,
    pub version: Option<Version>,
    pub headers: Headers,
}

impl Outline {
    /// Takes note of a target; one that may not be is kept percent-encoded, for the log.
    pub fn note_target(&mut self, target: &[u8]) {
        if !matches!(target.first(), Some(b'/' | b'*')) {
            return;
        }
        let text = percent_encode(target, NOT_IN_A_TARGET).to_string();
        self.target = PathAndQuery::from_maybe_shared(Bytes::from(text)).ok();
    }

    /// Takes note of a field, if it is one that may be.
    pub fn note_field(&mut self, name: &[u8], value: &[u8]) {
        let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value))
        else {
            return;
        };
        if self.headers.len() < MAX_FIELDS || name == header::CONTENT_TYPE {
            self.headers.append(&name, &value);
        }
    }

    pub fn dialect(&self) -> Dialect {
        let content_type = self.headers.find(&Name::CONTENT_TYPE);
        content_type.map_or(Dialect::Http, Dialect::of)
    }
}
