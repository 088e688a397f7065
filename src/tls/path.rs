//! Whether a peer's certificate leads to a CA that is trusted here. webpki finds the path and judges it; what it leaves
//! open is asked of each path that it would take, and can only refuse more.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::pki_types::{CertificateDer, SubjectPublicKeyInfoDer, TrustAnchor, UnixTime};
use rustls::{CertificateError, Error, OtherError};
use webpki::{
    Cert, CertRevocationList, EndEntityCert, Error as Why, KeyUsage, RevocationOptionsBuilder,
    UnknownStatusPolicy, VerifiedPath, anchor_from_trusted_cert, spki_for_anchor,
};

use super::certificate::Certificate;
use super::lists::{List, Plain};
use super::names::{self, Limits};
use super::provider;
use super::trust::Trust;
use super::words::Refused;

/// The CAs that are trusted and their revocation lists, by which a path is judged.
#[derive(Debug)]
pub(super) struct PathVerifier {
    anchors: Vec<TrustAnchor<'static>>,
    /// Of the anchor at the same place.
    facts: Vec<AnchorLimits>,
    lists: Vec<CertRevocationList<'static>>,
    plain: Vec<Plain>,
}

/// What is known of a trust anchor, and does not concern webpki.
#[derive(Debug)]
struct AnchorLimits {
    /// The first and the last second; None when it cannot be read.
    valid: Option<(UnixTime, UnixTime)>,
    limits: Limits,
}

impl PathVerifier {
    /// # Errors
    /// A revocation list that cannot be used, which the check reports.
    pub fn new(trust: &Trust) -> Result<Self, String> {
        let mut verifier = Self::of_anchors(&trust.anchors);
        for der in &trust.lists {
            match List::read(der)? {
                List::Extended(list) => verifier.lists.push(list),
                List::Plain(list) => verifier.plain.push(list),
            }
        }
        Ok(verifier)
    }

