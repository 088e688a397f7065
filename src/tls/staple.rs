//! OCSP responses that are shown along with a certificate (RFC 6066, section 8).

use std::sync::Arc;
use std::time::SystemTime;

use rustls::sign::CertifiedKey;

use super::certificate::end_of;
use super::files;
use super::inventory::{Item, Kind, Opening};
use super::ocsp::{self, Status};
use super::pair::Pair;
use crate::value::{FilePath, Wrong};

/// A key with the response that is shown along with its certificate.
#[derive(Clone, Debug)]
pub(super) struct Staple {
    key: Arc<CertifiedKey>,
    /// Since when the response holds.
    from: SystemTime,
    /// Since when the response is out of date; None when it does not say.
    until: Option<SystemTime>,
}

impl Staple {
    pub fn at(&self, now: SystemTime) -> Option<&Arc<CertifiedKey>> {
        let is_good = self.from <= now && self.until.is_none_or(|until| now < until);
        is_good.then_some(&self.key)
    }
}

/// Staples the response in `file`. One that callers would have to refuse, because it is of another certificate, out
/// of date or bad news, is left out with a warning: without it they may still ask elsewhere.
pub(super) fn to(pair: Pair, file: &FilePath, at: &[&str], opening: &mut Opening) -> Option<Pair> {
    let problems = &mut opening.problems;
    let read = files::read(file);
    let parsed = read.and_then(|response| {
        let statements =
            ocsp::parse(&response).map_err(|why| Wrong::new(format!("`{file}` {why}")))?;
        Ok((response, statements))
    });
    let (response, statements) = match parsed {
        Ok(parsed) => parsed,
        Err(wrong) => {
            problems.wrong(at, wrong);
            return None;
        }
    };
    for statement in &statements {
        opening.inventory.add(Item {
            kind: Kind::OcspResponse,
            used_by: vec![at.join(".")],
            file: file.clone(),
            names: Vec::new(),
            subject: None,
            issuer: None,
            serial: Some(statement.serial.clone()),
            not_before: statement.this_update,
            not_after: statement.next_update,
        });
    }
    let leaf = pair.chain.first();
    let of_this = statements
        .iter()
        .find(|statement| leaf.is_some_and(|leaf| statement.is_of(leaf)));
    let fit = match of_this {
        None => Err("says nothing of this certificate".to_owned()),
        Some(statement) => match (statement.status, statement.next_update) {
            (Status::Revoked, _) => Err("says that this certificate is revoked".to_owned()),
            (Status::Unknown, _) => Err("does not know this certificate".to_owned()),
            (Status::Good, Some(next)) if end_of(next) <= SystemTime::now() => {
                let next = humantime::format_rfc3339_seconds(next);
                Err(format!("should have been replaced on {next}"))
            }
            (Status::Good, _) => Ok(statement),
        },
    };
    match fit {
        Err(why) => {
            let message = format!("the OCSP response in `{file}` {why}, and is not shown");
            problems.warning(at, message);
            Some(pair)
        }
        Ok(of_this) => {
            let mut key = (*pair.key).clone();
            key.ocsp = Some(response);
            let staple = Staple {
                key: Arc::new(key),
                from: of_this.this_update,
                until: of_this.next_update.map(end_of),
            };
            Some(Pair {
                staple: Some(staple),
                ..pair
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::ocsp::tests::good;
    use crate::tls::pair::tests::pair;

    /// What becomes of a response: whether it is stapled, and what is said of it.
    fn stapled(serial: u64, response: &[u8]) -> (Option<bool>, String) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ocsp.der");
        std::fs::write(&path, response).unwrap();
        let mut opening = Opening::default();
        let pair = to(pair(serial), &path.into(), &["ocsp"], &mut opening);
        let said: Vec<String> = opening
            .problems
            .into_vec()
            .into_iter()
            .map(|problem| problem.message)
            .collect();
        let staple = pair.map(|pair| pair.staple.is_some());
        (staple, said.join("; "))
    }

    fn changed(from: &[u8], to: &[u8]) -> Vec<u8> {
        let mut response = good();
        let at = memchr::memmem::rfind(&response, from).unwrap();
        response[at..at + from.len()].copy_from_slice(to);
        response
    }

    #[test]
    fn what_callers_would_refuse_is_not_shown() {
        assert_eq!(stapled(0x1001, &good()), (Some(true), String::new()));
        for (serial, response, says) in [
            (0x1002, good(), "says nothing of this certificate"),
            (
                0x1001,
                changed(&[0x80, 0, 0x18], &[0x82, 0, 0x18]),
                "does not know",
            ),
            (
                0x1001,
                changed(&[0x80, 0, 0x18], &[0x81, 0, 0x18]),
                "is revoked",
            ),
            (
                0x1001,
                changed(b"2036", b"2020"),
                "should have been replaced on 2020",
            ),
        ] {
            let (is_stapled, said) = stapled(serial, &response);
            assert_eq!(is_stapled, Some(false), "{says}");
            assert!(said.contains(says), "{says}: {said}");
        }
        assert!(stapled(0x1001, b"x").0.is_none());
    }

    #[test]
    fn it_is_shown_from_its_time_until_the_next_one_is_due() {
        let key = pair(1).key;
        let now = SystemTime::now();
        let second = std::time::Duration::from_secs(1);
        let shown = |until, at| {
            let (key, from) = (key.clone(), now - second);
            Staple { key, from, until }.at(at).is_some()
        };
        assert!(shown(None, now));
        assert!(shown(Some(now), now - second));
        assert!(!shown(Some(now), now));
        assert!(!shown(None, now - 2 * second));
    }
}
