//! A server whose URL is a secret, as that of a broker or a database: its block, and what was opened of it.

use std::sync::Arc;

use serde::Serialize;

use super::inventory::Inventory;
use super::outbound;
use crate::value::SecretText;
use crate::value::problem::Problems;

/// A block, and what was opened of it. Only this can be put to use. It serializes as it was written.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub struct Checked<C, K> {
    pub config: C,
    #[serde(skip)]
    opened: Opened<K>,
}

/// What was opened of a block.
#[derive(Clone, Debug)]
pub struct Opened<K> {
    /// The kind that the URL is for.
    pub kind: K,
    url: SecretText,
    /// How TLS is spoken, where it is.
    tls: Option<Arc<outbound::Client>>,
}

impl<K> Opened<K> {
    pub fn new(kind: K, url: SecretText, tls: Option<Arc<outbound::Client>>) -> Self {
        Opened { kind, url, tls }
    }
}

impl<C: PartialEq, K: Copy> Checked<C, K> {
    pub fn new(config: C, opened: Opened<K>) -> Self {
        Checked { config, opened }
    }

    pub fn kind(&self) -> K {
        self.opened.kind
    }

    /// The secret, for whoever connects.
    pub fn url(&self) -> &str {
        self.opened.url.reveal()
    }

    pub fn tls(&self) -> Option<&Arc<outbound::Client>> {
        self.opened.tls.as_ref()
    }

    /// Whether a client of `other` would be the same.
    pub fn is_like(&self, other: &Self) -> bool {
        let (a, b) = (&self.opened, &other.opened);
        let alike = match (&a.tls, &b.tls) {
            (None, None) => true,
            (Some(a), Some(b)) => a.is_like(b),
            _ => false,
        };
        self.config == other.config && a.url == b.url && alike
    }
}

/// Opens the `tls` of a block, or what holds without one, and notes the certificates that were found. None when it is not fit to
/// serve.
pub fn open(
    tls: Option<&outbound::Config>,
    problems: &mut Problems,
    inventory: &mut Inventory,
) -> Option<Arc<outbound::Client>> {
    let config = tls.cloned().unwrap_or_default();
    let opened = problems.within(&["tls"], |problems| config.open(problems));
    inventory.append(&["tls"], &opened.inventory);
    outbound::Client::next(&config, &*opened.material?, None)
}
