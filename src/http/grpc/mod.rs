//! gRPC as far as a proxy has to know it: who speaks it, and the status with which a call ends.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::http::error::{CALLER_GONE, DEADLINE_EXCEEDED, Error, Reason};
use crate::http::headers::{Headers, Name};

pub const STATUS: HeaderName = HeaderName::from_static("grpc-status");
pub const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// The status in the head of an answer, which then has no messages.
#[inline]
pub fn status_in(headers: &Headers) -> Option<&[u8]> {
    const NAME: Name = Name::new("grpc-status");
    headers.find(&NAME)
}

/// The status behind the messages of an answer. Trailers are so few that a walk costs less than a hash.
pub fn status_behind(trailers: &HeaderMap) -> Option<&[u8]> {
    let mut trailers = trailers.iter();
    let status = trailers.find(|(name, _)| name.as_str() == "grpc-status");
    status.map(|(_, value)| value.as_bytes())
}

/// How a caller reads what became of its call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// From the status of HTTP.
    #[default]
    Http,
    /// From trailers, or from the head of an answer that has nothing else ("trailers-only").
    Grpc,
    /// From the last frame of the body, or from such a head: browsers show no trailers to a page.
    GrpcWeb,
    /// The same, in base64.
    GrpcWebText,
}

impl Dialect {
    /// What the `Content-Type` of a request says.
    pub fn of(content_type: &[u8]) -> Self {
        let Some(rest) = content_type.strip_prefix(b"application/grpc") else {
            return Dialect::Http;
        };
        let (dialect, rest) = match rest.strip_prefix(b"-web") {
            None => (Dialect::Grpc, rest),
            Some(rest) => match rest.strip_prefix(b"-text") {
                None => (Dialect::GrpcWeb, rest),
                Some(rest) => (Dialect::GrpcWebText, rest),
            },
        };
        match rest.first() {
            None | Some(b'+' | b';' | b' ') => dialect,
            Some(_) => Dialect::Http,
        }
    }

    /// Whether a call ends with a status of gRPC, whatever that of HTTP is.
    pub fn is_grpc(self) -> bool {
        self != Dialect::Http
    }

    /// Whether the caller is a page's script, to which a browser shows a few headers only.
    pub fn is_web(self) -> bool {
        matches!(self, Dialect::GrpcWeb | Dialect::GrpcWebText)
    }

    /// The `Content-Type` of an answer without messages.
    pub fn content_type(self) -> Option<HeaderValue> {
        Some(HeaderValue::from_static(match self {
            Dialect::Http => return None,
            Dialect::Grpc => "application/grpc",
            Dialect::GrpcWeb => "application/grpc-web+proto",
            Dialect::GrpcWebText => "application/grpc-web-text+proto",
        }))
    }
}

/// The status of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status(u8);

impl Status {
    pub const CANCELLED: Status = Status(1);
    pub const UNKNOWN: Status = Status(2);
    pub const INVALID_ARGUMENT: Status = Status(3);
    pub const DEADLINE_EXCEEDED: Status = Status(4);
    pub const PERMISSION_DENIED: Status = Status(7);
    pub const RESOURCE_EXHAUSTED: Status = Status(8);
    pub const UNIMPLEMENTED: Status = Status(12);
    pub const INTERNAL: Status = Status(13);
    pub const UNAVAILABLE: Status = Status(14);
    pub const UNAUTHENTICATED: Status = Status(16);

    /// What `grpc-status` says. Callers read UNKNOWN out of what is none.
    pub fn parse(value: &[u8]) -> Self {
        let number = match *value {
            [ones @ b'0'..=b'9'] => ones - b'0',
            [b'1', ones @ b'0'..=b'6'] => 10 + (ones - b'0'),
            _ => return Status::UNKNOWN,
        };
        Status(number)
    }

    pub fn in_head(headers: &Headers) -> Option<Self> {
        status_in(headers).map(Status::parse)
    }

    /// What a caller would expect for a refusal or a failure.
    pub fn of_reason(reason: Reason) -> Self {
        match reason.status {
            400 => Status::INVALID_ARGUMENT,
            401 => Status::UNAUTHENTICATED,
            403 => Status::PERMISSION_DENIED,
            404 | 405 | 415 => Status::UNIMPLEMENTED,
            408 | 504 => Status::DEADLINE_EXCEEDED,
            413 | 429 | 431 => Status::RESOURCE_EXHAUSTED,
            499 => Status::CANCELLED,
            502 | 503 => Status::UNAVAILABLE,
            _ => Status::INTERNAL,
        }
    }

