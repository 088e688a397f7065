//! One address of an upstream.

use serde::{Deserialize, Deserializer, Serialize};

use crate::value::text_or_table;

/// An entry of `endpoints`.
#[derive(Clone, Debug, Serialize, PartialEq)]
pub struct EndpointConfig {
    /// `host:port`
    pub address: String,
    /// Share of the requests, relative to the other endpoints.
    pub weight: u32,
}

impl<'de> Deserialize<'de> for EndpointConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Table {
            address: String,
            #[serde(default = "one")]
            weight: u32,
        }

        text_or_table(
            deserializer,
            "\"host:port\" or `{ address = \"host:port\", weight = 2 }`",
            |address| {
                Ok(EndpointConfig {
                    address: address.to_owned(),
                    weight: one(),
                })
            },
            |Table { address, weight }| EndpointConfig { address, weight },
        )
    }
}

fn one() -> u32 {
    1
}
