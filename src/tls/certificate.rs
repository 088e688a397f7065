//! What a certificate says of itself.

use std::time::{Duration, SystemTime};

use rustls::pki_types::CertificateDer;
use x509_cert::Certificate as Parsed;
use x509_cert::der::Decode;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectAltName};

use super::distinguished;
use crate::http::peer::Identity;

/// The longest SPIFFE ID, in bytes (SPIFFE ID, section 2.3).
const LONGEST_SPIFFE_ID: usize = 2048;
/// Object identifiers of extended key usage (RFC 5280, section 4.2.1.12).
const ANY_USAGE: &str = "2.5.29.37.0";
const SERVER_AUTH: &str = "1.3.6.1.5.5.7.3.1";
const CLIENT_AUTH: &str = "1.3.6.1.5.5.7.3.2";

/// Signatures over MD5 and SHA-1, by RSA and ECDSA.
const WEAK_SIGNATURES: [&str; 3] = [
    "1.2.840.113549.1.1.4",
    "1.2.840.113549.1.1.5",
    "1.2.840.10045.4.1",
];

/// The facts of one certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// Distinguished names (RFC 4514).
    pub subject: String,
    pub issuer: String,
    pub dns: Vec<String>,
    pub uris: Vec<String>,
    pub ips: Vec<String>,
    /// Of the subject, where it has one.
    pub common_name: Option<String>,
    /// In hexadecimal.
    pub serial: String,
    pub not_before: SystemTime,
    /// The last second of its time (see [`end_of`]).
    pub not_after: SystemTime,
    pub is_ca: bool,
    /// Its key may sign revocation lists.
    pub may_revoke: bool,
    /// Its issuer signed a digest for which others can be made (RFC 9155, section 2).
    pub is_weakly_signed: bool,
    /// None: for everything.
    usages: Option<Vec<String>>,
}

impl Certificate {
    /// # Errors
    /// A sentence, when it is no certificate.
    pub fn parse(der: &CertificateDer<'_>) -> Result<Self, String> {
        let parsed =
            Parsed::from_der(der).map_err(|error| format!("not a certificate: {error}"))?;
        let tbs = parsed.tbs_certificate();
        let malformed = |error| format!("a certificate with a malformed extension: {error}");
        let names = tbs.get_extension::<SubjectAltName>().map_err(malformed)?;
        let constraints = tbs.get_extension::<BasicConstraints>().map_err(malformed)?;
        let usages = tbs.get_extension::<ExtendedKeyUsage>().map_err(malformed)?;
        let key_usage = tbs.get_extension::<KeyUsage>();
        let common_name = tbs.subject().common_name().ok().flatten();
        let mut certificate = Certificate {
            subject: distinguished::text(tbs.subject()),
            issuer: distinguished::text(tbs.issuer()),
            dns: Vec::new(),
            uris: Vec::new(),
            ips: Vec::new(),
            common_name: common_name.map(String::from),
            serial: hex(tbs.serial_number().as_bytes()),
            not_before: time(tbs.validity().not_before.to_unix_duration()),
            not_after: time(tbs.validity().not_after.to_unix_duration()),
            is_weakly_signed: is_weak(&parsed.signature_algorithm().oid.to_string()),
            is_ca: constraints.is_some_and(|(_, constraints)| constraints.ca),
            may_revoke: key_usage.is_ok_and(|all| all.is_none_or(|(_, usage)| usage.crl_sign())),
            usages: usages.map(|(_, usages)| usages.0.iter().map(ToString::to_string).collect()),
        };
        for name in names.map(|(_, names)| names.0).unwrap_or_default() {
            match name {
                GeneralName::DnsName(name) => certificate.dns.push(name.to_string()),
                GeneralName::UniformResourceIdentifier(uri) => {
                    certificate.uris.push(uri.to_string());
                }
                GeneralName::IpAddress(ip) => certificate.ips.extend(ip_text(ip.as_bytes())),
                _ => {}
            }
        }
        Ok(certificate)
    }

    /// What whoever proves to hold its key has proven to be.
    pub fn identity(&self) -> Identity {
        let dns: Vec<&str> = self.dns.iter().map(String::as_str).collect();
        Identity::new(self.spiffe_id(), &dns, &self.subject)
    }

    /// The SPIFFE ID: the one URI of an X.509-SVID, which has exactly one (X.509-SVID, section 2).
    pub fn spiffe_id(&self) -> Option<&str> {
        match &self.uris[..] {
            [only] if is_spiffe_id(only) => Some(only),
            _ => None,
        }
    }

    /// Since when it is not valid any more.
    pub fn ends(&self) -> SystemTime {
        end_of(self.not_after)
    }

    pub fn is_valid_at(&self, now: SystemTime) -> bool {
        self.not_before <= now && now < self.ends()
    }

    /// Whether it has no subject alternative name that a peer could look for.
    pub fn has_no_name(&self) -> bool {
        self.dns.is_empty() && self.uris.is_empty() && self.ips.is_empty()
    }

