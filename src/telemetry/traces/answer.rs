//! What a collector's answer means (OTLP 1, "OTLP/HTTP Response").

use std::time::Duration;

use http::StatusCode;

use crate::fetch::Fetched;
use crate::http::semantics::retry_after;

/// What became of a batch.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It was taken, but for so many spans.
    Taken { rejected: u64 },
    /// It would never be.
    Refused(String),
    /// It may be taken later, not before so long.
    Later(String, Option<Duration>),
}

pub(super) fn judge(answer: Result<Fetched, String>) -> Verdict {
    let answer = match answer {
        Ok(answer) => answer,
        Err(why) => return Verdict::Later(why, None),
    };
    let says = || format!("the collector answers {}", answer.status);
    match answer.status {
        status if status.is_success() => Verdict::Taken {
            rejected: rejected(&answer.body).unwrap_or(0),
        },
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => {
            Verdict::Later(says(), retry_after::read(&answer.headers.into()))
        }
        _ => Verdict::Refused(says()),
    }
}

/// `rejected_spans` (1) of `partial_success` (1) of an `ExportTraceServiceResponse`.
fn rejected(mut message: &[u8]) -> Option<u64> {
    const PARTIAL_SUCCESS: u64 = 1 << 3 | 2;
    const REJECTED_SPANS: u64 = 1 << 3;
    if varint(&mut message)? != PARTIAL_SUCCESS {
        return None;
    }
    let length = usize::try_from(varint(&mut message)?).ok()?;
    let mut partial = message.get(..length)?;
    (varint(&mut partial)? == REJECTED_SPANS).then(|| varint(&mut partial))?
}

fn varint(message: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = message.split_first()?;
        *message = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, header};

    use super::*;

    fn answer(status: u16, body: &'static [u8]) -> Verdict {
        let mut headers = HeaderMap::new();
        headers.insert(header::RETRY_AFTER, 7.into());
        judge(Ok(Fetched {
            status: StatusCode::from_u16(status).unwrap(),
            headers,
            body: body.into(),
        }))
    }

    #[test]
    fn what_was_taken_may_be_a_part() {
        for (body, rejected) in [
            (&b""[..], 0),
            (b"\x0a\x00", 0),
            (b"\x0a\x05\x08\xac\x02\x12\x00", 300),
            (b"\x0a\x03\x12\x01x", 0),
            (b"{\"partialSuccess\":{}}", 0),
            (b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 0),
            (b"\x0a\x05\x08", 0),
        ] {
            assert_eq!(answer(200, body), Verdict::Taken { rejected }, "{body:?}");
        }
    }

    #[test]
    fn what_may_pass_is_tried_again() {
        for status in [429, 502, 503, 504] {
            let wait = Some(Duration::from_secs(7));
            assert!(matches!(answer(status, b""), Verdict::Later(_, of) if of == wait));
        }
        for status in [301, 400, 401, 404, 413, 500, 501] {
            assert!(
                matches!(answer(status, b""), Verdict::Refused(_)),
                "{status}"
            );
        }
        let gone = judge(Err("gone".to_owned()));
        assert_eq!(gone, Verdict::Later("gone".to_owned(), None));
    }
}
