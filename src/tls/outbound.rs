//! `tls` of an upstream: whom it believes, and what it shows of this proxy.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use rustls::ClientConfig;
use rustls::client::{ResolvesClientCert, Resumption};
use rustls::pki_types::ServerName;
use rustls::sign::CertifiedKey;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::inventory::Opening;
use super::pair::{self, Pair, Usage};
use super::trust::{self, Trust};
use super::verify::{ExpectedName, Servers};
use super::{HTTP1, HTTP2, MinVersion, Opened, chain, lists, provider};
use crate::value::FilePath;
use crate::value::problem::Problems;

/// Sessions that an upstream's servers may resume.
const SESSIONS: usize = 256;
/// Connections that were made with a certificate that was replaced since take no further request within this, one
/// sooner, one later: all at once would make all of them anew at once.
pub const RETIRE: Duration = Duration::from_secs(10);

/// `tls` of `[upstreams.NAME]`: present, it is TLS that is spoken. Every file is read again when it changes.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// CAs in PEM form that sign the servers. Default: the system's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<FilePath>,
    /// The certificate to show to servers, in PEM form, behind it those of its issuers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert: Option<FilePath>,
    /// Its private key in PEM form.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<FilePath>,
    /// Revocation lists in PEM form.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crl: Option<FilePath>,
    /// The name to ask for, which the server's certificate must be for. Default: the endpoint's host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
    /// The SPIFFE ID or the DNS name that the server must prove, whatever name is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
    /// The oldest version that is spoken.
    pub min_version: MinVersion,
}

/// What the files held.
#[derive(Debug)]
pub struct Material {
    pair: Option<Arc<Pair>>,
    trust: Trust,
}

impl Config {
    /// TLS with servers that are signed by `ca`, or else by one of the system's, and for the name that is asked for.
    pub fn believing(ca: Option<FilePath>) -> Self {
        Config {
            ca,
            ..Config::default()
        }
    }

    /// What can be told without the files.
    pub fn check(&self, problems: &mut Problems) {
        match (&self.cert, &self.key) {
            (Some(_), Some(_)) | (None, None) => {}
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
        if let Some(name) = &self.server_name
            && ServerName::try_from(name.as_str()).is_err()
        {
            problems.error(
                &["server_name"],
                format!("`{name}` is neither a DNS name nor an IP address"),
            );
        }
        if let Some(identity) = &self.identity
            && ExpectedName::parse(identity).is_none()
        {
            let problem = problems.error(
                &["identity"],
                format!("`{identity}` is neither a SPIFFE ID nor a DNS name"),
            );
            if identity.contains("://") {
                problem.help("a SPIFFE ID is like \"spiffe://trust.domain/ns/payments/sa/api\"");
            }
        }
    }

    /// Opens and judges all that is named.
    pub fn open(&self, problems: &mut Problems) -> Opened<Material> {
        let mut opening = Opening::default();
        let trust = self.open_trust(&mut opening);
        let pair = self.open_pair(trust.as_ref(), &mut opening);
        opening.end(problems, || {
            let pair = pair.map(Arc::new);
            trust.map(|trust| Material { pair, trust })
        })
    }

    /// `trust` are the CAs that sign the servers: they may have signed this one as well.
    fn open_pair(&self, trust: Option<&Trust>, opening: &mut Opening) -> Option<Pair> {
        let (cert, key) = (self.cert.as_ref()?, self.key.as_ref()?);
        let at = pair::At {
            cert: &["cert"],
            key: &["key"],
        };
        let pair = pair::open(cert, key, Usage::ClientAuth, &at, opening)?;
        let named = trust.filter(|_| self.ca.is_some());
        let known = named.map(|trust| &trust.anchors[..]).unwrap_or_default();
        let problems = &mut opening.problems;
        chain::judge(&pair, Usage::ClientAuth, known, cert, at.cert, problems);
        Some(pair)
    }

    fn open_trust(&self, opening: &mut Opening) -> Option<Trust> {
        let (anchors, cas) = match &self.ca {
            Some(file) => trust::open_anchors(file, &["ca"], opening)?,
            None => (trust::system_anchors(&mut opening.problems)?, Vec::new()),
        };
        let lists = match &self.crl {
            Some(crl) => lists::open(crl, &anchors, &cas, &["crl"], opening)?,
            None => Vec::new(),
        };
        Some(Trust { anchors, lists })
    }
}

impl Material {
    /// Whether it has the same CAs.
    pub fn believes_like(&self, other: &Material) -> bool {
        self.trust == other.trust
    }
}

/// TLS as an upstream speaks it now. Connections that were made by it hold on to it, which tells whether they were
/// made by what holds now.
#[derive(Debug)]
pub struct Client {
    both: Arc<ClientConfig>,
    http1: Arc<ClientConfig>,
    http2: Arc<ClientConfig>,
    server_name: Option<ServerName<'static>>,
    verification: Verification,
    shown: Option<Arc<Pair>>,
    /// When another was first seen in its place.
    replaced: OnceLock<Instant>,
}

/// What decides whom a server may be.
#[derive(Debug, PartialEq)]
struct Verification {
    trust: Trust,
    server_name: Option<String>,
    identity: Option<String>,
    min_version: MinVersion,
}

/// Which protocols to offer (ALPN).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    Both,
    Http1,
    Http2,
}

