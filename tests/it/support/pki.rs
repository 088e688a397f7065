//! Certificates, made for each test.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CustomExtension, DnType,
    DnValue, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, Issuer, KeyIdMethod, KeyPair,
    KeyUsagePurpose, NameConstraints, RevokedCertParams, SanType, SerialNumber, date_time_ymd,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A CA.
pub struct Authority {
    name: String,
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    /// What stands behind its leaves: its own certificate, when it is no root.
    chain: String,
}

/// What a certificate is to be.
#[derive(Clone)]
pub struct Ask {
    names: Vec<String>,
    valid: (SystemTime, SystemTime),
    usages: Vec<ExtendedKeyUsagePurpose>,
    serial: Option<u64>,
    rsa: bool,
    is_ca: bool,
}

/// A certificate with its chain, and its key.
#[derive(Clone)]
pub struct Leaf {
    pub cert: String,
    pub key: String,
}

impl Authority {
    pub fn new(name: &str) -> Authority {
        let (params, key) = ca(name);
        Authority::root(params, key)
    }

    /// A root that is valid from then to then.
    pub fn valid(name: &str, from: SystemTime, until: SystemTime) -> Authority {
        let (mut params, key) = ca(name);
        let epoch = date_time_ymd(1970, 1, 1);
        params.not_before = epoch + since_1970(from);
        params.not_after = epoch + since_1970(until);
        Authority::root(params, key)
    }

    /// A root that may sign only for names that `limits`, in DER, allow (RFC 5280, section 4.2.1.10).
    pub fn limited(name: &str, limits: Vec<u8>) -> Authority {
        let (mut params, key) = ca(name);
        params.custom_extensions.push(limit(limits));
        Authority::root(params, key)
    }

    /// A CA below this one with such limits.
    pub fn limited_intermediate(&self, name: &str, limits: Vec<u8>) -> Authority {
        let (mut params, key) = ca(name);
        params.custom_extensions.push(limit(limits));
        self.signing(params, key)
    }

    /// This one's key and name, as signed by `other` and valid until then.
    pub fn cross_signed_by(&self, other: &Authority, until: SystemTime) -> String {
        let epoch = date_time_ymd(1970, 1, 1);
        let (mut params, _) = ca(&self.name);
        params.not_after = epoch + since_1970(until);
        let made = params.signed_by(self.issuer.key(), &other.issuer);
        made.expect("a CA").pem()
    }

    fn root(params: CertificateParams, key: KeyPair) -> Authority {
        let pem = params.self_signed(&key).expect("a CA").pem();
        Authority {
            name: name_of(&params),
            issuer: Issuer::new(params, key),
            pem,
            chain: String::new(),
        }
    }

    /// A CA below this one.
    pub fn intermediate(&self, name: &str) -> Authority {
        let (params, key) = ca(name);
        self.signing(params, key)
    }

    /// Somebody with a certificate of this one that makes it no CA, and who signs nevertheless.
    pub fn impostor(&self, name: &str) -> Authority {
        let (mut params, key) = ca(name);
        params.is_ca = IsCa::ExplicitNoCa;
        self.signing(params, key)
    }

    /// A CA below this one that may only sign for `domain` and what is below.
    pub fn only_for(&self, domain: &str) -> Authority {
        let (mut params, key) = ca(domain);
        params.name_constraints = Some(NameConstraints {
            permitted_subtrees: vec![GeneralSubtree::DnsName(domain.to_owned())],
            excluded_subtrees: Vec::new(),
        });
        self.signing(params, key)
    }

    fn signing(&self, params: CertificateParams, key: KeyPair) -> Authority {
        let pem = params.signed_by(&key, &self.issuer).expect("a CA").pem();
        Authority {
            name: name_of(&params),
            issuer: Issuer::new(params, key),
            chain: format!("{pem}{}", self.chain),
            pem,
        }
    }

