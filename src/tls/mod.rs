//! TLS in both directions, on rustls and aws-lc-rs.
//!
//! - [`inbound`] and [`outbound`] are the blocks `tls` of a listener and of an upstream: what they name is opened
//!   and judged when the config is checked ([`files`], [`pem`], [`pair`], [`certificate`], [`dates`], [`chain`],
//!   [`trust`], [`lists`], [`staple`]), and what was opened is what serves. [`inventory`] lists it for operators.
//! - [`remote`] is a server whose URL is a secret, as that of a broker or a database.
//! - [`handshake`] makes a [`stream`] of a connected socket, for either side.
//! - [`verify`] judges an upstream's server and a listener's caller by the [`path`] from its certificate to a CA, where
//!   [`names`] limit what a CA may sign; [`callers`] are those with an identity; [`words`] says in an operator's words why a handshake failed.
//! - [`hello`] reads the name that is asked for in TLS of which nobody here is a side.
//!
//! Nothing here is built before a config asks for it.

pub mod callers;
pub mod certificate;
mod chain;
mod checked;
mod dates;
mod der;
mod distinguished;
mod files;
pub mod handshake;
pub mod hello;
pub mod inbound;
pub mod inventory;
mod lists;
mod names;
mod ocsp;
mod opened;
pub mod outbound;
mod pair;
mod path;
mod pem;
pub mod remote;
mod resolver;
mod socket;
mod staple;
pub mod stream;
mod trust;
mod verify;
pub mod words;

use std::sync::{Arc, OnceLock};

use rustls::SupportedProtocolVersion;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use serde::{Deserialize, Serialize};

pub use checked::{Checked, MaySpeakTls};
pub use opened::Opened;

/// The oldest version of TLS that is spoken.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
pub enum MinVersion {
    #[default]
    #[serde(rename = "1.2")]
    Tls12,
    #[serde(rename = "1.3")]
    Tls13,
}

impl MinVersion {
    fn versions(self) -> &'static [&'static SupportedProtocolVersion] {
        static TLS13: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13];
        match self {
            MinVersion::Tls12 => rustls::ALL_VERSIONS,
            MinVersion::Tls13 => TLS13,
        }
    }
}

/// The protocol names of ALPN (RFC 7301).
pub const HTTP1: &[u8] = b"http/1.1";
pub const HTTP2: &[u8] = b"h2";

/// Ciphers, key exchange and signatures: all that aws-lc-rs does, the hybrid post-quantum key exchange first.
fn provider() -> &'static Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    PROVIDER.get_or_init(|| Arc::new(aws_lc_rs::default_provider()))
}
