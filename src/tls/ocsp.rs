//! What an OCSP response says (RFC 6960, section 4.2.1). Its signature is for those to verify whom it is shown.
//!
//! Not the crate `x509-ocsp` (0.2.1): it is built on `x509-cert` 0.2 and `der` 0.7, and so would bring a second copy of
//! each beside the newer ones that read certificates here.

use std::time::SystemTime;

use x509_cert::der::asn1::{AnyRef, GeneralizedTime};
use x509_cert::der::{Error, Tag, Tagged};

use super::certificate::{Certificate, hex};
use super::der::{children, first, inside, unfit};

/// The type of responses of which alone others are told: `id-pkix-ocsp-basic`, 1.3.6.1.5.5.7.48.1.1.
const BASIC: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 0x30, 1, 1];

/// What is said of one certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Statement {
    /// In hexadecimal.
    pub serial: String,
    pub status: Status,
    pub this_update: SystemTime,
    pub next_update: Option<SystemTime>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Good,
    Revoked,
    Unknown,
}

impl Statement {
    pub fn is_of(&self, certificate: &Certificate) -> bool {
        let number = |serial: &str| serial.trim_start_matches('0').to_owned();
        number(&self.serial) == number(&certificate.serial)
    }
}

/// Everything that a response in DER form says.
///
/// # Errors
/// Words that read well behind the name of the file.
pub(super) fn parse(der: &[u8]) -> Result<Vec<Statement>, String> {
    let malformed = |_: Error| "is not an OCSP response in DER form".to_owned();
    let parts = children(der).and_then(|all| inside(first(&all)?));
    let parts = parts.map_err(malformed)?;
    let status = first(&parts).map_err(malformed)?.value();
    match status {
        [0] => statements(&parts).map_err(malformed),
        [status] => Err(format!(
            "is an OCSP response without an answer: its status is {status}"
        )),
        _ => Err(malformed(unfit())),
    }
}

fn statements(parts: &[AnyRef<'_>]) -> Result<Vec<Statement>, Error> {
    let body = inside(parts.get(1).ok_or_else(unfit)?)?;
    let body = inside(first(&body)?)?;
    let [kind, content] = &body[..] else {
        return Err(unfit());
    };
    if kind.value() != BASIC {
        return Err(unfit());
    }
    let basic = children(content.value())?;
    let basic = inside(first(&basic)?)?;
    let signed = inside(first(&basic)?)?;
    let list = signed.iter().find(|part| part.tag() == Tag::Sequence);
    inside(list.ok_or_else(unfit)?)?
        .iter()
        .map(statement)
        .collect()
}

fn statement(single: &AnyRef<'_>) -> Result<Statement, Error> {
    let parts = inside(single)?;
    let [id, status, this_update, rest @ ..] = &parts[..] else {
        return Err(unfit());
    };
    let id = inside(id)?;
    let status = match status.tag().number().value() {
        0 => Status::Good,
        1 => Status::Revoked,
        _ => Status::Unknown,
    };
    let time = |part: &AnyRef<'_>| {
        let time = part.decode_as::<GeneralizedTime>()?;
        Ok::<_, Error>(time.to_system_time())
    };
    // The other optional part has number 1.
    let next = rest.iter().find(|part| part.tag().number().value() == 0);
    let next = next.map(|part| time(first(&inside(part)?)?)).transpose()?;
    Ok(Statement {
        serial: hex(id.get(3).ok_or_else(unfit)?.value()),
        status,
        this_update: time(this_update)?,
        next_update: next,
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use base64::Engine;
    use base64::prelude::BASE64_STANDARD;
    use proptest::prelude::*;

    /// Made by `openssl ocsp`: serial 0x1001 is good.
    const GOOD: &str = "MIH9CgEAoIH3MIH0BgkrBgEFBQcwAQEEgeYwgeMwgYmhDzANMQswCQYDVQQDDAJjYRgPMjAyNjExMjUxNDQ2MDJaMGUwYzA7MAkGBSsOAwIaBQAEFBEEjNIMs1kjB9AZ/QiJViti02SSBBQmXW2YB17kGYJQrrMRbMoDjia2EwICEAGAABgPMjAyNjExMjUxNDQ2MDJaoBEYDzIwMzYxMTIyMTQ0NjAyWjAKBggqhkjOPQQDAgNJADBGAiEAkpLi+E8I4I2d0hnQKIYq6yly/6jArhjuizs2CqzL/v8CIQC6BkuolcfxtuacRypONSBZUcPUo8u+xrGJ0/GyMpcX0Q==";

    pub fn good() -> Vec<u8> {
        BASE64_STANDARD.decode(GOOD).unwrap()
    }

    #[test]
    fn what_is_said_of_a_certificate_is_read() {
        let [statement] = &parse(&good()).unwrap()[..] else {
            unreachable!("one statement");
        };
        assert_eq!(
            (&*statement.serial, statement.status),
            ("1001", Status::Good)
        );
        assert!(statement.next_update.unwrap() > statement.this_update);
    }

    #[test]
    fn what_says_nothing_is_told() {
        let busy = [0x30, 3, 0x0a, 1, 3];
        assert!(parse(&busy).unwrap_err().contains("its status is 3"));
        for bytes in [
            &b""[..],
            b"0",
            b"0\0",
            b"-----BEGIN",
            &good()[..100],
            &[0x30, 3, 0x0a, 1, 0],
        ] {
            assert!(
                parse(bytes).unwrap_err().contains("not an OCSP response"),
                "{bytes:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn no_bytes_are_a_panic(at in 0..2000usize, byte in any::<u8>(), cut in 0..2000usize) {
            let mut der = good();
            let at = at % der.len();
            der[at] = byte;
            der.truncate(cut.max(1));
            let _ = parse(&der);
        }
    }
}
