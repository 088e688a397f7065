//! The admin API.

use serde::{Deserialize, Serialize};

use crate::listener::ListenAddress;
use crate::value::NotBuilt;

/// `[admin]`
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The whole admin API; loopback or `"unix:/path"` unless `allow_remote`; `"none"` = off.
    pub listen: AdminAddress,
    /// Only `/livez`, `/readyz` and `/metrics`, for kubelet and Prometheus; `"none"` = off.
    pub probe_listen: AdminAddress,
    /// Let `listen` be an address that other machines reach.
    pub allow_remote: bool,
    #[serde(skip_serializing)]
    pub writable_dir: Option<NotBuilt>,
    #[serde(skip_serializing)]
    pub state_dir: Option<NotBuilt>,
}

/// An address to listen on, or `"none"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminAddress(pub Option<ListenAddress>);

impl<'de> Deserialize<'de> for AdminAddress {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        match &*text {
            "none" => Ok(AdminAddress(None)),
            text => text
                .parse()
                .map(|a| AdminAddress(Some(a)))
                .map_err(serde::de::Error::custom),
        }
    }
}

impl Serialize for AdminAddress {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Some(address) => address.serialize(serializer),
            None => serializer.serialize_str("none"),
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Config {
            listen: AdminAddress(Some(ListenAddress::Tcp(([127, 0, 0, 1], 15000).into()))),
            probe_listen: AdminAddress(Some(ListenAddress::Tcp(([0, 0, 0, 0], 15021).into()))),
            allow_remote: false,
            writable_dir: None,
            state_dir: None,
        }
    }
}
