//! Why a handshake failed, in an operator's words.

use std::fmt;
use std::io;
use std::sync::Arc;

use rustls::pki_types::UnixTime;
use rustls::{AlertDescription, CertificateError, Error, OtherError, PeerIncompatible};
use webpki::Error as Path;

/// Why a certificate is not accepted, where rustls has no word for it.
#[derive(Debug)]
pub(super) struct Refused {
    label: &'static str,
    words: String,
}

impl Refused {
    /// `label` is for metrics.
    pub fn new(label: &'static str, words: String) -> Self {
        Refused { label, words }
    }

    pub fn issuer_expired(not_after: UnixTime) -> Self {
        let since = date(not_after.as_secs());
        let words = format!("a CA above the peer's certificate has expired, on {since}");
        Refused::new("expired", words)
    }

    pub fn issuer_not_valid_yet(not_before: UnixTime) -> Self {
        let from = date(not_before.as_secs());
        let words = format!("a CA above the peer's certificate is not valid before {from}");
        Refused::new("not_valid_yet", words)
    }

    /// `kinds` are those of names.
    pub fn unknown_limits(issuer: &str, kinds: &[&str]) -> Self {
        let kinds = kinds.join(" and ");
        let words = format!(
            "`{issuer}`, a CA above the peer's certificate, may sign only for certain {kinds} (name constraints), and for these that is not supported here unless this CA itself is among those that are trusted"
        );
        Refused::new("bad_certificate", words)
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

impl std::error::Error for Refused {}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        CertificateError::Other(OtherError(Arc::new(refused))).into()
    }
}

/// The reason behind an error of reading or writing.
pub fn of(error: &io::Error) -> String {
    match tls(error) {
        Some(error) => of_tls(error),
        None if error.kind() == io::ErrorKind::UnexpectedEof => {
            "the peer closed the connection".to_owned()
        }
        None => error.to_string(),
    }
}

/// A bounded word for the same, for metrics.
pub(super) fn label(error: &io::Error) -> &'static str {
    match tls(error) {
        Some(Error::NoCertificatesPresented) => "no_certificate",
        Some(Error::InvalidCertificate(why)) => match why {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => "expired",
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "not_valid_yet"
            }
            CertificateError::Revoked => "revoked",
            CertificateError::UnknownIssuer => "unknown_ca",
            CertificateError::Other(other) => match other.0.downcast_ref::<Refused>() {
                Some(refused) => refused.label,
                None => "bad_certificate",
            },
            _ => "bad_certificate",
        },
        Some(Error::AlertReceived(_)) => "refused_by_peer",
        Some(Error::PeerIncompatible(_) | Error::NoApplicationProtocol) => "incompatible",
        Some(_) => "failed",
        None => "closed",
    }
}

/// The same of an error that has TLS somewhere behind it: a server may refuse the certificate that it was shown when
/// the handshake is long over on this side (TLS 1.3).
pub fn behind(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<io::Error>()
            && let Some(error) = tls(error)
        {
            return Some(of_tls(error));
        }
        next = error.source();
    }
    None
}

/// Why an own certificate cannot be shown; reads well behind its name.
pub(super) fn of_own(error: &Error) -> String {
    of_tls(error).replace("the peer's certificate", "it")
}

fn tls(error: &io::Error) -> Option<&Error> {
    error.get_ref()?.downcast_ref()
}

fn of_tls(error: &Error) -> String {
    match error {
        Error::NoCertificatesPresented => "the peer showed no certificate".to_owned(),
        Error::InvalidCertificate(why) => of_certificate(why),
        Error::AlertReceived(alert) => of_alert(*alert),
        Error::PeerIncompatible(why) => of_incompatible(why),
        Error::NoApplicationProtocol => {
            "the peer speaks none of the protocols that were offered (ALPN)".to_owned()
        }
        Error::InvalidMessage(_) => {
            format!("the peer does not speak TLS, or speaks it badly ({error})")
        }
        error => error.to_string(),
    }
}

fn of_certificate(why: &CertificateError) -> String {
    let what = "the peer's certificate";
    match why {
        CertificateError::BadEncoding => format!("{what} is malformed"),
        CertificateError::Expired => format!("{what} has expired"),
        CertificateError::ExpiredContext { not_after, .. } => {
            format!("{what} has expired, on {}", date(not_after.as_secs()))
        }
        CertificateError::NotValidYet => format!("{what} is not valid yet"),
        CertificateError::NotValidYetContext { not_before, .. } => {
            format!("{what} is not valid before {}", date(not_before.as_secs()))
        }
        CertificateError::Revoked => format!("{what} is revoked"),
        CertificateError::UnknownIssuer => format!("{what} leads to no CA that is trusted here"),
        CertificateError::BadSignature => bad_signature(),
        CertificateError::UnsupportedSignatureAlgorithmContext { .. } => bad_kind_of_signature(),
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            format!("{what} is not meant for this end of a connection (extended key usage)")
        }
        CertificateError::NotValidForName => format!("{what} is for another name"),
        CertificateError::NotValidForNameContext {
            expected,
            presented,
        } => format!(
            "{what} is for {}, wanted {}",
            presented.join(", "),
            expected.to_str()
        ),
        CertificateError::UnhandledCriticalExtension => {
            of_path(&Path::UnsupportedCriticalExtension)
        }
        CertificateError::Other(other) => match other.0.downcast_ref() {
            Some(why) => of_path(why),
            // Its words are ours.
            None => other.to_string(),
        },
        why => format!("{what} is not accepted: {why}"),
    }
}

