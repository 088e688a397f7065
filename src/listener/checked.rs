//! A listener's block once it was checked.

use std::sync::Arc;

use serde::Serialize;

use super::config::{Config, Protocol};
use crate::tls;
use crate::tls::inbound::{Material, Server};

/// A listener's block, and what was opened of it. Only this can be put to use. It serializes as it was written.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub struct Checked {
    pub config: Config,
    #[serde(skip)]
    tls: Option<Arc<Material>>,
}

impl Checked {
    /// `tls` is what was opened of the key of that name; None when that is missing.
    pub fn new(config: Config, tls: Option<Arc<Material>>) -> Option<Self> {
        (config.tls.is_some() == tls.is_some()).then_some(Checked { config, tls })
    }

    /// How TLS is to be spoken. What `old` knows is kept where it still holds.
    pub(super) fn server(&self, old: Option<&Server>) -> Option<Server> {
        let alpn = self.config.protocols.iter().map(|protocol| match protocol {
            Protocol::Http1 => tls::HTTP1,
            Protocol::Http2 => tls::HTTP2,
        });
        let mut alpn: Vec<_> = alpn.collect();
        // Where both will do, HTTP/2 it is, in whatever order they are written.
        alpn.sort_unstable_by_key(|name| *name != tls::HTTP2);
        let (tls, material) = (self.config.tls.as_ref()?, self.tls.clone()?);
        Server::new(tls, material, alpn, old)
    }
}
