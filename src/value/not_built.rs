//! Keys that are known, and not built yet.

use serde::de::{self, Deserializer};
use serde::{Deserialize, Serialize, Serializer};

/// A key that belongs to the config's contract and that this version does not have yet: setting it is an error,
/// so that nobody relies on something that is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotBuilt {}

/// What [`NotBuilt`] answers, word for word, so that the config can tell it from other errors.
pub const NOT_BUILT: &str = "known, but not built yet in this version";

impl<'de> Deserialize<'de> for NotBuilt {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(de::Error::custom(NOT_BUILT))
    }
}

impl Serialize for NotBuilt {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        match *self {}
    }
}
