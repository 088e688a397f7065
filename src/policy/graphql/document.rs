//! One GraphQL document, judged.

use std::collections::HashMap;

use apollo_parser::Parser;
use apollo_parser::cst::{CstNode, Definition, Document, Field};
use apollo_parser::cst::{OperationDefinition, Selection, SelectionSet};

use super::config::Config;

/// Tokens of a document: far above any that a person or a tool writes, low enough that it is read in milliseconds.
const MOST_TOKENS: usize = 15_000;

/// Selection sets, lists and objects in each other, and fragments that use each other.
const DEEPEST: usize = 200;

/// # Errors
/// Why the document is not allowed.
pub fn judge(text: &str, config: &Config) -> Result<(), String> {
    let parsed = Parser::new(text)
        .recursion_limit(DEEPEST)
        .token_limit(MOST_TOKENS)
        .parse();
    if let Some(error) = parsed.errors().next() {
        let line = text
            .as_bytes()
            .iter()
            .take(error.index())
            .filter(|byte| **byte == b'\n')
            .count()
            + 1;
        return Err(format!("in line {line} of the query: {}", error.message()));
    }
    let mut operations = Vec::new();
    let mut fragments = HashMap::new();
    for definition in parsed.document().definitions() {
        match definition {
            Definition::OperationDefinition(operation) => operations.push(operation),
            Definition::FragmentDefinition(fragment) => {
                let name = fragment.fragment_name().and_then(|name| name.name());
                let name = name.map(|name| name.text().to_string()).unwrap_or_default();
                let fields = Fragment::Unseen(fragment.selection_set());
                if fragments.insert(name.clone(), fields).is_some() {
                    return Err(format!("there are two fragments `{name}`"));
                }
            }
            _ => return Err("it defines types, and asks for nothing".to_owned()),
        }
    }
    if operations.is_empty() {
        return Err("it has no operation".to_owned());
    }
    for operation in &operations {
        allowed(operation, config)?;
    }
    if !config.introspection && asks_for_schema(&parsed.document()) {
        return Err("it asks for the schema, which is not shown".to_owned());
    }
    let Some(max_depth) = config.max_depth else {
        return Ok(());
    };
    let mut depths = Depths {
        fragments,
        max_depth: max_depth as usize,
    };
    for operation in &operations {
        let depth = depths.of(operation.selection_set().as_ref(), 0)?;
        depths.within_limit(depth)?;
    }
    Ok(())
}

/// GraphQL, section 4.1. These names are reserved, so that no other field has them, wherever it stands.
fn asks_for_schema(document: &Document) -> bool {
    let mut fields = document.syntax().descendants().filter_map(Field::cast);
    fields.any(|field| {
        let name = field.name();
        name.is_some_and(|name| ["__schema", "__type"].contains(&&*name.text()))
    })
}

fn allowed(operation: &OperationDefinition, config: &Config) -> Result<(), String> {
    let Some(allowed) = &config.allowed_operations else {
        return Ok(());
    };
    let kind = operation.operation_type();
    let kind = match kind {
        Some(kind) if kind.mutation_token().is_some() => "mutation",
        Some(kind) if kind.subscription_token().is_some() => "subscription",
        _ => "query",
    };
    let name = operation.name().map(|name| name.text().to_string());
    let named = name
        .as_ref()
        .is_some_and(|name| !is_kind(name) && allowed.contains(name));
    if named || allowed.contains(kind) {
        Ok(())
    } else {
        Err(match name {
            Some(name) => format!("the {kind} `{name}` is not allowed"),
            None => format!("a {kind} without a name is not allowed"),
        })
    }
}

fn is_kind(name: &str) -> bool {
    ["query", "mutation", "subscription"].contains(&name)
}

/// GraphQL, section 2.1.9.
pub fn is_name(text: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    text.bytes().next().is_some_and(letter)
        && text
            .bytes()
            .all(|byte| letter(byte) || byte.is_ascii_digit())
}

/// How deep fields lie in each other.
struct Depths {
    fragments: HashMap<String, Fragment>,
    max_depth: usize,
}

enum Fragment {
    Unseen(Option<SelectionSet>),
    /// Being measured: meeting it again is a circle.
    Open,
    Measured(usize),
}

impl Depths {
    /// `nested` counts the calls that wait for this one.
    fn of(&mut self, fields: Option<&SelectionSet>, nested: usize) -> Result<usize, String> {
        if nested > 2 * DEEPEST {
            return Err("its fragments lie too deep in each other".to_owned());
        }
        let mut deepest = 0;
        for selection in fields.into_iter().flat_map(SelectionSet::selections) {
            let depth = match selection {
                Selection::Field(field) => {
                    1 + self.of(field.selection_set().as_ref(), nested + 1)?
                }
                Selection::InlineFragment(fragment) => {
                    self.of(fragment.selection_set().as_ref(), nested + 1)?
                }
                Selection::FragmentSpread(spread) => {
                    let name = spread.fragment_name().and_then(|name| name.name());
                    let name = name.map(|name| name.text().to_string()).unwrap_or_default();
                    self.of_fragment(&name, nested + 1)?
                }
            };
            deepest = deepest.max(depth);
        }
        Ok(deepest)
    }

    /// Each is measured once, however often it is used.
    fn of_fragment(&mut self, name: &str, nested: usize) -> Result<usize, String> {
        let Some(fragment) = self.fragments.get_mut(name) else {
            return Err(format!("there is no fragment `{name}`"));
        };
        let fields = match std::mem::replace(fragment, Fragment::Open) {
            Fragment::Measured(depth) => {
                *fragment = Fragment::Measured(depth);
                return Ok(depth);
            }
            Fragment::Open => return Err(format!("the fragment `{name}` uses itself")),
            Fragment::Unseen(fields) => fields,
        };
        let depth = self.of(fields.as_ref(), nested)?;
        self.fragments
            .insert(name.to_owned(), Fragment::Measured(depth));
        Ok(depth)
    }

    fn within_limit(&self, depth: usize) -> Result<(), String> {
        if depth > self.max_depth {
            Err(format!(
                "it has a depth of {depth}, and may have {}",
                self.max_depth
            ))
        } else {
            Ok(())
        }
    }
}
