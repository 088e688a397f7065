//! What is opened of the blocks of policies: their secrets, key sets, schemas and CAs.

use std::any::Any;
use std::collections::BTreeMap;

use crate::tls;

/// What was made of what a block names. [`Blocks`](super::table::Blocks) find it by its type.
pub type Material = dyn Any + Send + Sync;

/// What was opened of each block, by its key.
#[derive(Clone, Debug, Default)]
pub struct Opened(pub(super) BTreeMap<&'static str, tls::Opened<Material>>);

impl Opened {
    /// The same, and what was opened of `[defaults]` for what is not set here.
    pub fn or(mut self, defaults: &Opened) -> Self {
        for (key, opened) in &defaults.0 {
            self.0.entry(key).or_insert_with(|| opened.clone());
        }
        self
    }
}
