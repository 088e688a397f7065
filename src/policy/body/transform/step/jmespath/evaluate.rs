//! What an expression finds, without copying what it only passes through.
//!
//! The library copies at every step: `items[?price > `3`].name` copies the list, and then each of its objects several
//! times. Here what is found refers to the document as it came. The functions are the library's, and copy what they are
//! given.

use jpx_core::ast::{Ast, Comparator};
use jpx_core::interpreter::interpret;
use jpx_core::{Context, ErrorReason, JmespathError, RuntimeError};
use serde_json::Value;

use crate::policy::body::document::Draft;

/// Nodes of an expression in each other, as the library has it.
const DEEPEST: usize = 128;

type Found<'a> = Result<Draft<'a>, JmespathError>;

/// # Errors
/// A function was given what it does not take.
pub fn evaluate<'a>(document: &Draft<'a>, node: &'a Ast, context: &mut Context<'_>) -> Found<'a> {
    Evaluation { context, depth: 0 }.of(document, node)
}

struct Evaluation<'c, 'r> {
    context: &'c mut Context<'r>,
    depth: usize,
}

impl Evaluation<'_, '_> {
    fn of<'a>(&mut self, data: &Draft<'a>, node: &'a Ast) -> Found<'a> {
        self.depth += 1;
        if self.depth > DEEPEST {
            let why = RuntimeError::RecursionLimitExceeded { limit: DEEPEST };
            return Err(self.error(ErrorReason::Runtime(why)));
        }
        let found = self.of_node(data, node);
        self.depth -= 1;
        found
    }