    /// Its own certificate.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    pub fn issue(&self, ask: Ask) -> Leaf {
        let (params, key) = ask.params();
        let cert = params.signed_by(&key, &self.issuer).expect("a leaf").pem();
        Leaf {
            cert: format!("{cert}{}", self.chain),
            key: key.serialize_pem(),
        }
    }

    /// A list that revokes these serial numbers, to be replaced after so many days (or that should have been, when
    /// negative).
    pub fn revoke(&self, serials: &[u64], replaced_in: i64) -> String {
        let (epoch, now) = (date_time_ymd(1970, 1, 1), SystemTime::now());
        let next = match u32::try_from(replaced_in) {
            Ok(days) => now + DAY * days,
            Err(_) => now - DAY,
        };
        let revoked = serials.iter().map(|serial| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: epoch + since_1970(now - 2 * DAY),
            reason_code: None,
            invalidity_date: None,
        });
        CertificateRevocationListParams {
            this_update: epoch + since_1970(now - 2 * DAY),
            next_update: epoch + since_1970(next),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        }
        .signed_by(&self.issuer)
        .and_then(|list| list.pem())
        .expect("a revocation list")
    }
}

impl Ask {
    /// For these names, DNS names or URIs; valid for a year, for servers and clients.
    pub fn of(names: &[&str]) -> Ask {
        let now = SystemTime::now();
        Ask {
            names: names.iter().map(ToString::to_string).collect(),
            valid: (now - DAY, now + 365 * DAY),
            usages: vec![
                ExtendedKeyUsagePurpose::ServerAuth,
                ExtendedKeyUsagePurpose::ClientAuth,
            ],
            serial: None,
            rsa: false,
            is_ca: false,
        }
    }

    #[must_use]
    pub fn expired(mut self) -> Ask {
        let now = SystemTime::now();
        self.valid = (now - 3 * DAY, now - DAY);
        self
    }

    #[must_use]
    pub fn not_yet_valid(mut self) -> Ask {
        let now = SystemTime::now();
        self.valid = (now + DAY, now + 3 * DAY);
        self
    }

    #[must_use]
    pub fn valid_for(mut self, length: Duration) -> Ask {
        self.valid.1 = SystemTime::now() + length;
        self
    }

    /// Valid from so long before now on.
    #[must_use]
    pub fn since(mut self, length: Duration) -> Ask {
        self.valid.0 = SystemTime::now() - length;
        self
    }

    /// Valid in so long only.
    #[must_use]
    pub fn valid_in(mut self, length: Duration) -> Ask {
        self.valid.0 = SystemTime::now() + length;
        self
    }

    #[must_use]
    pub fn only_for_servers(mut self) -> Ask {
        self.usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self
    }

    #[must_use]
    pub fn only_for_clients(mut self) -> Ask {
        self.usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self
    }

    #[must_use]
    pub fn serial(mut self, serial: u64) -> Ask {
        self.serial = Some(serial);
        self
    }

    /// With an RSA key of 2048 bits.
    #[must_use]
    pub fn rsa(mut self) -> Ask {
        self.rsa = true;
        self
    }

    /// That of a CA.
    #[must_use]
    pub fn ca(mut self) -> Ask {
        self.is_ca = true;
        self
    }

    /// Signed by itself.
    pub fn self_signed(self) -> Leaf {
        let (params, key) = self.params();
        Leaf {
            cert: params.self_signed(&key).expect("a certificate").pem(),
            key: key.serialize_pem(),
        }
    }