impl Client {
    /// By `config`, of whose files `material` was made; `old` itself where it is the same. A certificate that is out of its time waits
    /// while that of `old` is not.
    pub fn next(
        config: &Config,
        material: &Material,
        old: Option<&Arc<Client>>,
    ) -> Option<Arc<Client>> {
        let before = || old.and_then(|old| old.shown.as_ref());
        let now = SystemTime::now();
        let shown = material.pair.as_ref();
        let shown = shown.map(|pair| pair.or_before(before().into_iter(), now));
        let verification = Verification {
            trust: material.trust.clone(),
            server_name: config.server_name.clone(),
            identity: config.identity.clone(),
            min_version: config.min_version,
        };
        if let Some(old) = old
            && old.verification == verification
            && old.shows_like(shown.as_ref())
        {
            return Some(old.clone());
        }
        // A name that is given is the one to prove, whatever is asked for by a library that knows addresses only.
        let expected = config.identity.as_ref().or(config.server_name.as_ref());
        let expected = expected.and_then(|name| ExpectedName::parse(name));
        let verifier = Servers::new(&material.trust, expected)?;
        let builder = ClientConfig::builder_with_provider(provider().clone())
            .with_protocol_versions(config.min_version.versions())
            .ok()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let mut rustls = match &shown {
            Some(pair) => builder.with_client_cert_resolver(Arc::new(Always(pair.key.clone()))),
            None => builder.with_no_client_auth(),
        };
        rustls.resumption = Resumption::in_memory_sessions(SESSIONS);
        let offering = |protocols: &[&[u8]]| {
            let mut rustls = rustls.clone();
            rustls.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
            Arc::new(rustls)
        };
        let server_name = config.server_name.as_ref();
        Some(Arc::new(Client {
            both: offering(&[HTTP2, HTTP1]),
            http1: offering(&[HTTP1]),
            http2: offering(&[HTTP2]),
            server_name: server_name.and_then(|name| ServerName::try_from(name.clone()).ok()),
            verification,
            shown,
            replaced: OnceLock::new(),
        }))
    }

    pub(super) fn rustls(&self, offer: Offer) -> &Arc<ClientConfig> {
        match offer {
            Offer::Both => &self.both,
            Offer::Http1 => &self.http1,
            Offer::Http2 => &self.http2,
        }
    }

    /// For a protocol that is no HTTP: nothing is offered.
    pub fn offering_nothing(&self) -> Arc<ClientConfig> {
        let mut rustls = ClientConfig::clone(&self.http1);
        rustls.alpn_protocols.clear();
        Arc::new(rustls)
    }

    /// Whether it believes the same servers, and shows them the same.
    pub fn is_like(&self, other: &Client) -> bool {
        self.verification == other.verification && self.shows_like(other.shown.as_ref())
    }

    /// The name to ask a server for that was configured as `endpoint`, `host:port`.
    pub fn name_of(&self, endpoint: &str) -> Result<ServerName<'static>, String> {
        if let Some(name) = &self.server_name {
            return Ok(name.clone());
        }
        let host = endpoint.rsplit_once(':').map_or(endpoint, |(host, _)| host);
        let host = host.trim_start_matches('[').trim_end_matches([']', '.']);
        ServerName::try_from(host.to_owned()).map_err(|_| {
            format!("`{host}` is no name that a certificate can be for: set `server_name`")
        })
    }

    /// Whether a connection that was made by this may take no further request, now that `current` holds. `spread`,
    /// from 0 to 1, tells one connection from another.
    pub fn is_over(
        this: Option<&Arc<Self>>,
        current: Option<&Arc<Self>>,
        spread: f32,
        now: Instant,
    ) -> bool {
        match (this, current) {
            (None, None) => false,
            (Some(this), Some(current)) if Arc::ptr_eq(this, current) => false,
            (Some(this), Some(current)) if this.verification == current.verification => {
                let replaced = *this.replaced.get_or_init(|| now);
                now >= replaced + RETIRE.mul_f32(spread)
            }
            // Who is believed now might not believe that server, or it would be told in the clear.
            _ => true,
        }
    }

    /// Since when the certificate that is shown to servers is not valid any more, unless that was so from the start:
    /// whoever takes it takes it again.
    pub(super) fn valid_until(&self) -> Option<SystemTime> {
        let leaf = self.shown.as_ref()?.chain.first()?;
        Some(leaf.ends()).filter(|ends| *ends > SystemTime::now())
    }

    fn shows_like(&self, other: Option<&Arc<Pair>>) -> bool {
        let shown = |pair: &Arc<Pair>| pair.key.cert.clone();
        self.shown.as_ref().map(shown) == other.map(shown)
    }
}

/// Shows one certificate to every server that asks for any. A server may not name the CA of it and take it.
#[derive(Debug)]
struct Always(Arc<CertifiedKey>);

impl ResolvesClientCert for Always {
    fn resolve(
        &self,
        _: &[&[u8]],
        schemes: &[rustls::SignatureScheme],
    ) -> Option<Arc<CertifiedKey>> {
        self.0.key.choose_scheme(schemes).map(|_| self.0.clone())
    }

    fn has_certs(&self) -> bool {
        true
    }
}
