//! A certificate and its key, opened and judged.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::InconsistentKeys;
use rustls::sign::CertifiedKey;

use super::certificate::Certificate;
use super::inventory::{Item, Kind, Opening};
use super::staple::Staple;
use super::{files, provider, words};
use crate::problem::Problems;
use crate::value::FilePath;

/// A certificate that expires within this is a warning: time enough to look after its renewal.
const SOON: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// How often a pair is read again whose key does not fit: it may be read in the middle of a swap.
const ATTEMPTS: usize = 3;

/// Which end of a connection shows the certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    ToCallers,
    ToServers,
}

/// A certificate with its chain and its key.
#[derive(Debug)]
pub(super) struct Pair {
    pub key: Arc<CertifiedKey>,
    /// What is shown to callers in place of it, as long as that is good.
    pub staple: Option<Staple>,
    /// The leaf first.
    pub chain: Vec<Certificate>,
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
    shown: Shown,
    at: &At<'_>,
    opening: &mut Opening,
) -> Option<Pair> {
    let problems = &mut opening.problems;
    let mut opened = read(cert, key);
    for _ in 1..ATTEMPTS {
        if !matches!(opened, Err(Wrong::Mismatch)) {
            break;
        }
        opened = read(cert, key);
    }
    let pair = match opened {
        Ok(pair) => pair,
        Err(wrong) => {
            match wrong {
                Wrong::Cert(message) => problems.error(at.cert, message),
                Wrong::Key(message) => problems.error(at.key, message),
                Wrong::Mismatch => problems
                    .error(
                        at.key,
                        format!("the key in `{key}` does not fit the certificate in `{cert}`"),
                    )
                    .help("name the key with which the certificate was requested")
                    .related(at.cert, "this certificate"),
            };
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
    judge(&pair.chain, cert, shown, at, problems).then_some(pair)
}

enum Wrong {
    Cert(String),
    Key(String),
    Mismatch,
}

fn read(cert: &FilePath, key: &FilePath) -> Result<Pair, Wrong> {
    let ders = files::certificates(cert).map_err(Wrong::Cert)?;
    let chain = ders
        .iter()
        .map(|der| Certificate::parse(der).map_err(|e| Wrong::Cert(format!("`{cert}` holds {e}"))))
        .collect::<Result<Vec<_>, _>>()?;
    let private = provider()
        .key_provider
        .load_private_key(files::key(key).map_err(Wrong::Key)?)
        .map_err(|error| {
            Wrong::Key(format!(
                "the key in `{key}` is of no kind that serves, which are ECDSA over P-256, P-384 and P-521, Ed25519, and RSA from 2048 bits: {error}"
            ))
        })?;
    let certified = CertifiedKey::new(ders, private);
    match certified.keys_match() {
        Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(Pair {
            key: Arc::new(certified),
            staple: None,
            chain,
        }),
        Err(rustls::Error::InconsistentKeys(_)) => Err(Wrong::Mismatch),
        Err(error) => Err(Wrong::Cert(format!(
            "the certificate in `{cert}` cannot serve: {}",
            words::of_own(&error)
        ))),
    }
}

/// Whether a chain can serve.
fn judge(
    chain: &[Certificate],
    file: &FilePath,
    shown: Shown,
    at: &At<'_>,
    problems: &mut Problems,
) -> bool {
    let [leaf, issuers @ ..] = chain else {
        return false;
    };
    if !is_valid_now(leaf, "the certificate", file, at.cert, problems) {
        return false;
    }
    let may = match shown {
        Shown::ToCallers => leaf.may_serve(),
        Shown::ToServers => leaf.may_call(),
    };
    if !may {
        let usage = match shown {
            Shown::ToCallers => "servers (serverAuth)",
            Shown::ToServers => "clients (clientAuth)",
        };
        problems
            .error(
                at.cert,
                format!(
                    "the certificate in `{file}` is not meant for {usage}: nobody would accept it"
                ),
            )
            .help("ask for one with that extended key usage");
        return false;
    }
    if leaf.is_ca && !issuers.is_empty() {
        problems
            .warning(
                at.cert,
                format!("the first certificate in `{file}` is that of a CA"),
            )
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
            .help("ask for one that is signed over SHA-256");
    }
    for issuer in issuers {
        is_valid_now(issuer, "an issuer in the chain", file, at.cert, problems);
    }
    true
}

/// Whether a certificate is valid now. What will not be for long is a warning.
pub(super) fn is_valid_now(
    certificate: &Certificate,
    what: &str,
    file: &FilePath,
    at: &[&str],
    problems: &mut Problems,
) -> bool {
    let now = SystemTime::now();
    let names = certificate.names();
    if certificate.not_after <= now {
        let since = humantime::format_rfc3339_seconds(certificate.not_after);
        problems
            .error(
                at,
                format!("{what} in `{file}` ({names}) has expired, on {since}"),
            )
            .help("put a renewed one in its place");
        return false;
    }
    if certificate.not_before > now {
        let from = humantime::format_rfc3339_seconds(certificate.not_before);
        problems
            .error(
                at,
                format!("{what} in `{file}` ({names}) is not valid before {from}"),
            )
            .help("is this machine's clock right?");
        return false;
    }
    if certificate.not_after <= now + SOON {
        let until = humantime::format_rfc3339_seconds(certificate.not_after);
        problems.warning(
            at,
            format!("{what} in `{file}` ({names}) expires within 30 days, on {until}"),
        );
    }
    true
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};

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
            chain: ders
                .iter()
                .map(|der| Certificate::parse(der).unwrap())
                .collect(),
            key: Arc::new(CertifiedKey::new(ders, key)),
            staple: None,
        }
    }
}
