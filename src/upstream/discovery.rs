//! From configured endpoints to addresses.

use serde::{Deserialize, Serialize};

/// `discovery`
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Discovery {
    #[default]
    Dns,
    Srv,
    Static,
}
