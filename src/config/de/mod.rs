//! Serde over a config's tree: rooms' blocks stay plain structs, and every error arrives with its key path.

use std::borrow::Cow;
use std::cell::Cell;

use serde::de::{
    self, DeserializeSeed, Deserializer, EnumAccess, Error as _, IntoDeserializer, MapAccess,
    SeqAccess, Unexpected, VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use super::source::Source;
use super::suggest::any_of;
use super::tree::{Node, Table, Value};
use crate::value::{self, Relative};

mod error;

pub(super) use error::{Error, Kind};

/// Reads one block, which stands in `sources`.
pub(super) fn read<T: de::DeserializeOwned>(node: &Node, sources: &[Source]) -> Result<T, Error> {
    T::deserialize(From::whole(node, sources)).map_err(Error::arrived)
}

/// Reads a block that shares its table with another one: keys that it does not know are left alone. `known`
/// becomes the keys that it knows.
pub(super) fn read_part<T: de::DeserializeOwned>(
    node: &Node,
    sources: &[Source],
    known: &Cell<&'static [&'static str]>,
) -> Result<T, Error> {
    let part = From {
        known: Some(known),
        ..From::whole(node, sources)
    };
    T::deserialize(part).map_err(Error::arrived)
}

struct From<'a> {
    node: &'a Node,
    sources: &'a [Source],
    /// Set where only the keys that the struct knows are handed out.
    known: Option<&'a Cell<&'static [&'static str]>>,
    /// Which text is a path that counts from the directory of the file.
    relative: Option<Relative>,
}

impl<'a> From<'a> {
    fn whole(node: &'a Node, sources: &'a [Source]) -> Self {
        From {
            node,
            sources,
            known: None,
            relative: None,
        }
    }

    fn text(&self, text: &'a str) -> Result<Cow<'a, str>, Error> {
        let Some((source, relative)) = self.sources.get(self.node.place.source).zip(self.relative)
        else {
            return Ok(Cow::Borrowed(text));
        };
        match relative {
            Relative::Address => source.whole_address(text),
            Relative::File => source.named_file(text),
            Relative::Directory => source.whole_directory(text),
        }
        .map_err(Error::custom)
    }
}

impl<'de> Deserializer<'de> for From<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.node.value {
            Value::Text(text) => visitor.visit_str(&self.text(text)?),
            Value::Integer(Some(number)) => {
                let number = *number;
                match (i64::try_from(number), u64::try_from(number)) {
                    (Ok(number), _) => visitor.visit_i64(number),
                    (_, Ok(number)) => visitor.visit_u64(number),
                    _ => Err(Error::invalid_type(TOO_LARGE, &visitor)),
                }
            }
            Value::Integer(None) => Err(Error::invalid_type(TOO_LARGE, &visitor)),
            Value::Float(number) => visitor.visit_f64(*number),
            Value::Boolean(value) => visitor.visit_bool(*value),
            Value::Date => Err(Error::invalid_type(Unexpected::Other("a date"), &visitor)),
            Value::List(items) => visitor.visit_seq(Items {
                rest: items.iter().enumerate(),
                sources: self.sources,
            }),
            Value::Table(table) => visitor.visit_map(Entries::new(table, self.sources, None)),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        keys: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match (&self.node.value, self.known) {
            (Value::Table(table), Some(known)) => {
                known.set(keys);
                visitor.visit_map(Entries::new(table, self.sources, Some(keys)))
            }
            // A derived struct would accept a list of its fields; nobody writes that on purpose.
            (Value::List(_), _) => Err(Error::invalid_type(Unexpected::Seq, &visitor)),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        if name == value::SECRET
            && let Some(source) = self.sources.get(self.node.place.source)
        {
            source.hide(self.node);
        }
        let relative = self.relative.or_else(|| Relative::asked_by(name));
        visitor.visit_newtype_struct(From { relative, ..self })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        choices: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let choice = match &self.node.value {
            Value::Text(name) => Choice {
                name,
                sources: self.sources,
                content: None,
            },
            Value::Table(table) => {
                let mut live = table.iter().filter(|(_, entry)| !entry.node.removed);
                match (live.next(), live.next()) {
                    (Some((name, entry)), None) => Choice {
                        name,
                        sources: self.sources,
                        content: Some(&entry.node),
                    },
                    (None, _) => return Err(not_one_of(choices, "an empty table")),
                    _ => return Err(not_one_of(choices, "a table of several keys")),
                }
            }
            _ => return Err(not_one_of(choices, self.node.words())),
        };
        visitor.visit_enum(choice)
    }

