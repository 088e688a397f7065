//! `tls` of a listener: the certificates that it shows to callers, and whom it believes.

use std::sync::Arc;
use std::time::SystemTime;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::NoServerSessionStorage;
use rustls::server::danger::ClientCertVerifier;
use serde::{Deserialize, Serialize};

use super::certificate::Certificate;
use super::inventory::Opening;
use super::pair::{self, Pair, Usage};
use super::resolver::{ByName, Choice};
use super::trust::{self, Trust};
use super::verify::Callers;
use super::{MinVersion, Opened, chain, lists, provider, staple};
use crate::value::problem::Problems;
use crate::value::{Duration, FilePath};

/// `tls` of `[listeners.NAME]`. Every file is read again when it changes.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The certificate in PEM form, behind it those of its issuers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert: Option<FilePath>,
    /// Its private key in PEM form.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<FilePath>,
    /// An OCSP response in DER form, stapled to the certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ocsp: Option<FilePath>,
    /// More certificates. A caller is shown the one for the name that it asks for, or else the first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<PairConfig>,
    /// CAs in PEM form that sign callers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_ca: Option<FilePath>,
    /// Whether a caller must have a certificate. Default with `client_ca`: it must.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_auth: Option<ClientAuth>,
    /// Revocation lists in PEM form.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crl: Option<FilePath>,
    /// The oldest version that is spoken.
    #[serde(default)]
    pub min_version: MinVersion,
    /// From accepting a connection to the end of its handshake.
    #[serde(default = "handshake_timeout")]
    pub handshake_timeout: Duration,
    /// Tell upstreams what a caller has proven, in `x-forwarded-client-cert`.
    #[serde(default = "yes")]
    pub forward_client_cert: bool,
}

/// An entry of `certificates`.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct PairConfig {
    pub cert: FilePath,
    pub key: FilePath,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ocsp: Option<FilePath>,
}

/// Whether callers must have a certificate.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum ClientAuth {
    Required,
    /// A caller without one is served, and has no identity. One with a bad certificate is refused.
    Optional,
}

/// What the files held.
#[derive(Debug)]
pub struct Material {
    pairs: Vec<Arc<Pair>>,
    trust: Option<(Trust, ClientAuth, Arc<Callers>)>,
}

impl Config {
    /// Whether nobody is served without a certificate that one of the CAs has signed.
    pub fn requires_proof(&self) -> bool {
        self.client_ca.is_some() && self.client_auth != Some(ClientAuth::Optional)
    }

    /// What can be told without the files.
    pub fn check(&self, problems: &mut Problems) {
        if self.handshake_timeout.0.is_zero() {
            problems.error(&["handshake_timeout"], "must be longer than 0");
        }
        match (&self.cert, &self.key) {
            (Some(_), Some(_)) => {}
            (None, None) => {
                if self.certificates.is_empty() {
                    problems
                        .error(&[], "TLS needs a certificate to show to callers")
                        .help("name its files: `cert = \"tls.crt\"` and `key = \"tls.key\"`");
                }
                if self.ocsp.is_some() {
                    problems.error(&["ocsp"], "an OCSP response belongs to a `cert`");
                }
            }
            (Some(_), None) => {
                problems
                    .error(&["cert"], "a certificate needs its key")
                    .help("name its file under `key`");
            }
            (None, Some(_)) => {
                problems
                    .error(&["key"], "a key needs its certificate")
                    .help("name its file under `cert`");
            }
        }
        if self.client_ca.is_some() {
            return;
        }
        for (key, is_set) in [
            ("client_auth", self.client_auth.is_some()),
            ("crl", self.crl.is_some()),
        ] {
            if is_set {
                problems
                    .error(
                        &[key],
                        "without `client_ca` no caller is asked for a certificate",
                    )
                    .help("name the CAs that sign callers under `client_ca`");
            }
        }
    }

    /// Opens and judges all that is named.
    pub fn open(&self, problems: &mut Problems) -> Opened<Material> {
        let mut opening = Opening::default();
        let trust = self.open_trust(&mut opening);
        let known = trust.as_ref().map(|(trust, ..)| &trust.anchors[..]);
        let pairs = self.open_pairs(known.unwrap_or_default(), &mut opening);
        opening.end(problems, || {
            let pairs = pairs.into_iter().map(Arc::new).collect();
            Some(Material { pairs, trust })
        })
    }

    /// `known` are the CAs that sign callers: they may have signed these as well.
    fn open_pairs(&self, known: &[CertificateDer<'static>], opening: &mut Opening) -> Vec<Pair> {
        let mut pairs = Vec::new();
        if let (Some(cert), Some(key)) = (&self.cert, &self.key) {
            let ocsp = self.ocsp.as_ref();
            pairs.extend(Entry { cert, key, ocsp }.open(&[], known, opening));
        }
        for (index, PairConfig { cert, key, ocsp }) in self.certificates.iter().enumerate() {
            let ocsp = ocsp.as_ref();
            let above = ["certificates", &index.to_string()];
            pairs.extend(Entry { cert, key, ocsp }.open(&above, known, opening));
        }
        pairs
    }

    fn open_trust(&self, opening: &mut Opening) -> Option<(Trust, ClientAuth, Arc<Callers>)> {
        let file = self.client_ca.as_ref()?;
        let (anchors, cas) = trust::open_anchors(file, &["client_ca"], opening)?;
        let lists = match &self.crl {
            Some(crl) => lists::open(crl, &anchors, &cas, &["crl"], opening)?,
            None => Vec::new(),
        };
        let trust = Trust { anchors, lists };
        let auth = self.client_auth.unwrap_or(ClientAuth::Required);
        match Callers::new(&trust, auth == ClientAuth::Required) {
            Ok(callers) => Some((trust, auth, Arc::new(callers))),
            Err(error) => {
                opening.problems.error(
                    &["client_ca"],
                    format!("callers cannot be verified with this: {error}"),
                );
                None
            }
        }
    }
}

/// The files of one certificate.
struct Entry<'a> {
    cert: &'a FilePath,
    key: &'a FilePath,
    ocsp: Option<&'a FilePath>,
}