    fn of_node<'a>(&mut self, data: &Draft<'a>, node: &'a Ast) -> Found<'a> {
        Ok(match node {
            Ast::Identity { .. } => data.clone(),
            Ast::Field { name, .. } => data.get(name).unwrap_or(Draft::Null),
            Ast::Index { idx, .. } => element(data, *idx),
            Ast::Literal { value, .. } => Draft::Given(value),
            Ast::Subexpr { lhs, rhs, .. } => {
                let left = self.of(data, lhs)?;
                self.of(&left, rhs)?
            }
            Ast::Or { lhs, rhs, .. } => match self.of(data, lhs)? {
                left if left.is_truthy() => left,
                _ => self.of(data, rhs)?,
            },
            Ast::And { lhs, rhs, .. } => match self.of(data, lhs)? {
                left if left.is_truthy() => self.of(data, rhs)?,
                left => left,
            },
            Ast::Not { node, .. } => Draft::Bool(!self.of(data, node)?.is_truthy()),
            Ast::Condition {
                predicate, then, ..
            } => {
                if self.of(data, predicate)?.is_truthy() {
                    self.of(data, then)?
                } else {
                    Draft::Null
                }
            }
            Ast::Comparison {
                comparator,
                lhs,
                rhs,
                ..
            } => {
                let (left, right) = (self.of(data, lhs)?, self.of(data, rhs)?);
                compare(&left, comparator, &right).map_or(Draft::Null, Draft::Bool)
            }
            Ast::Projection { lhs, rhs, .. } => {
                let list = self.of(data, lhs)?;
                let Some(items) = list.items() else {
                    return Ok(Draft::Null);
                };
                let mut found = Vec::new();
                for item in items {
                    let part = self.of(&item, rhs)?;
                    if !part.is_null() {
                        found.push(part);
                    }
                }
                Draft::list(found)
            }
            Ast::MultiList { .. } | Ast::MultiHash { .. } if data.is_null() => Draft::Null,
            Ast::MultiList { elements, .. } => {
                let mut list = Vec::with_capacity(elements.len());
                for element in elements {
                    list.push(self.of(data, element)?);
                }
                Draft::list(list)
            }
            Ast::MultiHash { elements, .. } => {
                let mut fields: Vec<(_, Draft<'a>)> = Vec::with_capacity(elements.len());
                for field in elements {
                    let value = self.of(data, &field.value)?;
                    match fields.iter_mut().find(|(name, _)| *name == field.key) {
                        Some((_, earlier)) => *earlier = value,
                        None => fields.push((field.key.as_str().into(), value)),
                    }
                }
                Draft::object(fields)
            }
            Ast::Function { name, args, offset } => {
                let mut given = Vec::with_capacity(args.len());
                for arg in args {
                    given.push(self.of(data, arg)?.to_value());
                }
                self.context.offset = *offset;
                let runtime = self.context.runtime;
                let Some(function) = runtime.get_function(name) else {
                    let why = RuntimeError::UnknownFunction(name.clone());
                    return Err(self.error(ErrorReason::Runtime(why)));
                };
                function.evaluate(&given, self.context)?.into()
            }
            Ast::ObjectValues { node, .. } => match self.of(data, node)?.fields() {
                Some(fields) => Draft::list(fields.map(|(_, value)| value).collect()),
                None => Draft::Null,
            },
            Ast::Flatten { node, .. } => match self.of(data, node)?.items() {
                Some(items) => Draft::list(flat(items)),
                None => Draft::Null,
            },
            Ast::Slice {
                start, stop, step, ..
            } if *step != 0 => match data.items() {
                Some(items) => Draft::list(slice(items.collect(), *start, *stop, *step)),
                None => Draft::Null,
            },
            // What is left refers to the library's own notes, or is an error.
            _ => interpret(&Value::Null, node, self.context)?.into(),
        })
    }

    fn error(&self, why: ErrorReason) -> JmespathError {
        JmespathError::from_ctx(self.context, why)
    }
}

fn compare(left: &Draft<'_>, comparator: &Comparator, right: &Draft<'_>) -> Option<bool> {
    let order = || left.order(right);
    match comparator {
        Comparator::Equal => Some(left.equals(right)),
        Comparator::NotEqual => Some(!left.equals(right)),
        Comparator::LessThan => order().map(|order| order.is_lt()),
        Comparator::LessThanEqual => order().map(|order| order.is_le()),
        Comparator::GreaterThan => order().map(|order| order.is_gt()),
        Comparator::GreaterThanEqual => order().map(|order| order.is_ge()),
    }
}

/// Counted from the end where `index` is negative.
fn element<'a>(data: &Draft<'a>, index: i32) -> Draft<'a> {
    let found = match (data.items(), usize::try_from(index)) {
        (Some(mut items), Ok(index)) => items.nth(index),
        (Some(items), Err(_)) => {
            let items: Vec<Draft<'a>> = items.collect();
            let index = items.len().checked_sub(index.unsigned_abs() as usize);
            index.and_then(|index| items.get(index).cloned())
        }
        (None, _) => None,
    };
    found.unwrap_or(Draft::Null)
}

/// The items, with the lists among them taken apart.
fn flat<'a>(items: impl Iterator<Item = Draft<'a>>) -> Vec<Draft<'a>> {
    let mut all = Vec::new();
    for item in items {
        match item.items() {
            Some(inner) => all.extend(inner),
            None => all.push(item.clone()),
        }
    }
    all
}

/// Every `step`th item from `start` to before `stop`: backwards where it is negative.
fn slice(
    items: Vec<Draft<'_>>,
    start: Option<i32>,
    stop: Option<i32>,
    step: i32,
) -> Vec<Draft<'_>> {
    let length = i64::try_from(items.len()).unwrap_or(i64::MAX);
    let (first, last) = if step < 0 {
        (-1, length - 1)
    } else {
        (0, length)
    };
    let place = |at: i32| {
        let at = i64::from(at);
        (if at < 0 { at + length } else { at }).clamp(first, last)
    };
    let backwards = step < 0;
    let mut at = start.map_or(if backwards { last } else { first }, place);
    let stop = stop.map_or(if backwards { first } else { last }, place);
    let mut found = Vec::new();
    while if backwards { at > stop } else { at < stop } {
        let item = usize::try_from(at).ok().and_then(|at| items.get(at));
        found.extend(item.cloned());
        at += i64::from(step);
    }
    found
}
