//! Revocation lists (RFC 5280, section 5). Most of them webpki reads; it knows none without extensions, as `openssl ca`
//! makes them unless its config has `crl_extensions`. Those say no more than who is revoked, and are read here.

use std::collections::BTreeSet;
use std::time::SystemTime;

use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, SubjectPublicKeyInfoDer};
use webpki::{
    CertRevocationList, OwnedCertRevocationList, RawPublicKeyEntity, anchor_from_trusted_cert,
    spki_for_anchor,
};
use x509_cert::der::asn1::{AnyRef, BitStringRef, ObjectIdentifier};
use x509_cert::der::{Error, Tag, Tagged};
use x509_cert::name::Name;
use x509_cert::time::Time;

use super::certificate::{Certificate, end_of, is_weak};
use super::dates::date;
use super::der::{children, first, first_whole, inside, unfit};
use super::inventory::{Item, Kind, Opening};
use super::{distinguished, files, provider, words};
use crate::value::FilePath;
use crate::value::problem::Problems;

/// A revocation list that can be used.
pub(super) enum List {
    Extended(CertRevocationList<'static>),
    Plain(Plain),
}

/// One without extensions.
#[derive(Debug)]
pub(super) struct Plain {
    /// The issuer, without the tag and length of its name.
    pub name: Vec<u8>,
    signed: Signed<Vec<u8>>,
    serials: BTreeSet<Vec<u8>>,
}

/// What was signed, and how.
#[derive(Debug)]
struct Signed<B> {
    data: B,
    /// Without tag and length.
    algorithm: B,
    signature: B,
}

impl List {
    /// # Errors
    /// Words that read well behind the name of the file.
    pub fn read(der: &CertificateRevocationListDer<'_>) -> Result<Self, String> {
        Parsed::read(der)?.list(der)
    }
}

impl Plain {
    pub fn is_signed_by(&self, key: &SubjectPublicKeyInfoDer<'_>) -> bool {
        self.signed.is_by(key)
    }

    /// `serial` without tag and length.
    pub fn revokes(&self, serial: &[u8]) -> bool {
        self.serials.contains(number(serial))
    }
}

impl<B: AsRef<[u8]>> Signed<B> {
    fn is_by(&self, key: &SubjectPublicKeyInfoDer<'_>) -> bool {
        let Ok(key) = RawPublicKeyEntity::try_from(key) else {
            return false;
        };
        let (data, signature) = (self.data.as_ref(), self.signature.as_ref());
        self.algorithms()
            .any(|algorithm| key.verify_signature(algorithm, data, signature).is_ok())
    }

    /// Those that the signature may be of: one name may stand for several, each for another kind of key.
    fn algorithms(
        &self,
    ) -> impl Iterator<Item = &'static dyn rustls::pki_types::SignatureVerificationAlgorithm> {
        let known = provider().signature_verification_algorithms.all;
        let wanted = self.algorithm.as_ref();
        let named = known
            .iter()
            .filter(move |one| *one.signature_alg_id() == *wanted);
        named.copied()
    }
}

/// A list as it stands in a file.
struct Parsed<'a> {
    issuer: String,
    name: &'a [u8],
    signed: Signed<&'a [u8]>,
    /// The name of the algorithm.
    signature: ObjectIdentifier,
    this_update: SystemTime,
    next_update: Option<SystemTime>,
    revoked: Option<AnyRef<'a>>,
    is_extended: bool,
}

impl<'a> Parsed<'a> {
    fn read(der: &'a [u8]) -> Result<Self, String> {
        Self::of(der).map_err(|error| format!("holds a malformed revocation list: {error}"))
    }

    fn of(der: &'a [u8]) -> Result<Self, Error> {
        let [list] = children(der)?[..] else {
            return Err(unfit());
        };
        let [content, algorithm, signature] = inside(&list)?[..] else {
            return Err(unfit());
        };
        let parts = inside(&content)?;
        let (version, parts) = match parts.split_first() {
            Some((version, rest)) if version.tag() == Tag::Integer => (version.value(), rest),
            _ => (&[0][..], &parts[..]),
        };
        let [inner, issuer, this_update, rest @ ..] = parts else {
            return Err(unfit());
        };
        let (next_update, rest) = match rest.split_first() {
            Some((next, rest)) if matches!(next.tag(), Tag::UtcTime | Tag::GeneralizedTime) => {
                (Some(time(next)?), rest)
            }
            _ => (None, rest),
        };
        let (revoked, rest) = match rest.split_first() {
            Some((revoked, rest)) if revoked.tag() == Tag::Sequence => (Some(*revoked), rest),
            _ => (None, rest),
        };
        // RFC 5280, section 5.1.2.1: 1 means version 2, and only that has extensions.
        let is_extended = match (version, rest) {
            ([0 | 1], []) => false,
            ([1], [_extensions]) => true,
            _ => return Err(unfit()),
        };
        // RFC 5280, section 5.1.1.2: the same algorithm stands outside and inside.
        if inner != &algorithm {
            return Err(unfit());
        }
        Ok(Parsed {
            issuer: distinguished::text(&issuer.decode_as::<Name>()?),
            name: issuer.value(),
            signature: first(&inside(&algorithm)?)?.decode_as()?,
            signed: Signed {
                data: first_whole(list.value())?,
                algorithm: algorithm.value(),
                signature: signature
                    .decode_as::<BitStringRef<'_>>()?
                    .as_bytes()
                    .ok_or_else(unfit)?,
            },
            this_update: time(this_update)?,
            next_update,
            revoked,
            is_extended,
        })
    }

