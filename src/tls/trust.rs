//! Whom a peer's certificate must lead to, and which ones are revoked.

use rustls::pki_types::{CertificateDer, CertificateRevocationListDer};
use webpki::anchor_from_trusted_cert;

use super::certificate::Certificate;
use super::dates::{self, Role};
use super::inventory::{Item, Kind, Opening};
use super::{files, names};
use crate::value::FilePath;
use crate::value::problem::Problems;

/// Trust anchors and revocation lists. Two that are equal trust the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trust {
    pub anchors: Vec<CertificateDer<'static>>,
    pub lists: Vec<CertificateRevocationListDer<'static>>,
}

/// Reads a bundle of CAs, and says what is wrong with it at its place. One that is out of its time is a warning: whether
/// it is, is asked again at each handshake.
pub(super) fn open_anchors(
    file: &FilePath,
    at: &[&str],
    opening: &mut Opening,
) -> Option<(Vec<CertificateDer<'static>>, Vec<Certificate>)> {
    let problems = &mut opening.problems;
    let anchors = match files::certificates(file) {
        Ok(anchors) => anchors,
        Err(wrong) => {
            problems.wrong(at, wrong);
            return None;
        }
    };
    let mut certificates = Vec::new();
    for der in &anchors {
        let parsed =
            Certificate::parse(der).and_then(|certificate| match anchor_from_trusted_cert(der) {
                Ok(_) => Ok(certificate),
                Err(error) => Err(format!("a certificate that cannot be a CA: {error}")),
            });
        match parsed {
            Ok(certificate) => {
                let item = Item::of(Kind::Ca, &certificate, file, at);
                opening.inventory.add(item);
                dates::judge(&certificate, Role::Ca, file, at, problems);
                tell_limits(der, &certificate, file, at, problems);
                certificates.push(certificate);
            }
            Err(message) => {
                problems.error(at, format!("`{file}` holds {message}"));
                return None;
            }
        }
    }
    Some((anchors, certificates))
}

/// Warns of limits that nobody here can judge.
fn tell_limits(
    der: &CertificateDer<'_>,
    ca: &Certificate,
    file: &FilePath,
    at: &[&str],
    problems: &mut Problems,
) {
    let kinds = names::unknown_kinds(der, true);
    if kinds.is_empty() {
        return;
    }
    let (ca, kinds) = (&ca.subject, kinds.join(" and "));
    problems
        .warning(
            at,
            format!(
                "the CA `{ca}` in `{file}` may sign only for certain {kinds} (name constraints), and for these that is not supported here"
            ),
        )
        .once()
        .help("whoever has such a name in its certificate is refused");
}

/// The CAs that this machine trusts.
pub(super) fn system_certificates() -> Vec<CertificateDer<'static>> {
    rustls_native_certs::load_native_certs().certs
}

/// The same, of which there must be some.
pub(super) fn system_anchors(problems: &mut Problems) -> Option<Vec<CertificateDer<'static>>> {
    let found = system_certificates();
    if found.is_empty() {
        let problem = problems.error(&[], "this machine has no CAs that it trusts");
        problem
            .help("name a bundle of CAs under `ca`, or install the system's (`ca-certificates`)")
            .absence();
        return None;
    }
    Some(found)
}
