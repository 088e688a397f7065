//! Whom a peer's certificate must lead to, and which ones are revoked.

use std::time::SystemTime;

use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer};
use x509_cert::crl::CertificateList;
use x509_cert::der::Decode;

use super::certificate::Certificate;
use super::inventory::{Item, Kind, Opening};
use super::{files, pair};
use crate::problem::Problems;
use crate::value::FilePath;

/// Trust anchors and revocation lists. Two that are equal trust the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trust {
    pub anchors: Vec<CertificateDer<'static>>,
    pub lists: Vec<CertificateRevocationListDer<'static>>,
}

impl Trust {
    pub fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(self.anchors.iter().cloned());
        roots
    }
}

/// Reads a bundle of CAs, and says what is wrong with it at its place. A CA that cannot serve is a warning while
/// another can: in a rollover the old one may outlive itself.
pub(super) fn open_anchors(
    file: &FilePath,
    at: &[&str],
    opening: &mut Opening,
) -> Option<(Vec<CertificateDer<'static>>, Vec<Certificate>)> {
    let problems = &mut opening.problems;
    let ders = match files::certificates(file) {
        Ok(ders) => ders,
        Err(message) => {
            problems.error(at, message);
            return None;
        }
    };
    let (mut anchors, mut certificates, mut doubts) = (Vec::new(), Vec::new(), Problems::default());
    for der in ders {
        let parsed = Certificate::parse(&der).and_then(|certificate| {
            match RootCertStore::empty().add(der.clone()) {
                Ok(()) => Ok(certificate),
                Err(error) => Err(format!("a certificate that cannot be a CA: {error}")),
            }
        });
        match parsed {
            Ok(certificate) => {
                let item = Item::of(Kind::Ca, &certificate, file, at);
                opening.inventory.add(item);
                if pair::is_valid_now(&certificate, "a CA", file, at, &mut doubts) {
                    anchors.push(der);
                }
                certificates.push(certificate);
            }
            Err(message) => {
                problems.error(at, format!("`{file}` holds {message}"));
                return None;
            }
        }
    }
    let usable = !anchors.is_empty();
    for doubt in doubts.into_vec() {
        let problem = match usable {
            true => problems.warning(at, doubt.message),
            false => problems.error(at, doubt.message),
        };
        if let Some(help) = doubt.help {
            problem.help(help);
        }
    }
    usable.then_some((anchors, certificates))
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
            .help("name a bundle of CAs under `ca`, or install the system's (`ca-certificates`)");
        return None;
    }
    Some(found)
}

/// Reads revocation lists, and says what is wrong with them at their place. A list that should have been replaced
/// by now still counts: what it revokes stays revoked.
pub(super) fn open_lists(
    file: &FilePath,
    cas: &[Certificate],
    at: &[&str],
    opening: &mut Opening,
) -> Option<Vec<CertificateRevocationListDer<'static>>> {
    let problems = &mut opening.problems;
    let lists = match files::revocation_lists(file) {
        Ok(lists) => lists,
        Err(message) => {
            problems.error(at, message);
            return None;
        }
    };
    let mut issuers = Vec::new();
    for der in &lists {
        let parsed = <CertificateList>::from_der(der).map_err(|error| error.to_string());
        let usable = webpki::OwnedCertRevocationList::from_der(der).map_err(|e| e.to_string());
        let list = match parsed.and_then(|list| usable.map(|_| list)) {
            Ok(list) => list.tbs_cert_list,
            Err(error) => {
                problems.error(
                    at,
                    format!("`{file}` holds a malformed revocation list: {error}"),
                );
                return None;
            }
        };
        let issuer = list.issuer.to_string();
        let next = list.next_update.map(|next| next.to_system_time());
        opening.inventory.add(Item {
            kind: Kind::RevocationList,
            used_by: vec![at.join(".")],
            file: file.clone(),
            names: Vec::new(),
            subject: None,
            issuer: Some(issuer.clone()),
            serial: None,
            not_before: list.this_update.to_system_time(),
            not_after: next,
        });
        if let Some(next) = next.filter(|next| *next <= SystemTime::now()) {
            let next = humantime::format_rfc3339_seconds(next);
            problems
                .warning(
                    at,
                    format!("the revocation list of `{issuer}` in `{file}` should have been replaced on {next}"),
                )
                .help("what it revokes stays revoked; what was revoked since then is accepted");
        }
        issuers.push(issuer);
    }
    for ca in cas.iter().filter(|ca| !issuers.contains(&ca.subject)) {
        problems.warning(
            at,
            format!(
                "`{file}` has no revocation list of the CA `{}`, so none of its certificates counts as revoked",
                ca.subject
            ),
        );
    }
    Some(lists)
}
