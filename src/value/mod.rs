//! Config values that more than one room uses: durations, sizes, names, secrets, switches.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};

pub mod captures;
pub mod exposition;
mod header_name;
mod network;
mod padding;
pub mod problem;
pub mod regular;
mod relative;
mod secret;
pub mod template;
mod wrong;

pub use header_name::read_header_name;
pub use network::networks;
pub use padding::unpadded;
pub use relative::{
    FilePath, LONGEST_SOCKET_PATH, Relative, relative_to_file, text_relative_to_file,
};
pub use secret::{CREDENTIALS, REDACTED, SECRET, Secret, SecretText, names_a_secret};
pub use wrong::Wrong;

/// A length of time, written `"250ms"`, `"2s"`, `"5m"` or `"1h"`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Duration(pub std::time::Duration);

/// The longest duration, 365 days. An instant that far away can be computed with.
const LONGEST: std::time::Duration = std::time::Duration::from_secs(365 * 24 * 60 * 60);

impl Duration {
    pub const fn from_secs(secs: u64) -> Self {
        Duration(std::time::Duration::from_secs(secs))
    }

    pub const fn from_millis(millis: u64) -> Self {
        Duration(std::time::Duration::from_millis(millis))
    }
}

impl FromStr for Duration {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Self, Wrong> {
        if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(Wrong::new(format!("`{text}` has no unit")).help(format!(
                "write \"{text}s\" for seconds or \"{text}ms\" for milliseconds"
            )));
        }
        let length = humantime::parse_duration(text).map_err(|_| {
            Wrong::new(format!("`{text}` is not a duration"))
                .help("write it like \"250ms\", \"2s\", \"5m\" or \"1h\"")
        })?;
        // Nothing here is meant to take months, and whoever writes `5M` means minutes.
        if text.contains('M') {
            let minutes = text.replace('M', "m");
            return Err(Wrong::new(format!("`{text}` means months"))
                .help(format!("write \"{minutes}\" for minutes")));
        }
        if length > LONGEST {
            return Err(Wrong::new(format!("`{text}` is too long"))
                .help("the longest duration is 365 days"));
        }
        Ok(Duration(length))
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.0).fmt(f)
    }
}

/// A length of time, or `"none"` for no limit.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Limit(pub Option<std::time::Duration>);

impl Limit {
    pub const NONE: Limit = Limit(None);

    pub const fn from_secs(secs: u64) -> Self {
        Limit(Some(std::time::Duration::from_secs(secs)))
    }
}

impl FromStr for Limit {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Self, Wrong> {
        match text {
            "none" => Ok(Limit::NONE),
            text => Ok(Limit(Some(text.parse::<Duration>()?.0))),
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(length) => Duration(length).fmt(f),
            None => f.write_str("none"),
        }
    }
}

/// A number of bytes, written `"64KiB"` or `"1MiB"`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

impl FromStr for ByteSize {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Self, Wrong> {
        if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(Wrong::new(format!("`{text}` has no unit")).help(format!(
                "write \"{text}B\" for bytes or \"{text}KiB\" for kibibytes"
            )));
        }
        text.parse::<bytesize::ByteSize>()
            .map(|size| ByteSize(size.as_u64()))
            .map_err(|_| {
                Wrong::new(format!("`{text}` is not a size"))
                    .help("write it like \"64KiB\" or \"1MiB\"")
            })
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            n if n > 0 && n % (1 << 20) == 0 => write!(f, "{}MiB", n >> 20),
            n if n > 0 && n % (1 << 10) == 0 => write!(f, "{}KiB", n >> 10),
            n => write!(f, "{n}B"),
        }
    }
}

/// The name of a table such as `[routes.NAME]`: `[a-z0-9][a-z0-9_-]{0,62}`. It becomes a metric label.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(std::sync::Arc<str>);

impl Name {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name, shared.
    pub fn shared(&self) -> std::sync::Arc<str> {
        self.0.clone()
    }
}

impl FromStr for Name {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Self, Wrong> {
        let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-';
        let good = text.len() <= 63
            && text.bytes().all(inner)
            && text.bytes().next().is_some_and(|b| b != b'_' && b != b'-');
        if good {
            Ok(Name(text.into()))
        } else {
            Err(Wrong::new(format!("`{text}` is not a name"))
                .help("write 1 to 63 of a-z, 0-9, `_` and `-`, starting with a letter or digit"))
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A switch: a table turns it on, `false` turns it (or its default) off.
#[derive(Clone, Debug, PartialEq)]
pub enum Toggle<T> {
    Off,
    On(T),
}

impl<T> Toggle<T> {
    pub fn on(&self) -> Option<&T> {
        match self {
            Toggle::Off => None,
            Toggle::On(value) => Some(value),
        }
    }
}

impl<T: Serialize> Serialize for Toggle<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Toggle::Off => serializer.serialize_bool(false),
            Toggle::On(value) => value.serialize(serializer),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Toggle<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ToggleVisitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for ToggleVisitor<T> {
            type Value = Toggle<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("its settings, or `false` to turn it off")
            }

            fn visit_bool<E: de::Error>(self, on: bool) -> Result<Self::Value, E> {
                match on {
                    false => Ok(Toggle::Off),
                    true => Err(E::invalid_type(de::Unexpected::Bool(true), &self)),
                }
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Self::Value, E> {
                T::deserialize(number.into_deserializer()).map(Toggle::On)
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Self::Value, E> {
                T::deserialize(number.into_deserializer()).map(Toggle::On)
            }

            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Self::Value, E> {
                T::deserialize(number.into_deserializer()).map(Toggle::On)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                T::deserialize(de::value::StrDeserializer::new(text)).map(Toggle::On)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Toggle::On)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
                T::deserialize(List(seq)).map(Toggle::On)
            }
        }

        deserializer.deserialize_any(ToggleVisitor(PhantomData))
    }
}

/// A list that is handed on. A derived struct would accept a list of its fields; nobody writes that on purpose.
struct List<A>(A);

impl<'de, A: SeqAccess<'de>> Deserializer<'de> for List<A> {
    type Error = A::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, A::Error> {
        visitor.visit_seq(self.0)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        Err(de::Error::invalid_type(de::Unexpected::Seq, &visitor))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

/// One value or a list of them.
#[derive(Clone, Debug, PartialEq)]
pub struct OneOrMany<T>(pub Vec<T>);

impl<T: Serialize> Serialize for OneOrMany<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOrMany<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ManyVisitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for ManyVisitor<T> {
            type Value = OneOrMany<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("one value or a list")
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Self::Value, E> {
                T::deserialize(number.into_deserializer()).map(|v| OneOrMany(vec![v]))
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Self::Value, E> {
                T::deserialize(number.into_deserializer()).map(|v| OneOrMany(vec![v]))
            }

            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Self::Value, E> {
                T::deserialize(number.into_deserializer()).map(|v| OneOrMany(vec![v]))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                T::deserialize(de::value::StrDeserializer::new(text)).map(|v| OneOrMany(vec![v]))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(|v| OneOrMany(vec![v]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
                Vec::deserialize(de::value::SeqAccessDeserializer::new(seq)).map(OneOrMany)
            }
        }

        deserializer.deserialize_any(ManyVisitor(PhantomData))
    }
}

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

struct TextVisitor<T>(&'static str, PhantomData<T>);

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

text_value! {
    Duration, "a duration such as \"250ms\", \"2s\" or \"5m\"";
    Limit, "a duration such as \"250ms\" or \"2s\", or \"none\"";
    ByteSize, "a size such as \"64KiB\" or \"1MiB\"";
    Name, "a name";
}
