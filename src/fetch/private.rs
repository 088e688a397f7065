//! TLS of calls: whom the server of an `https://` URL must be signed by.

use std::sync::{Arc, OnceLock};

use super::Url;
use crate::tls::inventory::Inventory;
use crate::tls::outbound::{self, Client, Material};
use crate::value::FilePath;
use crate::value::problem::Problems;

/// What a check has opened of the key `ca`, which stands beside a URL: a PEM file of the CAs to which the server's
/// certificate must lead, in place of the system's. It is no part of what the operator wrote, and yet another when
/// other CAs are believed.
#[derive(Clone, Debug, Default)]
pub struct Private(Arc<OnceLock<Opened>>);

#[derive(Debug)]
struct Opened {
    config: outbound::Config,
    material: Option<Arc<Material>>,
    inventory: Inventory,
    /// Made for the first call. All calls have this one, so that they share connections.
    client: OnceLock<Option<Arc<Client>>>,
}

impl Private {
    /// Opens what calls to `url` need.
    pub fn check(&self, url: &Url, ca: Option<&FilePath>, problems: &mut Problems) {
        if !url.is_encrypted() {
            if ca.is_some() {
                let message = "an `http://` URL is fetched without TLS, so these CAs are not asked";
                problems.warning(&["ca"], message);
            }
            return;
        }
        let config = outbound::Config::believing(ca.cloned());
        let opened = config.open(problems);
        // Whoever checks a block twice finds the same.
        let _ = self.0.set(Opened {
            config,
            material: opened.material,
            inventory: opened.inventory,
            client: OnceLock::new(),
        });
    }

    /// None where there is no TLS, and before the check.
    pub fn client(&self) -> Option<Arc<Client>> {
        let opened = self.0.get()?;
        let material = opened.material.as_ref()?;
        let make = || Client::next(&opened.config, material, None);
        opened.client.get_or_init(make).clone()
    }

    /// What the files hold.
    pub fn inventory(&self) -> Option<&Inventory> {
        Some(&self.0.get()?.inventory)
    }
}

impl PartialEq for Private {
    fn eq(&self, other: &Self) -> bool {
        match (self.0.get(), other.0.get()) {
            (None, None) => true,
            (Some(this), Some(other)) => match (&this.material, &other.material) {
                (Some(this), Some(other)) => this.believes_like(other),
                (this, other) => this.is_none() && other.is_none(),
            },
            _ => false,
        }
    }
}
