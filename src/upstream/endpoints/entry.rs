//! An entry of `endpoints`.

use serde::ser::SerializeStruct;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::destination::{Destination, Discovery};
use crate::value::{Wrong, relative_to_file, text_or_table};

/// The largest `weight` of an endpoint.
pub const MAX_WEIGHT: u32 = 1000;

/// An entry of `endpoints`: `"host:port"` or `{ address = "host:port", weight = 2 }`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointConfig {
    /// `host:port`, `ip:port`, `[ipv6]:port`, `unix:/path`; with `discovery = "srv"` the name of a service.
    pub address: String,
    /// Share of the requests, relative to the other endpoints: 1 to 1000. A host name with several addresses
    /// has this weight once for each of them.
    pub weight: u32,
}

impl EndpointConfig {
    /// What this entry points at when names are found by `discovery`.
    ///
    /// # Errors
    /// What is wrong with the address, and how to write it.
    pub fn destination(&self, discovery: Discovery) -> Result<Destination, Wrong> {
        Destination::parse(&self.address, discovery)
    }
}

impl<'de> Deserialize<'de> for EndpointConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Table {
            #[serde(deserialize_with = "relative_to_file")]
            address: String,
            #[serde(default = "one")]
            weight: u32,
        }

        struct Entry(EndpointConfig);

        impl<'de> Deserialize<'de> for Entry {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
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
                .map(Entry)
            }
        }

        relative_to_file(deserializer).map(|Entry(endpoint)| endpoint)
    }
}

fn one() -> u32 {
    1
}

impl Serialize for EndpointConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.weight == 1 {
            return serializer.serialize_str(&self.address);
        }
        let mut table = serializer.serialize_struct("EndpointConfig", 2)?;
        table.serialize_field("address", &self.address)?;
        table.serialize_field("weight", &self.weight)?;
        table.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_text_or_a_table() {
        #[derive(Deserialize, Serialize, PartialEq, Debug)]
        struct Block {
            endpoints: Vec<EndpointConfig>,
        }
        let text = r#"endpoints = ["a:1", { address = "b:2" }, { address = "c:3", weight = 7 }]"#;
        let block: Block = toml::from_str(text).unwrap();
        let weights: Vec<u32> = block.endpoints.iter().map(|e| e.weight).collect();
        assert_eq!(weights, [1, 1, 7]);
        assert_eq!(
            serde_json::to_string(&block.endpoints).unwrap(),
            r#"["a:1","b:2",{"address":"c:3","weight":7}]"#
        );
        let unknown = r#"endpoints = [{ address = "b:2", wieght = 2 }]"#;
        let error = toml::from_str::<Block>(unknown).unwrap_err().to_string();
        assert!(error.contains("unknown field `wieght`"), "{error}");
    }
}
