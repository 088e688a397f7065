//! A listener's block once it was checked.

use super::config::{Config, Protocol};
use crate::tls::inbound::{self, Server};
use crate::tls::{self, MaySpeakTls};

/// A listener's block, and what was opened of it.
pub type Checked = tls::Checked<Config>;

impl MaySpeakTls for Config {
    type Tls = inbound::Config;
    type Material = inbound::Material;

    fn tls(&self) -> Option<&inbound::Config> {
        self.tls.as_ref()
    }
}

impl Checked {
    /// How TLS is to be spoken. What `old` knows is kept where it still holds.
    pub(super) fn server(&self, old: Option<&Server>) -> Option<Server> {
        let alpn = self.config.protocols.iter().map(|protocol| match protocol {
            Protocol::Http1 => tls::HTTP1,
            Protocol::Http2 => tls::HTTP2,
        });
        let mut alpn: Vec<_> = alpn.collect();
        // Where both will do, HTTP/2 it is, in whatever order they are written.
        alpn.sort_unstable_by_key(|name| *name != tls::HTTP2);
        let (tls, material) = self.tls()?;
        Server::new(tls, material.clone(), alpn, old)
    }
}
