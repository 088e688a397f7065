//! Values that are written as text.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserializer, MapAccess, Visitor};

use super::Wrong;

/// Reads the text form of a `T`. `expecting` is told where something else stands.
///
/// # Errors
/// What `T` says about the text.
pub fn text<'de, D, T>(deserializer: D, expecting: &'static str) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: fmt::Display>,
{
    deserializer.deserialize_str(TextVisitor(expecting, PhantomData))
}

/// What is wrong with text that has a variable in it, where none is taken: some who come from a shell or a template
/// expect that.
pub fn variable_in(text: &str) -> Option<Wrong> {
    (text.contains("${") || text.starts_with('$')).then(|| {
        Wrong::new(format!(
            "`{text}` has a variable in it, and this file is taken as it stands"
        ))
        .help("write the value itself")
    })
}

pub(super) struct TextVisitor<T>(pub &'static str, pub PhantomData<T>);

impl<'de, T: FromStr<Err: fmt::Display>> Visitor<'de> for TextVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<T, D::Error> {
        inner.deserialize_str(self)
    }
}

/// Reads a value that may be written as text for short, or as a table `B` in full.
///
/// Unlike serde's untagged enums it says what is wrong inside the table, and where.
///
/// # Errors
/// What `from_text` says about the text, what `B` says about the table; `expecting` for anything else.
pub fn text_or_table<'de, D, B, T>(
    deserializer: D,
    expecting: &'static str,
    from_text: impl FnOnce(&str) -> Result<T, Wrong>,
    from_table: impl FnOnce(B) -> T,
) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    B: Deserialize<'de>,
{
    struct EitherVisitor<B, T, F, G> {
        expecting: &'static str,
        from_text: F,
        from_table: G,
        result: PhantomData<(B, T)>,
    }

    impl<'de, B, T, F, G> Visitor<'de> for EitherVisitor<B, T, F, G>
    where
        B: Deserialize<'de>,
        F: FnOnce(&str) -> Result<T, Wrong>,
        G: FnOnce(B) -> T,
    {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.expecting)
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
            (self.from_text)(text).map_err(E::custom)
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
            B::deserialize(MapAccessDeserializer::new(map)).map(self.from_table)
        }
    }

    deserializer.deserialize_any(EitherVisitor {
        expecting,
        from_text,
        from_table,
        result: PhantomData,
    })
}

/// Gives a type with `FromStr` and `Display` the same text form in the config.
macro_rules! text_value {
    ($($type:ty, $expecting:literal;)*) => {$(
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                text(deserializer, $expecting)
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{self}")
            }
        }
    )*};
}

pub(super) use text_value;