    /// The DNS names that a caller may ask for to be shown it: where it has no subject alternative name, its common
    /// name. Whether the caller accepts that is up to it.
    pub fn asked_names(&self) -> Vec<String> {
        if self.has_no_name() {
            self.common_name.iter().cloned().collect()
        } else {
            self.dns.clone()
        }
    }

    /// Every name, for people: `spiffe://td/app, app.example`, or the subject where there is none.
    pub fn names(&self) -> String {
        let names: Vec<&str> = [&self.uris, &self.dns, &self.ips]
            .into_iter()
            .flatten()
            .map(String::as_str)
            .collect();
        if names.is_empty() {
            self.subject.clone()
        } else {
            names.join(", ")
        }
    }

    pub fn may_serve(&self) -> bool {
        self.may(SERVER_AUTH)
    }

    pub fn may_call(&self) -> bool {
        self.may(CLIENT_AUTH)
    }

    fn may(&self, usage: &str) -> bool {
        self.usages
            .as_ref()
            .is_none_or(|usages| usages.iter().any(|one| one == usage || one == ANY_USAGE))
    }
}

/// Whether text is a SPIFFE ID that names a workload or a trust domain (SPIFFE ID, section 2).
pub fn is_spiffe_id(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("spiffe://") else {
        return false;
    };
    let (domain, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let in_domain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-._".contains(&b);
    let in_segment = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
    let segment = |segment: &str| {
        !segment.is_empty() && !matches!(segment, "." | "..") && segment.bytes().all(in_segment)
    };
    text.len() <= LONGEST_SPIFFE_ID
        && !domain.is_empty()
        && domain.bytes().all(in_domain)
        && (path.is_empty() || path.split('/').skip(1).all(segment))
}

/// When a time is over of which `last` is the last second: it belongs to it (RFC 5280, section 4.1.2.5). The same holds
/// for when the next revocation list or OCSP response is due (RFC 5280, section 6.3.3; RFC 6960, section 3.2).
pub(super) fn end_of(last: SystemTime) -> SystemTime {
    last.checked_add(Duration::from_secs(1)).unwrap_or(last)
}

/// Whether an algorithm signs digests for which others can be made (RFC 9155, section 2).
pub(super) fn is_weak(signature: &str) -> bool {
    WEAK_SIGNATURES.contains(&signature)
}

fn time(since_1970: Duration) -> SystemTime {
    SystemTime::UNIX_EPOCH + since_1970
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn ip_text(bytes: &[u8]) -> Option<String> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes)
            .ok()
            .map(|ip| std::net::Ipv4Addr::from(ip).to_string()),
        16 => <[u8; 16]>::try_from(bytes)
            .ok()
            .map(|ip| std::net::Ipv6Addr::from(ip).to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_spiffe_id_is_told_from_other_uris() {
        for id in [
            "spiffe://td",
            "spiffe://td.example/ns/x/sa/y",
            "spiffe://a-b_c.d/A.1",
        ] {
            assert!(is_spiffe_id(id), "{id}");
        }
        for uri in [
            "spiffe://",
            "spiffe:///x",
            "spiffe://TD/x",
            "spiffe://td/",
            "spiffe://td//x",
            "spiffe://td/x/",
            "spiffe://td/../x",
            "spiffe://td/x?y",
            "spiffe://td/x#y",
            "spiffe://td:80/x",
            "spiffe://u@td/x",
            "https://td/x",
            "spiffe://td/%41",
            "SPIFFE://td/x",
        ] {
            assert!(!is_spiffe_id(uri), "{uri}");
        }
        assert!(!is_spiffe_id(&format!("spiffe://td/{}", "a".repeat(2048))));
    }

    #[test]
    fn the_last_second_belongs_to_it() {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2030, 1, 1);
        params.not_after = rcgen::date_time_ymd(2030, 1, 2);
        let made = params.self_signed(&key).unwrap();
        let parsed = Certificate::parse(made.der()).unwrap();
        let (from, last) = (parsed.not_before, parsed.not_after);
        let moment = Duration::from_nanos(1);
        for (at, is_valid) in [
            (from - moment, false),
            (from, true),
            (last, true),
            (last + Duration::from_secs(1) - moment, true),
            (last + Duration::from_secs(1), false),
        ] {
            assert_eq!(parsed.is_valid_at(at), is_valid, "{at:?}");
        }
    }

    proptest! {
        /// Whatever a peer sends as a certificate.
        #[test]
        fn no_bytes_are_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Certificate::parse(&CertificateDer::from(bytes));
        }

        #[test]
        fn no_broken_certificate_is_a_panic(at in 0..400usize, byte in any::<u8>()) {
            let key = rcgen::KeyPair::generate().unwrap();
            let made = rcgen::CertificateParams::new(vec!["a.example".to_owned()])
                .unwrap().self_signed(&key).unwrap();
            let mut der = made.der().to_vec();
            let at = at % der.len();
            der[at] = byte;
            let _ = Certificate::parse(&CertificateDer::from(der));
        }
    }
}
