//! What is wrong with a schema, in words for whoever wrote it.

use jsonschema::error::ValidationErrorKind;
use jsonschema::{ReferencingError, ValidationError};
use serde_json::Value;

use super::shortened;
use crate::value::Wrong;

/// So many problems are told at once.
const MOST: usize = 5;

/// Every problem with its place in the schema. `first` is what compiling it has found.
pub(super) fn found(schema: &Value, first: &ValidationError<'_>) -> Wrong {
    if let ValidationErrorKind::Referencing(why) = first.kind() {
        return reference(why);
    }
    let all: Vec<String> = match jsonschema::meta::validator_for(schema) {
        Ok(meta) => meta
            .iter_errors(schema)
            .take(MOST)
            .map(|why| place(&why))
            .collect(),
        Err(_) => Vec::new(),
    };
    if all.is_empty() {
        // What is right by its form, such as a pattern that is no regular expression.
        place(first).into()
    } else {
        all.join(", and ").into()
    }
}

fn place(why: &ValidationError<'_>) -> String {
    let why = innermost(why);
    let message = shortened(&why.to_string());
    match why.instance_path().as_str() {
        "" => message,
        pointer => format!("at `{}`: {message}", shortened(pointer)),
    }
}

/// Where a value may be one thing or another, what is wrong with it as the one that it comes closest to: the one whose
/// problem lies deepest, or else one of the right type.
fn innermost<'a>(why: &'a ValidationError<'_>) -> &'a ValidationError<'a> {
    let (ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context }) =
        why.kind()
    else {
        return why;
    };
    let depth = |why: &ValidationError<'_>| why.instance_path().as_str().matches('/').count();
    let is_type =
        |why: &ValidationError<'_>| matches!(why.kind(), ValidationErrorKind::Type { .. });
    let closest = context
        .iter()
        .filter_map(|branch| branch.first())
        .max_by_key(|first| (depth(first), !is_type(first)));
    closest.map_or(why, |first| innermost(first))
}

fn reference(why: &ReferencingError) -> Wrong {
    match why {
        ReferencingError::Unretrievable { uri, .. } => {
            let uri = shortened(uri);
            Wrong::new(format!(
                "a `$ref` leads to `{uri}`, which is not in this file"
            ))
            .help("put it under `$defs` and write \"#/$defs/NAME\", as nothing is fetched")
        }
        ReferencingError::PointerToNowhere { pointer } => {
            let pointer = shortened(pointer);
            Wrong::new(format!("a `$ref` leads to `{pointer}`, which is not there"))
        }
        why => shortened(&why.to_string()).into(),
    }
}
