//! Whether a server is the one that an upstream means, and a caller one whom a listener lets in.

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use webpki::{EndEntityCert, KeyUsage};

use super::certificate::{Certificate, is_spiffe_id};
use super::path::{PathVerifier, certificate_error};
use super::provider;
use super::trust::Trust;
use super::words::Refused;

/// The name that a server must prove, whatever name it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ExpectedName {
    Spiffe(String),
    Dns(ServerName<'static>),
}

impl ExpectedName {
    pub fn parse(text: &str) -> Option<Self> {
        if is_spiffe_id(text) {
            return Some(ExpectedName::Spiffe(text.to_owned()));
        }
        let name =
            ServerName::try_from(text.strip_prefix("dns:").unwrap_or(text).to_owned()).ok()?;
        matches!(name, ServerName::DnsName(_)).then_some(ExpectedName::Dns(name))
    }
}

/// Judges servers: their chain must lead to a trust anchor, be valid now, meant for servers and not revoked, and
/// be for the right name. With a SPIFFE ID the name that was asked for does not count (X.509-SVID, section 5.2).
#[derive(Debug)]
pub(super) struct Servers {
    paths: PathVerifier,
    expected: Option<ExpectedName>,
}

impl Servers {
    /// None when a revocation list cannot be used, which the check reports.
    pub fn new(trust: &Trust, expected: Option<ExpectedName>) -> Option<Self> {
        let paths = PathVerifier::new(trust).ok()?;
        Some(Servers { paths, expected })
    }
}

impl ServerCertVerifier for Servers {
    fn verify_server_cert(
        &self,
        der: &CertificateDer<'_>,
        issuers: &[CertificateDer<'_>],
        asked: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let leaf = EndEntityCert::try_from(der).map_err(certificate_error)?;
        self.paths
            .verify(&leaf, issuers, now, KeyUsage::server_auth())?;
        let (fits, wanted) = match &self.expected {
            Some(ExpectedName::Spiffe(id)) => {
                let certificate =
                    Certificate::parse(der).map_err(|_| CertificateError::BadEncoding)?;
                (certificate.spiffe_id() == Some(id), id.clone())
            }
            Some(ExpectedName::Dns(name)) => is_for(&leaf, name),
            None => is_for(&leaf, asked),
        };
        if fits {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(wrong_name(der, &wanted))
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

/// The names of CAs that fit into the message which asks for a certificate, beside the rest of it: their list and the
/// lists around it have lengths of two bytes.
const NAMES: usize = 60_000;

/// Judges callers: their chain must lead to a trust anchor, be valid now, meant for clients and not revoked.
#[derive(Debug)]
pub(super) struct Callers {
    paths: PathVerifier,
    /// The CAs that callers are told of, so that they can choose a certificate.
    names: Vec<DistinguishedName>,
    is_mandatory: bool,
}

impl Callers {
    /// # Errors
    /// A revocation list that cannot be used.
    pub fn new(trust: &Trust, is_mandatory: bool) -> Result<Self, String> {
        let paths = PathVerifier::new(trust)?;
        let names = paths
            .anchors()
            .iter()
            .map(|anchor| DistinguishedName::in_sequence(anchor.subject.as_ref()));
        let names: Vec<DistinguishedName> = names.collect();
        let length: usize = names.iter().map(|name| 2 + name.as_ref().len()).sum();
        Ok(Callers {
            paths,
            // They are a hint (RFC 8446, section 4.2.4): a caller who gets none chooses by itself.
            names: if length <= NAMES { names } else { Vec::new() },
            is_mandatory,
        })
    }

    /// Which of the CAs are valid.
    pub fn valid_at(&self, now: UnixTime) -> Vec<bool> {
        self.paths.valid_at(now)
    }
}

impl ClientCertVerifier for Callers {
    fn client_auth_mandatory(&self) -> bool {
        self.is_mandatory
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.names
    }

    fn verify_client_cert(
        &self,
        der: &CertificateDer<'_>,
        issuers: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let leaf = EndEntityCert::try_from(der).map_err(certificate_error)?;
        self.paths
            .verify(&leaf, issuers, now, KeyUsage::client_auth())?;
        Ok(ClientCertVerified::assertion())
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
    Refused::new(
        "bad_certificate",
        format!("the server's certificate is for {names}, wanted {wanted}"),
    )
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_are_told_the_names_of_cas_while_these_fit_into_the_message() {
        let key = rcgen::KeyPair::generate().unwrap();
        let ca = |number: usize| {
            let mut params = rcgen::CertificateParams::default();
            let name = format!("{number:0>60}");
            params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
            params
                .distinguished_name
                .push(rcgen::DnType::CommonName, name);
            params.self_signed(&key).unwrap().der().clone()
        };
        for (count, told) in [(1, 1), (500, 500), (1000, 0)] {
            let trust = Trust {
                anchors: (0..count).map(ca).collect(),
                lists: Vec::new(),
            };
            let callers = Callers::new(&trust, true).unwrap();
            assert_eq!(callers.root_hint_subjects().len(), told);
            assert_eq!(callers.paths.anchors().len(), count);
        }
    }
}
