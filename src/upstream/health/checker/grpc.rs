//! `Check` of `grpc.health.v1.Health` (the gRPC health checking protocol): one string there, one number back, which
//! needs no library for protocol buffers.

use bytes::{BufMut, Bytes, BytesMut};
use http::HeaderMap;
use http::uri::PathAndQuery;

use crate::http::grpc::{self, Status};

pub const PATH: PathAndQuery = PathAndQuery::from_static("/grpc.health.v1.Health/Check");

/// `HealthCheckResponse.SERVING`.
const SERVING: u64 = 1;
/// Field 1 as a string, and as a number.
const SERVICE: u8 = 1 << 3 | 2;
const STATUS: u64 = 1 << 3;

/// `HealthCheckRequest { service }` behind the prefix of a gRPC message: not compressed, and its length.
pub fn question(service: &str) -> Bytes {
    let mut message = BytesMut::new();
    if !service.is_empty() {
        message.put_u8(SERVICE);
        put_number(&mut message, service.len());
        message.put_slice(service.as_bytes());
    }
    let mut framed = BytesMut::with_capacity(5 + message.len());
    framed.put_u8(0);
    framed.put_u32(message.len() as u32);
    framed.put_slice(&message);
    framed.freeze()
}

/// Whether the answer says that the service serves. `trailers` are the head's fields in an answer without messages.
pub fn judge(trailers: &HeaderMap, body: &[u8]) -> Result<(), String> {
    let field = |name| trailers.get(name).and_then(|value| value.to_str().ok());
    match field(grpc::STATUS) {
        Some(status) if Status::read(status.as_bytes()) == Some(Status::OK) => {}
        Some(status) => {
            let why = field(grpc::MESSAGE).unwrap_or_default();
            return Err(format!("its gRPC status is {status} {why}")
                .trim_end()
                .to_owned());
        }
        None => return Err("it does not answer as gRPC does".to_owned()),
    }
    match status(body.get(5..).unwrap_or_default()) {
        Some(SERVING) => Ok(()),
        Some(2) => Err("the service does not serve".to_owned()),
        _ => Err("whether the service serves is unknown".to_owned()),
    }
}

/// `HealthCheckResponse.status`, which is 0 when it is left out.
fn status(mut message: &[u8]) -> Option<u64> {
    let mut status = 0;
    while !message.is_empty() {
        match take_number(&mut message)? {
            STATUS => status = take_number(&mut message)?,
            // Whatever a later version adds: skipped by the type in its low three bits.
            tag => {
                let skipped = match tag & 7 {
                    0 => take_number(&mut message).map(|_| 0)?,
                    1 => 8,
                    2 => usize::try_from(take_number(&mut message)?).ok()?,
                    5 => 4,
                    _ => return None,
                };
                message = message.get(skipped..)?;
            }
        }
    }
    Some(status)
}

/// A number in base 128, its low digits first.
fn put_number(out: &mut BytesMut, mut number: usize) {
    while number >= 0x80 {
        out.put_u8(number as u8 | 0x80);
        number >>= 7;
    }
    out.put_u8(number as u8);
}

fn take_number(message: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for place in 0..10 {
        let (byte, rest) = message.split_first()?;
        *message = rest;
        number |= u64::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn trailers(status: &'static str) -> HeaderMap {
        let status = http::HeaderValue::from_static(status);
        HeaderMap::from_iter([(grpc::STATUS, status)])
    }

    #[test]
    fn a_question_is_a_framed_message() {
        assert_eq!(&question("")[..], b"\0\0\0\0\0");
        assert_eq!(&question("pay")[..], b"\0\0\0\0\x05\x0a\x03pay");
        assert_eq!(
            &question(&"a".repeat(200))[..8],
            b"\0\0\0\0\xcb\x0a\xc8\x01"
        );
    }

    #[test]
    fn only_serving_is_healthy() {
        assert_eq!(judge(&trailers("0"), b"\0\0\0\0\x02\x08\x01"), Ok(()));
        let later = b"\0\0\0\0\x06\x12\x02hi\x08\x01";
        assert_eq!(
            judge(&trailers("0"), later),
            Ok(()),
            "an unknown field is skipped"
        );
        for (status, body) in [
            ("0", &b"\0\0\0\0\x02\x08\x02"[..]),
            ("0", b"\0\0\0\0\0"),
            ("0", b""),
            ("0", b"\0\0\0\0\x02\x08"),
            ("5", b""),
            ("12", b""),
        ] {
            assert!(judge(&trailers(status), body).is_err(), "{status} {body:?}");
        }
        assert!(judge(&HeaderMap::new(), b"\0\0\0\0\x02\x08\x01").is_err());
    }

    proptest! {
        #[test]
        fn any_answer_is_judged(body in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = judge(&trailers("0"), &body);
        }

        #[test]
        fn numbers_come_back(number in any::<usize>()) {
            let mut written = BytesMut::new();
            put_number(&mut written, number);
            prop_assert_eq!(take_number(&mut &written[..]), Some(number as u64));
        }
    }
}
