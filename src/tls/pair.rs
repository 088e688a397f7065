//! A certificate and its key, opened and judged.

use std::sync::Arc;
use std::time::SystemTime;

use rustls::InconsistentKeys;
use rustls::sign::CertifiedKey;

use super::certificate::Certificate;
use super::dates::{self, Role};
use super::inventory::{Item, Kind, Opening};
use super::staple::Staple;
use super::{files, provider, words};
use crate::value::problem::Problems;
use crate::value::{FilePath, Wrong};

/// How often a pair is read again whose key does not fit: it may be read in the middle of a swap.
const ATTEMPTS: usize = 3;

/// Which extended key usage a certificate needs, by the end of a connection that shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Usage {
    ServerAuth,
    ClientAuth,
}

/// A certificate with its chain and its key.
#[derive(Debug)]
pub(super) struct Pair {
    /// Where the certificate stands.
    pub file: FilePath,
    pub key: Arc<CertifiedKey>,
    /// What is shown to callers in place of it, as long as that is good.
    pub staple: Option<Staple>,
    /// The leaf first.
    pub chain: Vec<Certificate>,
}

impl Pair {
    /// This one, or of those that serve so far the one from the same file, while this one is out of its time and that one
    /// is not: what is renewed too early, or by a clock that is ahead, serves when its time comes.
    pub fn or_before<'a>(
        self: &Arc<Self>,
        mut serving: impl Iterator<Item = &'a Arc<Pair>>,
        now: SystemTime,
    ) -> Arc<Pair> {
        let is_valid = |pair: &Pair| pair.chain.first().is_some_and(|leaf| leaf.is_valid_at(now));
        let before = if is_valid(self) {
            None
        } else {
            serving.find(|before| before.file == self.file && is_valid(before))
        };
        before.unwrap_or(self).clone()
    }
}

/// Where a pair stands in the config.
pub(super) struct At<'a> {
    pub cert: &'a [&'a str],
    pub key: &'a [&'a str],
}

/// Reads a pair, and says what is wrong with it at its place; `None` when it cannot serve.
pub(super) fn open(
    cert: &FilePath,
    key: &FilePath,
    usage: Usage,
    at: &At<'_>,
    opening: &mut Opening,
) -> Option<Pair> {
    let problems = &mut opening.problems;
    let mut opened = read(cert, key);
    for _ in 1..ATTEMPTS {
        if !matches!(opened, Err(Unusable::Mismatch)) {
            break;
        }
        opened = read(cert, key);
    }
    let pair = match opened {
        Ok(pair) => pair,
        Err(why) => {
            match why {
                Unusable::Cert(wrong) => problems.wrong(at.cert, wrong),
                Unusable::Key(wrong) => problems.wrong(at.key, wrong),
                Unusable::Mismatch => {
                    problems
                        .error(
                            at.key,
                            format!("the key in `{key}` does not fit the certificate in `{cert}`"),
                        )
                        .help("name the key with which the certificate was requested")
                        .related(at.cert, "this certificate");
                }
            }
            return None;
        }
    };
    for (depth, certificate) in pair.chain.iter().enumerate() {
        let kind = match depth {
            0 => Kind::Certificate,
            _ => Kind::Issuer,
        };
        let item = Item::of(kind, certificate, cert, at.cert);
        opening.inventory.add(item);
    }
    judge(&pair.chain, cert, usage, at, problems).then_some(pair)
}

/// Why a pair cannot serve, by what is to be mended.
enum Unusable {
    Cert(Wrong),
    Key(Wrong),
    Mismatch,
}

fn read(cert: &FilePath, key: &FilePath) -> Result<Pair, Unusable> {
    let ders = files::certificates(cert).map_err(Unusable::Cert)?;
    let chain = ders
        .iter()
        .map(|der| {
            Certificate::parse(der)
                .map_err(|e| Unusable::Cert(format!("`{cert}` holds {e}").into()))
        })
        .collect::<Result<Vec<_>, _>>()?;
    let private = provider()
        .key_provider
        .load_private_key(files::key(key).map_err(Unusable::Key)?)
        .map_err(|error| {
            Unusable::Key(format!(
                "the key in `{key}` is of no kind that serves, which are ECDSA over P-256, P-384 and P-521, Ed25519, and RSA from 2048 bits: {error}"
            ).into())
        })?;
    let file = cert.clone();
    let certified = CertifiedKey::new(ders, private);
    match certified.keys_match() {
        Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(Pair {
            file,
            key: Arc::new(certified),
            staple: None,
            chain,
        }),
        Err(rustls::Error::InconsistentKeys(_)) => Err(Unusable::Mismatch),
        Err(error) => Err(Unusable::Cert(
            format!(
                "the certificate in `{cert}` cannot serve: {}",
                words::of_own(&error)
            )
            .into(),
        )),
    }
}

