//! The block of the admin API once it was checked.

use std::sync::Arc;

use serde::Serialize;

use super::config::Config;
use crate::tls::inbound::{self, Material};

/// The block, and what was opened of it. Only this can be put to use. It serializes as it was written.
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

    /// How TLS is to be spoken.
    pub(super) fn tls(&self) -> Option<(&inbound::Config, &Arc<Material>)> {
        self.config.tls.as_ref().zip(self.tls.as_ref())
    }
}