    /// Without revocation lists. What cannot be an anchor, as systems may have some, is passed over.
    pub fn of_anchors(ders: &[CertificateDer<'_>]) -> Self {
        let (anchors, facts) = ders.iter().filter_map(anchor).unzip();
        PathVerifier {
            anchors,
            facts,
            lists: Vec::new(),
            plain: Vec::new(),
        }
    }

    /// Which of the anchors are valid.
    pub fn valid_at(&self, now: UnixTime) -> Vec<bool> {
        let facts = self.facts.iter();
        facts.map(|facts| facts.hold_at(now).is_ok()).collect()
    }

    pub fn anchors(&self) -> &[TrustAnchor<'static>] {
        &self.anchors
    }

    /// # Errors
    /// Why not, in rustls's terms, which decide the alert that the peer is sent.
    pub fn verify(
        &self,
        leaf: &EndEntityCert<'_>,
        issuers: &[CertificateDer<'_>],
        now: UnixTime,
        usage: KeyUsage,
    ) -> Result<(), Error> {
        let lists: Vec<_> = self.lists.iter().collect();
        // The check tells which CA has no list.
        let revocation = RevocationOptionsBuilder::new(&lists).ok().map(|options| {
            options
                .with_status_policy(UnknownStatusPolicy::Allow)
                .build()
        });
        let verified = leaf.verify_for_usage(
            provider().signature_verification_algorithms.all,
            &self.anchors,
            issuers,
            now,
            usage,
            revocation,
            Some(&|path: &VerifiedPath<'_>| self.check_path(path, now)),
        );
        verified
            .map(|_| ())
            .map_err(|why| refusal(why, leaf, issuers))
    }

    fn check_path(&self, path: &VerifiedPath<'_>, now: UnixTime) -> Result<(), Why> {
        let is_it = |anchor: &&TrustAnchor<'static>| std::ptr::eq(*anchor, path.anchor());
        let anchors = self.anchors.iter().zip(&self.facts);
        let facts = anchors
            .filter(|(anchor, _)| is_it(anchor))
            .map(|(_, facts)| facts);
        for facts in facts {
            facts.hold_at(now)?;
            let is_allowed = |certificate: &Cert<'_>| facts.limits.allow(&certificate.der());
            if !facts.limits.is_empty() && !certificates(path).all(is_allowed) {
                return Err(Why::NameConstraintViolation);
            }
        }
        if self.plain.is_empty() {
            Ok(())
        } else {
            self.check_plain_lists(path)
        }
    }

    fn check_plain_lists(&self, path: &VerifiedPath<'_>) -> Result<(), Why> {
        let issuers = path.intermediate_certificates().map(|issuer| {
            let parsed = Certificate::parse(&issuer.der());
            let may_revoke = parsed.is_ok_and(|issuer| issuer.may_revoke);
            (issuer.subject_public_key_info(), may_revoke)
        });
        // Who trusts a CA trusts its lists.
        let anchor = std::iter::once((spki_for_anchor(path.anchor()), true));
        for (certificate, issuer) in certificates(path).zip(issuers.chain(anchor)) {
            self.check_issuer(certificate, &issuer)?;
        }
        Ok(())
    }

    fn check_issuer(
        &self,
        certificate: &Cert<'_>,
        (key, may_revoke): &(SubjectPublicKeyInfoDer<'_>, bool),
    ) -> Result<(), Why> {
        let is_of = |list: &&Plain| list.name == certificate.issuer();
        let of_this_name: Vec<&Plain> = self.plain.iter().filter(is_of).collect();
        let mut signed = of_this_name
            .iter()
            .filter(|list| list.is_signed_by(key))
            .peekable();
        if of_this_name.is_empty() {
            return Ok(());
        }
        if signed.peek().is_none() {
            return Err(Why::InvalidCrlSignatureForPublicKey);
        }
        if !may_revoke {
            return Err(Why::IssuerNotCrlSigner);
        }
        if signed.any(|list| list.revokes(certificate.serial())) {
            Err(Why::CertRevoked)
        } else {
            Ok(())
        }
    }
}

impl AnchorLimits {
    fn hold_at(&self, now: UnixTime) -> Result<(), Why> {
        match self.valid {
            Some((not_before, _)) if now < not_before => Err(Why::CertNotValidYet {
                time: now,
                not_before,
            }),
            Some((_, not_after)) if now > not_after => Err(Why::CertExpired {
                time: now,
                not_after,
            }),
            _ => Ok(()),
        }
    }
}

fn anchor(der: &CertificateDer<'_>) -> Option<(TrustAnchor<'static>, AnchorLimits)> {
    let mut anchor = anchor_from_trusted_cert(der).ok()?.to_owned();
    let certificate = Certificate::parse(der).ok();
    let mut limits = Limits::default();
    // What cannot be read stays with webpki, which refuses.
    if let Some(constraints) = &anchor.name_constraints
        && let Ok((taken, rest)) = Limits::take(constraints.as_ref())
    {
        limits = taken;
        anchor.name_constraints = (!rest.is_empty()).then(|| rest.into());
    }
    let valid = certificate.map(|certificate| {
        (
            seconds(certificate.not_before),
            seconds(certificate.not_after),
        )
    });
    Some((anchor, AnchorLimits { valid, limits }))
}

fn seconds(time: SystemTime) -> UnixTime {
    let since_1970 = time.duration_since(SystemTime::UNIX_EPOCH);
    UnixTime::since_unix_epoch(since_1970.unwrap_or(Duration::ZERO))
}

/// The leaf first.
fn certificates<'a>(path: &'a VerifiedPath<'_>) -> impl Iterator<Item = &'a Cert<'a>> {
    let leaf: &Cert<'_> = path.end_entity();
    std::iter::once(leaf).chain(path.intermediate_certificates())
}

/// What follows from webpki's reason, told of the certificate that it concerns.
fn refusal(why: Why, leaf: &EndEntityCert<'_>, issuers: &[CertificateDer<'_>]) -> Error {
    let of_leaf = Certificate::parse(&leaf.der()).ok();
    let is_leafs = |not_before: Option<UnixTime>, not_after: Option<UnixTime>| {
        of_leaf.as_ref().is_none_or(|leaf| {
            not_before.is_none_or(|time| time == seconds(leaf.not_before))
                && not_after.is_none_or(|time| time == seconds(leaf.not_after))
        })
    };
    match why {
        Why::CertExpired { not_after, .. } if !is_leafs(None, Some(not_after)) => {
            Refused::issuer_expired(not_after).into()
        }
        Why::CertNotValidYet { not_before, .. } if !is_leafs(Some(not_before), None) => {
            Refused::issuer_not_valid_yet(not_before).into()
        }
        Why::NameConstraintViolation => match unknown_limits(issuers) {
            Some((issuer, kinds)) => Refused::unknown_limits(&issuer, &kinds).into(),
            None => certificate_error(why),
        },
        why => certificate_error(why),
    }
}

/// The first issuer with limits that nobody here can judge, and of which names.
fn unknown_limits(issuers: &[CertificateDer<'_>]) -> Option<(String, Vec<&'static str>)> {
    issuers.iter().find_map(|der| {
        let kinds = names::unknown_kinds(der, false);
        let issuer = Certificate::parse(der).ok()?;
        (!kinds.is_empty()).then_some((issuer.subject, kinds))
    })
}

/// In rustls's terms.
pub(super) fn certificate_error(error: Why) -> Error {
    match error {
        Why::BadDer | Why::BadDerTime | Why::TrailingData(_) => CertificateError::BadEncoding,
        Why::CertExpired { time, not_after } => {
            CertificateError::ExpiredContext { time, not_after }
        }
        Why::CertNotValidYet { time, not_before } => {
            CertificateError::NotValidYetContext { time, not_before }
        }
        Why::InvalidCertValidity => CertificateError::Expired,
        Why::UnknownIssuer => CertificateError::UnknownIssuer,
        Why::CertRevoked => CertificateError::Revoked,
        Why::RequiredEkuNotFoundContext(_) => CertificateError::InvalidPurpose,
        Why::UnsupportedCriticalExtension => CertificateError::UnhandledCriticalExtension,
        Why::InvalidSignatureForPublicKey => CertificateError::BadSignature,
        error => CertificateError::Other(OtherError(Arc::new(error))),
    }
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::words;
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};

    #[test]
    fn a_ca_is_believed_from_its_first_to_its_last_second() {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.not_before = date_time_ymd(2030, 1, 1);
        params.not_after = date_time_ymd(2030, 1, 2);
        let key = KeyPair::generate().unwrap();
        let ca = params.self_signed(&key).unwrap().der().clone();
        let issuer = Issuer::new(params, key);
        let names = vec!["a.example".to_owned()];
        let leaf = CertificateParams::new(names).unwrap();
        let leaf = leaf.signed_by(&KeyPair::generate().unwrap(), &issuer);
        let leaf = leaf.unwrap().der().clone();
        let verifier = PathVerifier::of_anchors(std::slice::from_ref(&ca));
        let said = |at: u64| {
            let leaf = EndEntityCert::try_from(&leaf).unwrap();
            let now = UnixTime::since_unix_epoch(Duration::from_secs(at));
            let believed = verifier.verify(&leaf, &[], now, KeyUsage::client_auth());
            let why = believed.err().map(std::io::Error::other);
            why.map_or(String::new(), |why| words::of(&why))
        };
        let (first, last) = (1_893_456_000, 1_893_456_000 + 86_400);
        let early = "a CA above the peer's certificate is not valid before 2030-01-01T00:00:00Z";
        let over = "a CA above the peer's certificate has expired, on 2030-01-02T00:00:00Z";
        for (at, why) in [
            (first - 1, early),
            (first, ""),
            (last, ""),
            (last + 1, over),
        ] {
            assert_eq!(said(at), why, "{at}");
        }
    }
}
