//! Paths in a config that count from the file that names them.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};

use super::TextVisitor;

/// The longest path of a unix socket, in bytes: `sun_path` without its final NUL (unix(7)).
pub const LONGEST_SOCKET_PATH: usize = 107;

/// The name under which a value asks its deserializer to look at text of the form `unix:PATH`.
const RELATIVE_TO_FILE: &str = "outrigger::relative-to-file";

/// Whether `name`, given to `deserialize_newtype_struct`, asks that text `unix:PATH` be handed out with a whole
/// path, counted from the directory of the file in which the text stands. Lists and tables are not entered.
pub fn is_relative_to_file(name: &str) -> bool {
    name == RELATIVE_TO_FILE
}

/// Reads a `T` that may be text `unix:PATH`, where the path counts from the directory of the config file.
///
/// The config's own deserializer knows that directory; every other one hands the text out as it is. It has to be
/// asked itself, so this does not reach through a [`Toggle`] or [`OneOrMany`] to a text that stands there alone.
///
/// # Errors
/// Those of `T`.
pub fn relative_to_file<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    struct Inner<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for Inner<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("text")
        }

        fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<T, D::Error> {
            T::deserialize(inner)
        }

        /// Serde's deserializers of a single text do not announce the newtype.
        fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
            T::deserialize(de::value::StrDeserializer::new(text))
        }
    }

    deserializer.deserialize_newtype_struct(RELATIVE_TO_FILE, Inner(PhantomData))
}

/// [`text`](super::text) that may be `unix:PATH`, as [`relative_to_file`] reads it.
///
/// # Errors
/// What `T` says about the text.
pub fn text_relative_to_file<'de, D, T>(
    deserializer: D,
    expecting: &'static str,
) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: fmt::Display>,
{
    deserializer.deserialize_newtype_struct(RELATIVE_TO_FILE, TextVisitor(expecting, PhantomData))
}
