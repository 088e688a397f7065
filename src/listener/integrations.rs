//! `integrations` of a listener: whether routes can be executed there by their names.

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};

use crate::value::ByteSize;

/// `integrations`: `true`, `false`, or a table that turns it on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct IntegrationsConfig(pub Option<Integrations>);

/// What can be done there.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct Integrations {
    /// Let whoever connects register routes.
    pub register: bool,
    /// The largest document that says what is to be executed.
    pub max_body: ByteSize,
    /// The largest answer of a route that is put into an envelope.
    pub max_answer: ByteSize,
}

impl Default for Integrations {
    fn default() -> Self {
        Integrations {
            register: false,
            max_body: ByteSize(1 << 20),
            max_answer: ByteSize(4 << 20),
        }
    }
}

impl Serialize for IntegrationsConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            None => serializer.serialize_bool(false),
            Some(settings) => settings.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for IntegrationsConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Settings;

        impl<'de> Visitor<'de> for Settings {
            type Value = IntegrationsConfig;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`true`, `false`, or a table such as { register = true }")
            }

            fn visit_bool<E: de::Error>(self, on: bool) -> Result<Self::Value, E> {
                Ok(IntegrationsConfig(on.then(Integrations::default)))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                let settings = Integrations::deserialize(MapAccessDeserializer::new(map))?;
                Ok(IntegrationsConfig(Some(settings)))
            }
        }

        deserializer.deserialize_any(Settings)
    }
}