    /// Serde asks for this when a struct takes any key. None of ours may: a key is never passed over.
    fn deserialize_ignored_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(Error {
            at_key: true,
            ..Error::unknown_key("", &[])
        })
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map identifier
    }
}

const TOO_LARGE: Unexpected<'static> = Unexpected::Other("a number that is too large");

fn not_one_of(choices: &'static [&'static str], found: &str) -> Error {
    Error::new(Kind::Unfit {
        found: found.to_owned(),
        expected: any_of(choices.iter().copied()),
    })
}

struct Entries<'a> {
    rest: std::collections::btree_map::Iter<'a, String, super::tree::Entry>,
    sources: &'a [Source],
    only: Option<&'static [&'static str]>,
    current: Option<(&'a str, &'a Node)>,
}

impl<'a> Entries<'a> {
    fn new(table: &'a Table, sources: &'a [Source], only: Option<&'static [&'static str]>) -> Self {
        Entries {
            rest: table.iter(),
            sources,
            only,
            current: None,
        }
    }

    fn wanted(&self, key: &str, node: &Node) -> bool {
        !node.removed && self.only.is_none_or(|only| only.contains(&key))
    }
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Error> {
        while let Some((key, entry)) = self.rest.next() {
            if self.wanted(key, &entry.node) {
                self.current = Some((key, &entry.node));
                let key: &str = key;
                return seed
                    .deserialize(IntoDeserializer::<Error>::into_deserializer(key))
                    .map(Some)
                    .map_err(|error| error.in_key(key));
            }
        }
        Ok(None)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Error> {
        let (key, node) = self
            .current
            .take()
            .ok_or_else(|| Error::custom("a value was asked for before its key"))?;
        seed.deserialize(From::whole(node, self.sources))
            .map_err(|error| error.under(key))
    }
}

struct Items<'a> {
    rest: std::iter::Enumerate<std::slice::Iter<'a, Node>>,
    sources: &'a [Source],
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Error> {
        match self.rest.find(|(_, node)| !node.removed) {
            None => Ok(None),
            Some((index, node)) => seed
                .deserialize(From::whole(node, self.sources))
                .map(Some)
                .map_err(|error| error.under(&index.to_string())),
        }
    }
}

/// `"peak-ewma"`, or `{ hash = "header:x-user" }`.
struct Choice<'a> {
    name: &'a str,
    sources: &'a [Source],
    content: Option<&'a Node>,
}

impl<'de> EnumAccess<'de> for Choice<'_> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), Error> {
        seed.deserialize(IntoDeserializer::<Error>::into_deserializer(self.name))
            .map(|chosen| (chosen, Choice { ..self }))
            .map_err(|error| match self.content {
                Some(_) => error.in_key(self.name),
                None => error,
            })
    }
}

impl Choice<'_> {
    /// Lets `read` have what stands under the name.
    fn content<T>(self, read: impl FnOnce(From<'_>) -> Result<T, Error>) -> Result<T, Error> {
        match self.content {
            Some(node) => {
                read(From::whole(node, self.sources)).map_err(|error| error.under(self.name))
            }
            None => Err(Error::custom(format!(
                "`{0}` needs a value: write `{{ {0} = ... }}`",
                self.name
            ))),
        }
    }
}

impl<'de> VariantAccess<'de> for Choice<'_> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        match self.content {
            None => Ok(()),
            Some(_) => Err(Error::custom(format!(
                "`{0}` takes no value: write `\"{0}\"`",
                self.name
            ))),
        }
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Error> {
        self.content(|from| seed.deserialize(from))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        self.content(|from| from.deserialize_any(visitor))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        keys: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.content(|from| from.deserialize_struct("", keys, visitor))
    }
}
