//! What an expression finds, without copying what it only passes through.
//!
//! The library copies at every step: `items[?price > `3`].name` copies the list, and then each of its objects several
//! times. Here the document is borrowed until something new is made of it. The functions are the library's.

use std::borrow::Cow;

use jpx_core::ast::Ast;
use jpx_core::interpreter::interpret;
use jpx_core::{Context, ErrorReason, JmespathError, RuntimeError, ValueExt};
use serde_json::Value;

/// Nodes of an expression in each other, as the library has it.
const DEEPEST: usize = 128;

type Found<'a> = Result<Cow<'a, Value>, JmespathError>;

/// # Errors
/// A function was given what it does not take.
pub fn evaluate(
    document: &Value,
    node: &Ast,
    context: &mut Context<'_>,
) -> Result<Value, JmespathError> {
    let found = Evaluation { context, depth: 0 }.of(document, node)?;
    Ok(found.into_owned())
}

struct Evaluation<'c, 'r> {
    context: &'c mut Context<'r>,
    depth: usize,
}

impl Evaluation<'_, '_> {
    fn of<'a>(&mut self, data: &'a Value, node: &Ast) -> Found<'a> {
        self.depth += 1;
        if self.depth > DEEPEST {
            let why = RuntimeError::RecursionLimitExceeded { limit: DEEPEST };
            return Err(self.error(ErrorReason::Runtime(why)));
        }
        let found = self.of_node(data, node);
        self.depth -= 1;
        found
    }

    fn of_node<'a>(&mut self, data: &'a Value, node: &Ast) -> Found<'a> {
        Ok(match node {
            Ast::Identity { .. } => Cow::Borrowed(data),
            Ast::Field { name, .. } => borrowed(data.get(name)),
            Ast::Index { idx, .. } => borrowed(element(data, *idx)),
            Ast::Subexpr { lhs, rhs, .. } => match self.of(data, lhs)? {
                Cow::Borrowed(left) => self.of(left, rhs)?,
                Cow::Owned(left) => Cow::Owned(self.of(&left, rhs)?.into_owned()),
            },
            Ast::Or { lhs, rhs, .. } => match self.of(data, lhs)? {
                left if left.is_truthy() => left,
                _ => self.of(data, rhs)?,
            },
            Ast::And { lhs, rhs, .. } => match self.of(data, lhs)? {
                left if left.is_truthy() => self.of(data, rhs)?,
                left => left,
            },
            Ast::Not { node, .. } => Cow::Owned(Value::Bool(!self.of(data, node)?.is_truthy())),
            Ast::Condition {
                predicate, then, ..
            } => {
                if self.of(data, predicate)?.is_truthy() {
                    self.of(data, then)?
                } else {
                    Cow::Owned(Value::Null)
                }
            }
            Ast::Comparison {
                comparator,
                lhs,
                rhs,
                ..
            } => {
                let (left, right) = (self.of(data, lhs)?, self.of(data, rhs)?);
                let holds = left.compare(comparator, &right);
                Cow::Owned(holds.map_or(Value::Null, Value::Bool))
            }
            Ast::Projection { lhs, rhs, .. } => match self.of(data, lhs)?.as_ref() {
                Value::Array(items) => Cow::Owned(self.projection(items, rhs)?),
                _ => Cow::Owned(Value::Null),
            },
            Ast::MultiList { .. } | Ast::MultiHash { .. } if data.is_null() => {
                Cow::Owned(Value::Null)
            }
            Ast::MultiList { elements, .. } => {
                let mut list = Vec::with_capacity(elements.len());
                for element in elements {
                    list.push(self.of(data, element)?.into_owned());
                }
                Cow::Owned(Value::Array(list))
            }
            Ast::MultiHash { elements, .. } => {
                let mut fields = serde_json::Map::with_capacity(elements.len());
                for field in elements {
                    let value = self.of(data, &field.value)?.into_owned();
                    fields.insert(field.key.clone(), value);
                }
                Cow::Owned(Value::Object(fields))
            }
            Ast::Function { name, args, offset } => {
                let mut given = Vec::with_capacity(args.len());
                for arg in args {
                    given.push(self.of(data, arg)?.into_owned());
                }
                self.context.offset = *offset;
                let runtime = self.context.runtime;
                let Some(function) = runtime.get_function(name) else {
                    let why = RuntimeError::UnknownFunction(name.clone());
                    return Err(self.error(ErrorReason::Runtime(why)));
                };
                Cow::Owned(function.evaluate(&given, self.context)?)
            }
            Ast::ObjectValues { node, .. } => match self.of(data, node)? {
                Cow::Borrowed(Value::Object(fields)) => {
                    Cow::Owned(Value::Array(fields.values().cloned().collect()))
                }
                Cow::Owned(Value::Object(fields)) => {
                    Cow::Owned(Value::Array(fields.into_iter().map(|(_, v)| v).collect()))
                }
                _ => Cow::Owned(Value::Null),
            },
            Ast::Flatten { node, .. } => match self.of(data, node)?.as_ref() {
                Value::Array(items) => Cow::Owned(flat(items)),
                _ => Cow::Owned(Value::Null),
            },
            // What these make is new, or refers to the library's own notes.
            Ast::Literal { .. } | Ast::Slice { .. } | Ast::Expref { .. } => {
                Cow::Owned(interpret(data, node, self.context)?)
            }
        })
    }

    fn projection(&mut self, items: &[Value], each: &Ast) -> Result<Value, JmespathError> {
        let mut list = Vec::new();
        for item in items {
            let found = self.of(item, each)?;
            if !found.is_null() {
                list.push(found.into_owned());
            }
        }
        Ok(Value::Array(list))
    }

    fn error(&self, why: ErrorReason) -> JmespathError {
        JmespathError::from_ctx(self.context, why)
    }
}

fn borrowed(found: Option<&Value>) -> Cow<'_, Value> {
    found.map_or(Cow::Owned(Value::Null), Cow::Borrowed)
}

/// Counted from the end where `index` is negative.
fn element(data: &Value, index: i32) -> Option<&Value> {
    let items = data.as_array()?;
    match usize::try_from(index) {
        Ok(index) => items.get(index),
        Err(_) => items
            .len()
            .checked_sub(index.unsigned_abs() as usize)
            .and_then(|index| items.get(index)),
    }
}

/// The items, with the lists among them taken apart.
fn flat(items: &[Value]) -> Value {
    let parts = items.iter().map(|item| match item {
        Value::Array(inner) => inner.as_slice(),
        other => std::slice::from_ref(other),
    });
    Value::Array(parts.flatten().cloned().collect())
}
