//! A scanned document as the library of JSON Schema wants one, so that nothing is copied to judge it.

use std::borrow::Cow;

use jsonschema::JsonType;
use jsonschema::json::{self, Json, JsonNumber, NodeIdentity};
use serde_json::{Number, Value};

use crate::policy::body::document::{Fields, Items, Kind, Node, Tape};

/// How instances are represented: as nodes of a [`Tape`].
pub struct Scanned;

impl Json for Scanned {
    type Node<'a> = Node<'a>;
    type PreparedKey = String;
    /// A lookup passes over the fields one by one, so a pass over all of them is as good as never dearer.
    const KEYS_PER_LOOKUP: usize = 1 << 16;
    type StringBuffer = Tape<'static>;

    fn prepare_key(key: &str) -> String {
        key.to_owned()
    }

    fn with_string_node<T>(
        buffer: &mut Tape<'static>,
        string: &str,
        f: impl FnOnce(Node<'_>) -> T,
    ) -> T {
        *buffer = Tape::of_string(string);
        f(buffer.root())
    }
}

impl<'a> json::Node<'a, Scanned> for Node<'a> {
    type Object = Object<'a>;
    type Array = List<'a>;
    type Number = Digits<'a>;

    fn as_object(&self) -> Option<Object<'a>> {
        (self.kind() == Kind::Object).then_some(Object(*self))
    }

    fn as_array(&self) -> Option<List<'a>> {
        (self.kind() == Kind::List).then_some(List(*self))
    }

    fn as_string(&self) -> Option<Cow<'a, str>> {
        (self.kind() == Kind::String).then(|| self.string())
    }

    fn as_number(&self) -> Option<Digits<'a>> {
        (self.kind() == Kind::Number).then(|| Digits(self.number()))
    }

    fn as_boolean(&self) -> Option<bool> {
        (self.kind() == Kind::Bool).then(|| self.is_true())
    }

    fn is_null(&self) -> bool {
        self.kind() == Kind::Null
    }

    fn is_number(&self) -> bool {
        self.kind() == Kind::Number
    }

    fn json_type(&self) -> JsonType {
        match self.kind() {
            Kind::Null => JsonType::Null,
            Kind::Bool => JsonType::Boolean,
            Kind::Number => JsonType::Number,
            Kind::String => JsonType::String,
            Kind::List => JsonType::Array,
            Kind::Object => JsonType::Object,
        }
    }

    fn to_value(&self) -> Cow<'a, Value> {
        Cow::Owned(Node::to_value(*self))
    }

    fn identity(&self) -> Option<NodeIdentity> {
        let address = std::ptr::from_ref(self.tape()) as usize;
        Some(NodeIdentity::tagged(address, self.index()))
    }
}

/// A number as it is written.
pub struct Digits<'a>(Cow<'a, str>);

impl Digits<'_> {
    fn is_plain_integer(&self) -> bool {
        let digits = self.0.strip_prefix('-').unwrap_or(&self.0);
        digits.bytes().all(|digit| digit.is_ascii_digit())
    }
}

impl JsonNumber for Digits<'_> {
    fn as_u64(&self) -> Option<u64> {
        self.0.parse().ok()
    }

    fn as_i64(&self) -> Option<i64> {
        self.0.parse().ok()
    }

    fn as_f64(&self) -> Option<f64> {
        let number = self.0.parse().ok();
        number.filter(|number: &f64| number.is_finite())
    }

    fn as_str(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.0)
    }

    fn to_number(&self) -> Cow<'_, Number> {
        // The scan has seen to it that it is one.
        Cow::Owned(self.0.parse().unwrap_or_else(|_| Number::from(0)))
    }

    fn is_integer(&self) -> bool {
        self.is_plain_integer() || self.to_number().is_integer()
    }
}

pub struct Object<'a>(Node<'a>);

impl<'a> json::Object<'a, Scanned> for Object<'a> {
    type Node = Node<'a>;
    type MemberName = Cow<'a, str>;
    type MembersIter = Members<'a>;

    fn len(&self) -> usize {
        self.0.fields().count()
    }

    fn is_empty(&self) -> bool {
        !self.0.has_parts()
    }

    fn get(&self, key: &String) -> Option<Node<'a>> {
        self.0.get(key)
    }

    fn members(&self) -> Members<'a> {
        Members(self.0.fields())
    }
}

pub struct Members<'a>(Fields<'a>);

impl<'a> Iterator for Members<'a> {
    type Item = (Cow<'a, str>, Node<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(|(key, value)| (key.string(), value))
    }
}

pub struct List<'a>(Node<'a>);

impl<'a> json::Array<'a, Scanned> for List<'a> {
    type Node = Node<'a>;
    type ElementsIter = Items<'a>;

    fn len(&self) -> usize {
        self.0.items().count()
    }

    fn elements(&self) -> Items<'a> {
        self.0.items()
    }
}