    /// The same, or what a caller would have read out of the upstream's reset itself ("Errors" in gRPC over HTTP/2).
    pub fn of_error(error: &Error) -> Self {
        const CANCEL: u32 = 0x8;
        const ENHANCE_YOUR_CALM: u32 = 0xb;
        match error.stream_code() {
            Some(CANCEL) => Status::CANCELLED,
            Some(ENHANCE_YOUR_CALM) => Status::RESOURCE_EXHAUSTED,
            _ => Status::of_reason(error.reason()),
        }
    }

    /// What a caller reads out of the reset that cuts an answer short, which is the upstream's own where it means
    /// something, and else INTERNAL_ERROR.
    pub fn of_cut(error: &Error) -> Self {
        match (error.reason(), error.stream_code()) {
            (DEADLINE_EXCEEDED, _) => Status::DEADLINE_EXCEEDED,
            (CALLER_GONE, _) => Status::CANCELLED,
            (_, Some(_)) => Status::of_error(error),
            _ => Status::INTERNAL,
        }
    }

    /// What callers read out of an answer that has no status of gRPC ("HTTP to gRPC Status Code Mapping").
    pub fn of_http(status: StatusCode) -> Self {
        match status.as_u16() {
            400 => Status::INTERNAL,
            401 => Status::UNAUTHENTICATED,
            403 => Status::PERMISSION_DENIED,
            404 => Status::UNIMPLEMENTED,
            429 | 502..=504 => Status::UNAVAILABLE,
            _ => Status::UNKNOWN,
        }
    }

    pub fn code(self) -> u8 {
        self.0
    }

    pub fn name(self) -> &'static str {
        NAMES.get(usize::from(self.0)).unwrap_or(&"UNKNOWN")
    }
}

/// By their numbers ("Status codes and their use in gRPC").
const NAMES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_type_says_which_dialect_a_caller_speaks() {
        for (content_type, dialect) in [
            ("application/grpc", Dialect::Grpc),
            ("application/grpc+proto", Dialect::Grpc),
            ("application/grpc;charset=utf-8", Dialect::Grpc),
            ("application/grpc-web", Dialect::GrpcWeb),
            ("application/grpc-web+json", Dialect::GrpcWeb),
            ("application/grpc-web-text", Dialect::GrpcWebText),
            ("application/grpc-web-text+proto", Dialect::GrpcWebText),
            ("application/grpc-webby", Dialect::Http),
            ("application/grpcish", Dialect::Http),
            ("application/connect+proto", Dialect::Http),
            ("application/proto", Dialect::Http),
            ("", Dialect::Http),
        ] {
            assert_eq!(
                Dialect::of(content_type.as_bytes()),
                dialect,
                "{content_type}"
            );
        }
    }

    #[test]
    fn an_answer_that_is_cut_ends_as_its_caller_reads_it() {
        let cut = |reason: Reason| Error::new(reason, "cut");
        let upstream = crate::http::error::UPSTREAM_RESET;
        for (error, name) in [
            (cut(upstream), "INTERNAL"),
            (cut(upstream).with_stream_code(0x8), "CANCELLED"),
            (cut(upstream).with_stream_code(0xb), "RESOURCE_EXHAUSTED"),
            (cut(DEADLINE_EXCEEDED), "DEADLINE_EXCEEDED"),
            (cut(CALLER_GONE), "CANCELLED"),
        ] {
            assert_eq!(Status::of_cut(&error).name(), name, "{error}");
        }
    }

    #[test]
    fn every_number_of_a_status_has_its_name() {
        for (number, name) in NAMES.iter().enumerate() {
            let status = Status::parse(number.to_string().as_bytes());
            assert_eq!((usize::from(status.code()), status.name()), (number, *name));
        }
        for none in ["", "17", "-1", "00", "1 ", "100", "x"] {
            assert_eq!(Status::parse(none.as_bytes()), Status::UNKNOWN, "{none}");
        }
    }
}
