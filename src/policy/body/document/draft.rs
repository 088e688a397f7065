//! A document that is being changed: parts that are as they came, and new ones around and between them.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::rc::Rc;

use serde_json::{Number, Value};

use super::TooLarge;
use super::tape::{Kind, Node, write_string};

/// To clone one is cheap: it shares its parts until one of them is changed.
#[derive(Clone, Debug)]
pub enum Draft<'a> {
    /// As it came.
    Node(Node<'a>),
    /// As the config has it.
    Given(&'a Value),
    Null,
    Bool(bool),
    Number(Number),
    String(Cow<'a, str>),
    List(Rc<Vec<Draft<'a>>>),
    Object(Rc<Fields<'a>>),
}

/// In order, and no name twice.
pub type Fields<'a> = Vec<(Cow<'a, str>, Draft<'a>)>;

impl<'a> Draft<'a> {
    pub fn list(items: Vec<Draft<'a>>) -> Self {
        Draft::List(items.into())
    }

    pub fn object(fields: Fields<'a>) -> Self {
        Draft::Object(fields.into())
    }

    pub fn kind(&self) -> Kind {
        match self {
            Draft::Node(node) => node.kind(),
            Draft::Given(value) => match value {
                Value::Null => Kind::Null,
                Value::Bool(_) => Kind::Bool,
                Value::Number(_) => Kind::Number,
                Value::String(_) => Kind::String,
                Value::Array(_) => Kind::List,
                Value::Object(_) => Kind::Object,
            },
            Draft::Null => Kind::Null,
            Draft::Bool(_) => Kind::Bool,
            Draft::Number(_) => Kind::Number,
            Draft::String(_) => Kind::String,
            Draft::List(_) => Kind::List,
            Draft::Object(_) => Kind::Object,
        }
    }

    pub fn is_null(&self) -> bool {
        self.kind() == Kind::Null
    }

    /// The value of a field.
    pub fn get(&self, name: &str) -> Option<Draft<'a>> {
        match self {
            Draft::Node(node) => node.get(name).map(Draft::Node),
            Draft::Given(value) => value.get(name).map(Draft::Given),
            Draft::Object(fields) => {
                let mut fields = fields.iter();
                let found = fields.find(|(key, _)| key == name);
                found.map(|(_, value)| value.clone())
            }
            _ => None,
        }
    }

    /// What is in a list; None when it is none.
    pub fn items(&self) -> Option<Box<dyn Iterator<Item = Draft<'a>> + '_>> {
        match self {
            Draft::Node(node) if node.kind() == Kind::List => {
                Some(Box::new(node.items().map(Draft::Node)))
            }
            Draft::Given(Value::Array(items)) => Some(Box::new(items.iter().map(Draft::Given))),
            Draft::List(items) => Some(Box::new(items.iter().cloned())),
            _ => None,
        }
    }

    /// The names and values of an object; None when it is none.
    pub fn fields(&self) -> Option<Box<dyn Iterator<Item = (Cow<'a, str>, Draft<'a>)> + '_>> {
        match self {
            Draft::Node(node) if node.kind() == Kind::Object => Some(Box::new(
                node.fields()
                    .map(|(key, value)| (key.string(), Draft::Node(value))),
            )),
            Draft::Given(Value::Object(fields)) => Some(Box::new(
                fields
                    .iter()
                    .map(|(key, value)| (key.into(), Draft::Given(value))),
            )),
            Draft::Object(fields) => Some(Box::new(fields.iter().cloned())),
            _ => None,
        }
    }

    /// Of an object, to be changed.
    pub fn fields_mut(&mut self) -> Option<&mut Fields<'a>> {
        if !matches!(self, Draft::Object(_)) {
            let fields = self.fields()?.collect();
            *self = Draft::object(fields);
        }
        match self {
            Draft::Object(fields) => Some(Rc::make_mut(fields)),
            _ => None,
        }
    }

    /// Of a list, to be changed.
    pub fn items_mut(&mut self) -> Option<&mut Vec<Draft<'a>>> {
        if !matches!(self, Draft::List(_)) {
            let items = self.items()?.collect();
            *self = Draft::list(items);
        }
        match self {
            Draft::List(items) => Some(Rc::make_mut(items)),
            _ => None,
        }
    }

    fn as_bool(&self) -> bool {
        match self {
            Draft::Node(node) => node.is_true(),
            Draft::Given(value) => **value == Value::Bool(true),
            Draft::Bool(value) => *value,
            _ => false,
        }
    }

    fn string(&self) -> Cow<'_, str> {
        match self {
            Draft::Node(node) => node.string(),
            Draft::Given(value) => value.as_str().unwrap_or_default().into(),
            Draft::String(string) => Cow::Borrowed(string),
            _ => Cow::Borrowed(""),
        }
    }

    /// None for a number that is too large for it.
    fn number(&self) -> Option<f64> {
        match self {
            Draft::Node(node) => node
                .text()
                .parse()
                .ok()
                .filter(|number: &f64| number.is_finite()),
            Draft::Given(value) => value.as_f64(),
            Draft::Number(number) => number.as_f64(),
            _ => None,
        }
    }

    fn has_parts(&self) -> bool {
        match self {
            Draft::Node(node) => node.has_parts(),
            Draft::Given(Value::Array(items)) => !items.is_empty(),
            Draft::Given(Value::Object(fields)) => !fields.is_empty(),
            Draft::List(items) => !items.is_empty(),
            Draft::Object(fields) => !fields.is_empty(),
            _ => false,
        }
    }

    /// Whether JMESPath takes it for true.
    pub fn is_truthy(&self) -> bool {
        match self.kind() {
            Kind::Null => false,
            Kind::Bool => self.as_bool(),
            Kind::Number => true,
            Kind::String => !self.string().is_empty(),
            Kind::List | Kind::Object => self.has_parts(),
        }
    }

    /// Whether JMESPath takes them for equal: numbers by their value, where 64-bit floating point has it.
    pub fn equals(&self, other: &Draft<'_>) -> bool {
        if self.kind() != other.kind() {
            return false;
        }
        match self.kind() {
            Kind::Null => true,
            Kind::Bool => self.as_bool() == other.as_bool(),
            Kind::Number => self
                .number()
                .is_some_and(|number| other.number() == Some(number)),
            Kind::String => self.string() == other.string(),
            Kind::List => match (self.items(), other.items()) {
                (Some(mut items), Some(mut others)) => loop {
                    match (items.next(), others.next()) {
                        (None, None) => return true,
                        (Some(item), Some(other)) if item.equals(&other) => {}
                        _ => return false,
                    }
                },
                _ => false,
            },
            Kind::Object => match (self.sorted(), other.sorted()) {
                (fields, others) if fields.len() == others.len() => {
                    let mut pairs = fields.iter().zip(&others);
                    pairs.all(|(field, other)| field.0 == other.0 && field.1.equals(&other.1))
                }
                _ => false,
            },
        }
    }

    fn sorted(&self) -> Fields<'a> {
        let mut fields: Fields<'a> = self.fields().into_iter().flatten().collect();
        fields.sort_by(|(name, _), (other, _)| name.cmp(other));
        fields
    }

    /// Which one is less; None unless both are numbers or both text.
    pub fn order(&self, other: &Draft<'_>) -> Option<Ordering> {
        match (self.kind(), other.kind()) {
            (Kind::Number, Kind::Number) => self.number()?.partial_cmp(&other.number()?),
            (Kind::String, Kind::String) => Some(self.string().cmp(&other.string())),
            _ => None,
        }
    }

    /// A copy that stands for itself.
    pub fn to_value(&self) -> Value {
        match self {
            Draft::Node(node) => node.to_value(),
            Draft::Given(value) => (*value).clone(),
            Draft::Null => Value::Null,
            Draft::Bool(value) => Value::Bool(*value),
            Draft::Number(number) => Value::Number(number.clone()),
            Draft::String(string) => Value::String(string.clone().into_owned()),
            Draft::List(items) => Value::Array(items.iter().map(Draft::to_value).collect()),
            Draft::Object(fields) => {
                let fields = fields.iter();
                let fields =
                    fields.map(|(name, value)| (name.clone().into_owned(), value.to_value()));
                Value::Object(fields.collect())
            }
        }
    }

    /// The text of the document, without blanks.
    ///
    /// # Errors
    /// It would be longer than `limit` bytes.
    pub fn write(&self, limit: usize) -> Result<Vec<u8>, TooLarge> {
        let mut out = Vec::new();
        self.write_to(&mut out, limit)?;
        Ok(out)
    }

    fn write_to(&self, out: &mut Vec<u8>, limit: usize) -> Result<(), TooLarge> {
        match self {
            // No longer than the document that it is of, as good as: of exponents a sign is new.
            Draft::Node(node) => node.write(out),
            Draft::Given(value) => out.extend_from_slice(value.to_string().as_bytes()),
            Draft::Null => out.extend_from_slice(b"null"),
            Draft::Bool(true) => out.extend_from_slice(b"true"),
            Draft::Bool(false) => out.extend_from_slice(b"false"),
            Draft::Number(number) => out.extend_from_slice(number.as_str().as_bytes()),
            Draft::String(string) => write_string(string, out),
            Draft::List(items) => {
                out.push(b'[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    item.write_to(out, limit)?;
                }
                out.push(b']');
            }
            Draft::Object(fields) => {
                out.push(b'{');
                for (index, (name, value)) in fields.iter().enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    write_string(name, out);
                    out.push(b':');
                    value.write_to(out, limit)?;
                }
                out.push(b'}');
            }
        }
        if out.len() > limit {
            Err(TooLarge)
        } else {
            Ok(())
        }
    }
}

impl From<Value> for Draft<'_> {
    fn from(value: Value) -> Self {
        match value {
            Value::Null => Draft::Null,
            Value::Bool(value) => Draft::Bool(value),
            Value::Number(number) => Draft::Number(number),
            Value::String(string) => Draft::String(string.into()),
            Value::Array(items) => Draft::list(items.into_iter().map(Draft::from).collect()),
            Value::Object(fields) => {
                let fields = fields.into_iter();
                Draft::object(
                    fields
                        .map(|(name, value)| (name.into(), value.into()))
                        .collect(),
                )
            }
        }
    }
}
