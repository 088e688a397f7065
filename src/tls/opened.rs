//! What comes of opening the files that a block names.

use std::sync::Arc;

use super::inventory::Inventory;

/// What was read from the files of a block when the config was checked: what serves is what was checked, even if the
/// files change in between.
#[derive(Debug)]
pub struct Opened<T> {
    /// None when a file is not fit to serve, which is an error of the config.
    pub material: Option<Arc<T>>,
    /// What was found in the files, also in those that are not fit.
    pub inventory: Inventory,
}