    fn params(&self) -> (CertificateParams, KeyPair) {
        let mut params = CertificateParams::default();
        let epoch = date_time_ymd(1970, 1, 1);
        params.not_before = epoch + since_1970(self.valid.0);
        params.not_after = epoch + since_1970(self.valid.1);
        params.serial_number = self.serial.map(SerialNumber::from);
        params.extended_key_usages.clone_from(&self.usages);
        if self.is_ca {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        }
        params.use_authority_key_identifier_extension = true;
        params.distinguished_name = rcgen::DistinguishedName::new();
        let name = self.names.first().map_or("nobody", String::as_str);
        params.distinguished_name.push(DnType::CommonName, name);
        params.subject_alt_names = self
            .names
            .iter()
            .map(|name| match (name.contains("://"), name.parse()) {
                (true, _) => SanType::URI(name.as_str().try_into().expect("ASCII")),
                (_, Ok(ip)) => SanType::IpAddress(ip),
                _ => SanType::DnsName(name.as_str().try_into().expect("ASCII")),
            })
            .collect();
        let kind = if self.rsa {
            &rcgen::PKCS_RSA_SHA256
        } else {
            &rcgen::PKCS_ECDSA_P256_SHA256
        };
        (params, KeyPair::generate_for(kind).expect("a key"))
    }
}

/// A certificate for `localhost` that is signed over SHA-1, which nobody makes any more, and its CA.
pub fn signed_over_sha1() -> (Leaf, &'static str) {
    let leaf = Leaf {
        cert: include_str!("sha1/leaf.crt").to_owned(),
        key: include_str!("sha1/leaf.key").to_owned(),
    };
    (leaf, include_str!("sha1/ca.crt"))
}

/// What `openssl ca` made: a CA, a leaf `good`, a leaf `bad` that is revoked, and lists that say so.
pub struct OpensslLists {
    pub ca: &'static str,
    pub good: Leaf,
    pub bad: Leaf,
    /// Without `crl_extensions` in its config: of version 1; of version 2, for there is a reason; over SHA-1.
    pub v1: &'static str,
    pub v2: &'static str,
    pub sha1: &'static str,
    pub extended: &'static str,
}

pub fn openssl_lists() -> OpensslLists {
    OpensslLists {
        ca: include_str!("lists/ca.crt"),
        good: Leaf {
            cert: include_str!("lists/good.crt").to_owned(),
            key: include_str!("lists/good.key").to_owned(),
        },
        bad: Leaf {
            cert: include_str!("lists/bad.crt").to_owned(),
            key: include_str!("lists/bad.key").to_owned(),
        },
        v1: include_str!("lists/v1.crl"),
        v2: include_str!("lists/v2.crl"),
        sha1: include_str!("lists/sha1.crl"),
        extended: include_str!("lists/v2_extended.crl"),
    }
}

impl Leaf {
    /// Writes `NAME.crt` and `NAME.key`; gives back their paths.
    pub fn write(&self, directory: &Path, name: &str) -> (PathBuf, PathBuf) {
        let cert = directory.join(format!("{name}.crt"));
        let key = directory.join(format!("{name}.key"));
        put(&cert, &self.cert);
        put(&key, &self.key);
        (cert, key)
    }

    pub fn chain(&self) -> Vec<CertificateDer<'static>> {
        CertificateDer::pem_slice_iter(self.cert.as_bytes())
            .map(|der| der.expect("PEM"))
            .collect()
    }

    pub fn private_key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::from_pem_slice(self.key.as_bytes()).expect("PEM")
    }
}

/// Writes beside and renames over.
pub fn put(path: &Path, text: &str) {
    let new = path.with_extension("new");
    fs::write(&new, text).expect("the directory is writable");
    fs::rename(new, path).expect("the directory is writable");
}

fn ca(name: &str) -> (CertificateParams, KeyPair) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    (params, KeyPair::generate().expect("a key"))
}

fn name_of(params: &CertificateParams) -> String {
    match params.distinguished_name.get(&DnType::CommonName) {
        Some(DnValue::Utf8String(name)) => name.clone(),
        other => panic!("a name: {other:?}"),
    }
}

fn limit(limits: Vec<u8>) -> CustomExtension {
    let mut extension = CustomExtension::from_oid_content(&[2, 5, 29, 30], limits);
    extension.set_criticality(true);
    extension
}

fn since_1970(time: SystemTime) -> Duration {
    time.duration_since(SystemTime::UNIX_EPOCH)
        .expect("after 1970")
}
