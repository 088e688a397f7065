//! `authorize`: who may call.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::value::NotBuilt;

/// `authorize = { cidrs = ["10.0.0.0/8"] }`
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Config {
    #[serde(default, skip_serializing)]
    pub clients: Option<NotBuilt>,
    /// Networks that may call. A caller on a unix socket has no address and is refused.
    pub cidrs: Vec<IpNet>,
}