/// Whether a chain can serve.
fn judge(
    chain: &[Certificate],
    file: &FilePath,
    usage: Usage,
    at: &At<'_>,
    problems: &mut Problems,
) -> bool {
    let [leaf, issuers @ ..] = chain else {
        return false;
    };
    dates::judge(leaf, Role::Leaf, file, at.cert, problems);
    let may = match usage {
        Usage::ServerAuth => leaf.may_serve(),
        Usage::ClientAuth => leaf.may_call(),
    };
    if !may {
        let whom = match usage {
            Usage::ServerAuth => "servers (serverAuth)",
            Usage::ClientAuth => "clients (clientAuth)",
        };
        problems
            .error(
                at.cert,
                format!(
                    "the certificate in `{file}` is not meant for {whom}: nobody would accept it"
                ),
            )
            .help("ask for one with that extended key usage");
        return false;
    }
    if usage == Usage::ServerAuth && leaf.has_no_name() {
        problems
            .warning(
                at.cert,
                format!(
                    "the certificate in `{file}` has no subject alternative name, only the subject `{}`: most callers will not accept it",
                    leaf.subject
                ),
            )
            .once()
            .help("ask for one that has its names as subject alternative names; a common name has not counted as one for long (RFC 9525, section 2)");
    }
    if leaf.is_ca && !issuers.is_empty() {
        problems
            .warning(
                at.cert,
                format!("the first certificate in `{file}` is that of a CA"),
            )
            .once()
            .help("put the certificate that belongs to the key first, and its issuers behind it");
    }
    let signed = chain
        .iter()
        .filter(|one| one.subject != one.issuer && one.is_weakly_signed);
    for one in signed {
        let names = one.names();
        problems
            .warning(
                at.cert,
                format!("the certificate of {names} in `{file}` is signed over SHA-1 or MD5, which most refuse"),
            )
            .once()
            .help("ask for one that is signed over SHA-256");
    }
    for issuer in issuers {
        dates::judge(issuer, Role::Issuer, file, at.cert, problems);
    }
    true
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use std::time::Duration;

    #[test]
    fn what_is_out_of_its_time_waits_while_another_can_serve() {
        let from = |serial, year| {
            let made = rcgen::KeyPair::generate().unwrap();
            let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
            params.serial_number = Some(u64::into(serial));
            params.not_before = rcgen::date_time_ymd(year, 1, 1);
            params.not_after = rcgen::date_time_ymd(year + 2, 1, 1);
            Arc::new(of(
                vec![params.self_signed(&made).unwrap().der().clone()],
                &made,
            ))
        };
        let [old, new] = [from(1, 2030), from(2, 2031)];
        let year = |n: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(n * 366 * 24 * 60 * 60);
        let serving = |before: &[&Arc<Pair>], at| {
            let shown = new.or_before(before.iter().copied(), at);
            shown.chain[0].serial.clone()
        };
        // 2030: the new one is ahead; 2031: both are valid; 2034: neither is.
        for (before, at, serial) in [
            (&[&old][..], year(60), "01"),
            (&[], year(60), "02"),
            (&[&old], year(62), "02"),
            (&[&old], year(65), "02"),
        ] {
            assert_eq!(serving(before, at), serial, "{at:?}");
        }
        let mut elsewhere = from(3, 2030);
        Arc::get_mut(&mut elsewhere).unwrap().file = std::path::PathBuf::from("y.pem").into();
        assert_eq!(serving(&[&elsewhere], year(60)), "02");
    }

    #[test]
    fn a_certificate_with_a_common_name_alone_is_told_and_shown_to_who_asks_for_it() {
        let made = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::default();
        let name = rcgen::DnType::CommonName;
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(name, "a.example");
        let pair = of(
            vec![params.self_signed(&made).unwrap().der().clone()],
            &made,
        );
        assert_eq!(pair.chain[0].asked_names(), ["a.example"]);
        let at = At {
            cert: &["cert"],
            key: &["key"],
        };
        for (usage, is_told) in [(Usage::ServerAuth, true), (Usage::ClientAuth, false)] {
            let mut problems = Problems::default();
            assert!(judge(&pair.chain, &pair.file, usage, &at, &mut problems));
            let said = problems.into_vec();
            let mut messages = said.iter().map(|said| &said.message);
            let told = messages.any(|said| said.contains("no subject alternative name"));
            assert_eq!(told, is_told);
        }
    }

    /// A certificate for `localhost` that signed itself.
    pub fn pair(serial: u64) -> Pair {
        let made = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.serial_number = Some(serial.into());
        let der = params.self_signed(&made).unwrap().der().clone();
        of(vec![der], &made)
    }

    pub fn of(ders: Vec<CertificateDer<'static>>, key: &rcgen::KeyPair) -> Pair {
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let key = provider().key_provider.load_private_key(key).unwrap();
        Pair {
            file: std::path::PathBuf::from("x.pem").into(),
            chain: ders
                .iter()
                .map(|der| Certificate::parse(der).unwrap())
                .collect(),
            key: Arc::new(CertifiedKey::new(ders, key)),
            staple: None,
        }
    }
}
