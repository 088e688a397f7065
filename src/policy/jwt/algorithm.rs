//! Which signatures are believed (RFC 7518, section 3.1, and RFC 8037): none that whoever verifies could have made.

use jsonwebtoken::Algorithm;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::value::{Wrong, text};

const ALL: [(&str, Algorithm); 9] = [
    ("RS256", Algorithm::RS256),
    ("RS384", Algorithm::RS384),
    ("RS512", Algorithm::RS512),
    ("PS256", Algorithm::PS256),
    ("PS384", Algorithm::PS384),
    ("PS512", Algorithm::PS512),
    ("ES256", Algorithm::ES256),
    ("ES384", Algorithm::ES384),
    ("EdDSA", Algorithm::EdDSA),
];

/// An entry of `algorithms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AlgorithmName(Algorithm);

/// The algorithm of this name, if it is one that may be believed.
pub(super) fn named(name: &str) -> Option<Algorithm> {
    ALL.iter()
        .find(|(known, _)| *known == name)
        .map(|(_, algorithm)| *algorithm)
}

/// All, where the config names none.
pub(super) fn allowed(names: Option<&[AlgorithmName]>) -> Vec<Algorithm> {
    match names {
        Some(names) => names.iter().map(|name| name.0).collect(),
        None => ALL.iter().map(|(_, algorithm)| *algorithm).collect(),
    }
}

impl std::str::FromStr for AlgorithmName {
    type Err = Wrong;

    fn from_str(name: &str) -> Result<Self, Wrong> {
        if let Some(algorithm) = named(name) {
            return Ok(AlgorithmName(algorithm));
        }
        let known: Vec<_> = ALL.iter().map(|(name, _)| *name).collect();
        let known = known.join(", ");
        match name {
            "HS256" | "HS384" | "HS512" => Err(Wrong::new(format!(
                "`{name}` lets everyone who can verify a token make one"
            ))
            .help(format!("write some of {known}"))),
            "none" => {
                Err(Wrong::new("`none` is no signature").help(format!("write some of {known}")))
            }
            name => Err(
                Wrong::new(format!("`{name}` is not an algorithm known here"))
                    .help(format!("write some of {known}")),
            ),
        }
    }
}

impl std::fmt::Display for AlgorithmName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = ALL.iter().find(|(_, algorithm)| *algorithm == self.0);
        f.write_str(name.map_or("", |(name, _)| name))
    }
}

impl<'de> Deserialize<'de> for AlgorithmName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text(deserializer, "an algorithm such as \"RS256\"")
    }
}

impl Serialize for AlgorithmName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