impl Entry<'_> {
    /// `above` are the keys of the config that lead to those of the files.
    fn open(
        &self,
        above: &[&str],
        known: &[CertificateDer<'static>],
        opening: &mut Opening,
    ) -> Option<Pair> {
        let below = |key| [above, &[key]].concat();
        let (cert, key) = (below("cert"), below("key"));
        let at = pair::At {
            cert: &cert,
            key: &key,
        };
        let pair = pair::open(self.cert, self.key, Usage::ServerAuth, &at, opening)?;
        let problems = &mut opening.problems;
        chain::judge(&pair, Usage::ServerAuth, known, self.cert, &cert, problems);
        match self.ocsp {
            Some(file) => staple::to(pair, file, &below("ocsp"), opening),
            None => Some(pair),
        }
    }
}

/// TLS as a listener speaks it now.
pub struct Server {
    pub(super) rustls: Arc<ServerConfig>,
    pub handshake_timeout: std::time::Duration,
    pub forward_client_cert: bool,
    shown: Vec<Arc<Pair>>,
    material: Arc<Material>,
    /// Which of the CAs that sign callers were valid when this was made.
    valid_cas: Vec<bool>,
}

impl Server {
    /// By `config`, of whose files `material` was made. What callers may resume is kept from `old` while the same callers are
    /// trusted: whoever resumes does not show a certificate again. A certificate that is out of its time waits while that
    /// of `old` is not.
    pub fn new(
        config: &Config,
        material: Arc<Material>,
        alpn: Vec<&'static [u8]>,
        old: Option<&Server>,
    ) -> Option<Server> {
        let now = SystemTime::now();
        let before = || old.into_iter().flat_map(|old| &old.shown);
        let shown = material.pairs.iter();
        let shown: Vec<_> = shown.map(|pair| pair.or_before(before(), now)).collect();
        let chosen = shown.iter().map(|pair| {
            let names = pair.chain.first().map(Certificate::asked_names);
            let choice = Choice {
                key: pair.key.clone(),
                staple: pair.staple.clone(),
            };
            (names.unwrap_or_default(), choice)
        });
        let builder = ServerConfig::builder_with_provider(provider().clone())
            .with_protocol_versions(config.min_version.versions())
            .ok()?;
        let builder = match &material.trust {
            Some((_, _, verifier)) => builder.with_client_cert_verifier(verifier.clone()),
            None => builder.with_no_client_auth(),
        };
        let mut rustls = builder.with_cert_resolver(Arc::new(ByName::new(chosen.collect())));
        rustls.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        // What can be resumed is in tickets that callers keep, so that it takes no memory here. One is enough:
        // whoever wants another connection gets another ticket on it.
        rustls.session_storage = Arc::new(NoServerSessionStorage {});
        rustls.send_tls13_tickets = 1;
        let cas = material.trust.as_ref();
        let valid_cas = cas.map(|(_, _, callers)| callers.valid_at(UnixTime::now()));
        let valid_cas = valid_cas.unwrap_or_default();
        let trusts_like =
            |old: &&Server| old.valid_cas == valid_cas && old.material.trusts_like(&material);
        match old.filter(trusts_like) {
            Some(old) => rustls.ticketer = old.rustls.ticketer.clone(),
            None => {
                if let Ok(ticketer) = Ticketer::new() {
                    rustls.ticketer = ticketer;
                }
            }
        }
        Some(Server {
            rustls: Arc::new(rustls),
            handshake_timeout: config.handshake_timeout.0,
            forward_client_cert: config.forward_client_cert,
            shown,
            material,
            valid_cas,
        })
    }
}

impl Server {
    /// Whether a caller with this certificate, the leaf first, would be let in.
    pub(super) fn believes(&self, chain: &[CertificateDer<'_>], now: UnixTime) -> bool {
        let (Some((_, _, verifier)), [leaf, issuers @ ..]) = (&self.material.trust, chain) else {
            return false;
        };
        verifier.verify_client_cert(leaf, issuers, now).is_ok()
    }
}

impl Material {
    fn trusts_like(&self, other: &Material) -> bool {
        let trusted = |material: &Material| {
            material
                .trust
                .as_ref()
                .map(|(trust, auth, _)| (trust.clone(), *auth))
        };
        trusted(self) == trusted(other)
    }
}

fn handshake_timeout() -> Duration {
    Duration::from_secs(10)
}

fn yes() -> bool {
    true
}
