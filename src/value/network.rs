//! Networks, and lists of them.

use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use serde::de::Deserializer;
use serde::{Deserialize, Serialize};

use super::text;
use crate::value::Wrong;

/// A network such as `"10.0.0.0/8"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Network(pub IpNet);

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text(deserializer, "a network such as \"10.0.0.0/8\"")
    }
}

impl FromStr for Network {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Self, Wrong> {
        network(text).map(Network)
    }
}

/// Reads a list of networks, for `deserialize_with`.
///
/// # Errors
/// A sentence for the first that is none, and how to write it.
pub fn networks<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpNet>, D::Error> {
    let networks = Vec::<Network>::deserialize(deserializer)?;
    Ok(networks.into_iter().map(|network| network.0).collect())
}

fn network(text: &str) -> Result<IpNet, Wrong> {
    text.parse().map_err(|_| match text.parse::<IpAddr>() {
        // One address alone might be a network whose length was forgotten.
        Ok(address) => {
            let alone = IpNet::from(address);
            Wrong::new(format!("`{text}` has no length"))
                .help(format!("write \"{alone}\" for this address alone"))
        }
        Err(_) => Wrong::new(format!("`{text}` is not a network"))
            .help("write it like \"10.0.0.0/8\" or \"fd00::/8\""),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_say_how_to_mend_them() {
        assert!(network("10.0.0.0/8").is_ok());
        for (text, says) in [
            ("10.0.0.1", "\"10.0.0.1/32\""),
            ("::1", "\"::1/128\""),
            ("10.0.0.0/33", "is not a network"),
            ("10.0.0.0/8 ", "is not a network"),
            ("any", "is not a network"),
        ] {
            let error = network(text).expect_err(text);
            assert!(error.to_string().contains(says), "{text}: {error}");
        }
    }
}
