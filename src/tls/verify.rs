//! Whether a server is the one that an upstream means.

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, TrustAnchor, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, SignatureScheme};
use std::sync::Arc;
use webpki::{
    CertRevocationList, EndEntityCert, KeyUsage, OwnedCertRevocationList, RevocationOptionsBuilder,
    UnknownStatusPolicy,
};

use super::certificate::{Certificate, is_spiffe_id};
use super::provider;
use super::trust::Trust;

/// The name that a server must prove, whatever name it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Proves {
    Spiffe(String),
    Dns(ServerName<'static>),
}

impl Proves {
    pub fn parse(text: &str) -> Option<Self> {
        if is_spiffe_id(text) {
            return Some(Proves::Spiffe(text.to_owned()));
        }
        let name =
            ServerName::try_from(text.strip_prefix("dns:").unwrap_or(text).to_owned()).ok()?;
        matches!(name, ServerName::DnsName(_)).then_some(Proves::Dns(name))
    }
}

/// Judges servers: their chain must lead to a trust anchor, be valid now, meant for servers and not revoked, and
/// be for the right name. With a SPIFFE ID the name that was asked for does not count (X.509-SVID, section 5.2).
#[derive(Debug)]
pub(super) struct Verifier {
    anchors: Vec<TrustAnchor<'static>>,
    lists: Vec<CertRevocationList<'static>>,
    proves: Option<Proves>,
}

impl Verifier {
    /// None when a revocation list cannot be read, which the check reports.
    pub fn new(trust: &Trust, proves: Option<Proves>) -> Option<Self> {
        let lists = trust
            .lists
            .iter()
            .map(|der| OwnedCertRevocationList::from_der(der).map(CertRevocationList::from))
            .collect::<Result<_, _>>()
            .ok()?;
        Some(Verifier {
            anchors: trust.roots().roots,
            lists,
            proves,
        })
    }

    fn chain(
        &self,
        leaf: &EndEntityCert<'_>,
        issuers: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), webpki::Error> {
        let lists: Vec<_> = self.lists.iter().collect();
        // The check tells which CA has no list.
        let revocation = RevocationOptionsBuilder::new(&lists).ok().map(|options| {
            options
                .with_status_policy(UnknownStatusPolicy::Allow)
                .build()
        });
        leaf.verify_for_usage(
            provider().signature_verification_algorithms.all,
            &self.anchors,
            issuers,
            now,
            KeyUsage::server_auth(),
            revocation,
            None,
        )
        .map(|_| ())
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        der: &CertificateDer<'_>,
        issuers: &[CertificateDer<'_>],
        asked: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let leaf = EndEntityCert::try_from(der).map_err(certificate_error)?;
        self.chain(&leaf, issuers, now).map_err(certificate_error)?;
        let (fits, wanted) = match &self.proves {
            Some(Proves::Spiffe(id)) => {
                let certificate =
                    Certificate::parse(der).map_err(|_| CertificateError::BadEncoding)?;
                (certificate.spiffe_id() == Some(id), id.clone())
            }
            Some(Proves::Dns(name)) => is_for(&leaf, name),
            None => is_for(&leaf, asked),
        };
        match fits {
            true => Ok(ServerCertVerified::assertion()),
            false => Err(wrong_name(der, &wanted)),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &provider().signature_verification_algorithms;
        verify_tls12_signature(message, cert, dss, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &provider().signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}

fn is_for(leaf: &EndEntityCert<'_>, name: &ServerName<'_>) -> (bool, String) {
    (
        leaf.verify_is_valid_for_subject_name(name).is_ok(),
        name.to_str().into_owned(),
    )
}

/// What the log says: whom the certificate is for, and who was wanted.
fn wrong_name(der: &CertificateDer<'_>, wanted: &str) -> Error {
    let names = Certificate::parse(der).map(|certificate| certificate.names());
    let names = names.unwrap_or_else(|why| why);
    let words = format!("the server's certificate is for {names}, wanted {wanted}");
    CertificateError::Other(OtherError(Arc::new(WrongName(words)))).into()
}

/// A certificate that is good, and another's.
#[derive(Debug)]
struct WrongName(String);

impl std::fmt::Display for WrongName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for WrongName {}

/// In rustls's terms, which decide the alert that the server is sent.
fn certificate_error(error: webpki::Error) -> Error {
    use webpki::Error as Why;
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