    /// What can be used of it.
    fn list(&self, der: &[u8]) -> Result<List, String> {
        let unfit = |why: &str| {
            let issuer = &self.issuer;
            format!("holds a revocation list of `{issuer}` that cannot be used: {why}")
        };
        if is_weak(&self.signature.to_string()) {
            return Err(unfit(
                "it is signed over SHA-1 or MD5; set `default_md = sha256` where openssl makes it",
            ));
        }
        if self.signed.algorithms().next().is_none() {
            let signature = self.signature;
            let why = format!("its signature is of a kind that is not accepted here ({signature})");
            return Err(unfit(&why));
        }
        if !self.is_extended {
            return Ok(List::Plain(Plain {
                name: self.name.to_vec(),
                signed: Signed {
                    data: self.signed.data.to_vec(),
                    algorithm: self.signed.algorithm.to_vec(),
                    signature: self.signed.signature.to_vec(),
                },
                serials: self.serials().map_err(|why| unfit(&why))?,
            }));
        }
        if self.next_update.is_none() {
            return Err(unfit(
                "it does not say when the next one is due (nextUpdate)",
            ));
        }
        let list = OwnedCertRevocationList::from_der(der);
        list.map(|list| List::Extended(list.into()))
            .map_err(|why| unfit(words::of_list(&why)))
    }

    fn serials(&self) -> Result<BTreeSet<Vec<u8>>, String> {
        let mut serials = BTreeSet::new();
        let malformed = |error: Error| format!("it is malformed: {error}");
        let entries = self.revoked.map(|entries| inside(&entries));
        for entry in entries.transpose().map_err(malformed)?.unwrap_or_default() {
            let parts = inside(&entry).map_err(malformed)?;
            let serial = first(&parts).map_err(malformed)?;
            serials.insert(number(serial.value()).to_vec());
            // RFC 5280, section 5.3: who does not know a critical one must not use the list.
            let extensions = parts.get(2).map(inside).transpose().map_err(malformed)?;
            for extension in extensions.unwrap_or_default() {
                let parts = inside(&extension).map_err(malformed)?;
                if parts.iter().any(|part| part.tag() == Tag::Boolean) {
                    return Err(
                        "an entry has a critical extension that is not known here".to_owned()
                    );
                }
            }
        }
        Ok(serials)
    }
}

/// Reads revocation lists, and says what is wrong with them at their place: whatever would fail at each handshake is
/// an error here. A list that should have been replaced by now still counts: what it revokes stays revoked.
pub(super) fn open(
    file: &FilePath,
    anchors: &[CertificateDer<'static>],
    cas: &[Certificate],
    at: &[&str],
    opening: &mut Opening,
) -> Option<Vec<CertificateRevocationListDer<'static>>> {
    let problems = &mut opening.problems;
    let lists = match files::revocation_lists(file) {
        Ok(lists) => lists,
        Err(wrong) => {
            problems.wrong(at, wrong);
            return None;
        }
    };
    let mut issuers = Vec::new();
    for der in &lists {
        let read = Parsed::read(der).and_then(|list| list.list(der).map(|_| list));
        let list = match read {
            Ok(list) => list,
            Err(why) => {
                problems.error(at, format!("`{file}` {why}"));
                return None;
            }
        };
        opening.inventory.add(Item {
            kind: Kind::RevocationList,
            used_by: vec![at.join(".")],
            file: file.clone(),
            names: Vec::new(),
            subject: None,
            issuer: Some(list.issuer.clone()),
            serial: None,
            not_before: list.this_update,
            not_after: list.next_update,
        });
        if !judge(&list, anchors, file, at, problems) {
            return None;
        }
        issuers.push(list.issuer);
    }
    for ca in cas.iter().filter(|ca| !issuers.contains(&ca.subject)) {
        problems
            .warning(
                at,
                format!(
                    "`{file}` has no revocation list of the CA `{}`, so none of its certificates counts as revoked",
                    ca.subject
                ),
            )
            .once();
    }
    Some(lists)
}

/// Whether a list fits the CAs of its name, if they are known: those below them are known at the handshake only.
fn judge(
    list: &Parsed<'_>,
    anchors: &[CertificateDer<'static>],
    file: &FilePath,
    at: &[&str],
    problems: &mut Problems,
) -> bool {
    let issuer = &list.issuer;
    let anchors = anchors
        .iter()
        .filter_map(|der| anchor_from_trusted_cert(der).ok());
    let of_this_name = anchors.filter(|anchor| anchor.subject.as_ref() == list.name);
    let signed: Vec<bool> = of_this_name
        .map(|anchor| list.signed.is_by(&spki_for_anchor(&anchor)))
        .collect();
    if !signed.is_empty() && !signed.contains(&true) {
        problems
            .error(
                at,
                format!("the revocation list of `{issuer}` in `{file}` was not signed by the CA of this name that is trusted here"),
            )
            .help("have the CA make it anew: perhaps the CA was, under its old name");
        return false;
    }
    if signed.contains(&false) {
        problems
            .warning(
                at,
                format!("the revocation list of `{issuer}` in `{file}` was signed by one of several CAs of this name: nobody whom another of them signed is believed"),
            )
            .once()
            .help("give a CA with another key another name");
    }
    if let Some(next) = list
        .next_update
        .filter(|next| end_of(*next) <= SystemTime::now())
    {
        let next = date(next);
        problems
            .warning(
                at,
                format!("the revocation list of `{issuer}` in `{file}` should have been replaced on {next}"),
            )
            .once()
            .help("what it revokes stays revoked; what was revoked since then is accepted");
    }
    true
}

fn time(part: &AnyRef<'_>) -> Result<SystemTime, Error> {
    Ok(part.decode_as::<Time>()?.to_system_time())
}

/// A number without the zeros before it.
fn number(value: &[u8]) -> &[u8] {
    let zeros = value.iter().take_while(|byte| **byte == 0).count();
    &value[zeros..]
}