/// Why no path leads from a certificate to a trust anchor.
pub(super) fn of_path(why: &Path) -> String {
    let what = "the peer's certificate";
    match why {
        Path::MaximumPathDepthExceeded | Path::PathLenConstraintViolated => {
            format!("the chain of issuers of {what} is too long")
        }
        Path::CaUsedAsEndEntity => format!("{what} is that of a CA, which only signs others"),
        Path::EndEntityUsedAsCa => format!("{what} was issued by somebody who is no CA"),
        Path::NameConstraintViolation => {
            format!("{what} is for a name that its CA may not sign (name constraints)")
        }
        Path::UnsupportedCertVersion => {
            format!("{what} is of an old version of X.509, which has no names in it")
        }
        Path::UnsupportedCriticalExtension => {
            format!("{what} has a critical extension that is not known here")
        }
        Path::InvalidSignatureForPublicKey => bad_signature(),
        Path::UnsupportedSignatureAlgorithmContext(_)
        | Path::UnsupportedSignatureAlgorithmForPublicKeyContext(_) => bad_kind_of_signature(),
        Path::MaximumSignatureChecksExceeded
        | Path::MaximumPathBuildCallsExceeded
        | Path::MaximumNameConstraintComparisonsExceeded => {
            format!("the chain of issuers of {what} takes too much work to follow")
        }
        Path::InvalidCrlSignatureForPublicKey
        | Path::IssuerNotCrlSigner
        | Path::UnsupportedCrlSignatureAlgorithmContext(_)
        | Path::UnsupportedCrlSignatureAlgorithmForPublicKeyContext(_) => {
            format!(
                "whether {what} is revoked cannot be told: the revocation list of its issuer cannot be used, for {}",
                of_list(why)
            )
        }
        why => format!("{what} is not accepted: {}", name(why)),
    }
}

/// Why a revocation list cannot be used.
pub(super) fn of_list(why: &Path) -> &'static str {
    match why {
        Path::InvalidCrlSignatureForPublicKey => {
            "it bears a signature that this issuer did not make"
        }
        Path::IssuerNotCrlSigner => "this issuer may not sign any (key usage without cRLSign)",
        Path::UnsupportedCrlSignatureAlgorithmContext(_)
        | Path::UnsupportedCrlSignatureAlgorithmForPublicKeyContext(_) => {
            "its signature is of a kind that is not accepted here, or by a key that is too weak"
        }
        Path::UnsupportedDeltaCrl => "it tells only what has changed (a delta list)",
        Path::UnsupportedIndirectCrl => {
            "it is about certificates of other issuers (an indirect list)"
        }
        Path::UnsupportedCriticalExtension => "it has a critical extension that is not known here",
        Path::UnsupportedRevocationReasonsPartitioning | Path::UnsupportedRevocationReason => {
            "it is about some reasons of revoking only"
        }
        Path::UnsupportedCrlIssuingDistributionPoint => {
            "its issuing distribution point does not say in full which part of the certificates it is about"
        }
        Path::InvalidCrlNumber => "its number is none",
        Path::InvalidSerialNumber => "one of its serial numbers is none",
        _ => "it is malformed",
    }
}

/// The name of a reason, without the bytes that may hang on it.
fn name(why: &Path) -> String {
    let all = format!("{why:?}");
    let end = all.find(|c: char| !c.is_alphanumeric());
    all[..end.unwrap_or(all.len())].to_owned()
}

/// A key that is too weak fails like a wrong one.
fn bad_signature() -> String {
    "the peer's certificate bears a signature that its issuer did not make, or one by a key that is too weak (RSA below 2048 bits)".to_owned()
}

fn bad_kind_of_signature() -> String {
    "the peer's certificate bears a signature of a kind that is not accepted, such as one over SHA-1"
        .to_owned()
}

fn of_alert(alert: AlertDescription) -> String {
    let why = match alert {
        AlertDescription::UnknownCA => "it does not trust the CA of our certificate",
        AlertDescription::CertificateExpired => "our certificate has expired",
        AlertDescription::CertificateRevoked => "our certificate is revoked",
        AlertDescription::BadCertificate | AlertDescription::CertificateUnknown => {
            "it does not accept our certificate"
        }
        AlertDescription::UnsupportedCertificate => {
            "our certificate is of a kind that it does not accept"
        }
        AlertDescription::CertificateRequired => "it wants a certificate, and got none",
        AlertDescription::UnrecognisedName => "it knows no server of the name that was asked for",
        AlertDescription::NoApplicationProtocol => {
            "it speaks none of the protocols that were offered (ALPN)"
        }
        AlertDescription::ProtocolVersion => {
            "it speaks none of the versions of TLS that were offered"
        }
        AlertDescription::HandshakeFailure => {
            "nothing that was offered suits it, or it wants a certificate"
        }
        AlertDescription::AccessDenied => "it denies access",
        _ => return format!("the peer refused, with the alert {alert:?}"),
    };
    format!("the peer refused, with the alert {alert:?}: {why}")
}

fn of_incompatible(why: &PeerIncompatible) -> String {
    match why {
        PeerIncompatible::Tls12NotOffered
        | PeerIncompatible::Tls12NotOfferedOrEnabled
        | PeerIncompatible::SupportedVersionsExtensionRequired
        | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
        | PeerIncompatible::ServerDoesNotSupportTls12Or13 => {
            "the peer speaks only versions of TLS that are too old".to_owned()
        }
        PeerIncompatible::NoCipherSuitesInCommon | PeerIncompatible::NoKxGroupsInCommon => {
            "the peer and this proxy have no cipher or key exchange in common".to_owned()
        }
        why => format!("the peer and this proxy do not suit each other: {why:?}"),
    }
}

fn date(since_1970: u64) -> String {
    let time = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(since_1970);
    humantime::format_rfc3339_seconds(time).to_string()
}
