//! An upstream's block once it was checked.

use std::sync::Arc;

use super::Config;
use crate::tls::outbound::{self, Client};
use crate::tls::{self, MaySpeakTls};

/// An upstream's block, and what was opened of it.
pub type Checked = tls::Checked<Config>;

impl MaySpeakTls for Config {
    type Tls = outbound::Config;
    type Material = outbound::Material;

    fn tls(&self) -> Option<&outbound::Config> {
        self.tls.as_ref()
    }
}

impl Checked {
    /// How TLS is to be spoken; `old` itself where it is the same.
    pub(super) fn client(&self, old: Option<&Arc<Client>>) -> Option<Arc<Client>> {
        let (tls, material) = self.tls()?;
        Client::next(tls, material, old)
    }
}
