//! The status with which a call ends.

use http::StatusCode;

use crate::http::error::{CALLER_GONE, DEADLINE_EXCEEDED, Error, Reason};
use crate::http::headers::Headers;

/// The status of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status(u8);

impl Status {
    pub const OK: Status = Status(0);
    pub const CANCELLED: Status = Status(1);
    pub const UNKNOWN: Status = Status(2);
    pub const INVALID_ARGUMENT: Status = Status(3);
    pub const DEADLINE_EXCEEDED: Status = Status(4);
    pub const PERMISSION_DENIED: Status = Status(7);
    pub const RESOURCE_EXHAUSTED: Status = Status(8);
    pub const ABORTED: Status = Status(10);
    pub const UNIMPLEMENTED: Status = Status(12);
    pub const INTERNAL: Status = Status(13);
    pub const UNAVAILABLE: Status = Status(14);
    pub const DATA_LOSS: Status = Status(15);
    pub const UNAUTHENTICATED: Status = Status(16);

    /// What `grpc-status` says: a number as the protocol writes it, and nothing else.
    #[inline]
    pub fn read(value: &[u8]) -> Option<Self> {
        Some(Status(match *value {
            [ones @ b'0'..=b'9'] => ones - b'0',
            [b'1', ones @ b'0'..=b'6'] => 10 + (ones - b'0'),
            _ => return None,
        }))
    }

    /// What callers read out of it, which is UNKNOWN where it is none.
    pub fn as_callers_read(value: &[u8]) -> Self {
        Status::read(value).unwrap_or(Status::UNKNOWN)
    }

    /// The status in the head of an answer, which then has no messages.
    #[inline]
    pub fn in_head(headers: &Headers) -> Option<Self> {
        super::status_in(headers).and_then(Status::read)
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

    /// Whether a server is to blame, in OpenTelemetry's semantic conventions.
    pub fn is_of_server(self) -> bool {
        matches!(
            self,
            Status::UNKNOWN
                | Status::DEADLINE_EXCEEDED
                | Status::UNIMPLEMENTED
                | Status::INTERNAL
                | Status::UNAVAILABLE
                | Status::DATA_LOSS
        )
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
            let status = Status::read(number.to_string().as_bytes()).unwrap();
            assert_eq!((usize::from(status.code()), status.name()), (number, *name));
        }
        for none in ["", "17", "-1", "+1", "00", "014", "1 ", "100", "x"] {
            assert_eq!(Status::read(none.as_bytes()), None, "{none}");
            assert_eq!(Status::as_callers_read(none.as_bytes()).name(), "UNKNOWN");
        }
    }
}
