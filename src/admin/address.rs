//! Where the admin API listens, if it does.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::listener::ListenAddress;
use crate::value::{Wrong, text_relative_to_file};

/// An address to listen on, or `"none"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminAddress(pub Option<ListenAddress>);

impl FromStr for AdminAddress {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Self, Wrong> {
        match text {
            "none" => Ok(AdminAddress(None)),
            "" | "off" | "false" => Err(Wrong::new(format!(
                "`{text}` is not an address to listen on"
            ))
            .help("write \"none\" to turn it off")),
            text => text.parse().map(|address| AdminAddress(Some(address))),
        }
    }
}

impl<'de> Deserialize<'de> for AdminAddress {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text_relative_to_file(
            deserializer,
            "an address such as \"127.0.0.1:15000\", or \"none\"",
        )
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
