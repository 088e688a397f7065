//! Where a key that is set twice was set before.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::super::tree::{Table, Value};
use super::line_at;

/// Where the key at `span` stands for the first time, when it is in the name of a table or begins a line.
/// `table` is what the parser understood of `text`.
pub(super) fn first_place(text: &str, span: &Range<usize>, table: &Table) -> Option<Range<usize>> {
    let line = line_at(text, span.start);
    let above = text.get(..line.start)?;
    match header(text.get(line.clone())?) {
        Some(name) => {
            let before = headers(above).find(|(_, path)| *path == name);
            let in_braces = || key_at(&name, table).filter(|first| first.start < span.start);
            before.map(|(place, _)| place).or_else(in_braces)
        }
        None => first_key(text, span, &line, table),
    }
}

fn first_key(
    text: &str,
    span: &Range<usize>,
    line: &Range<usize>,
    table: &Table,
) -> Option<Range<usize>> {
    if !text.get(line.start..span.start)?.trim().is_empty() {
        return None;
    }
    let key = text.get(span.clone())?.trim_matches(['"', '\'']);
    let above = headers(text.get(..line.start)?).last();
    let mut path = above.map(|(_, path)| path).unwrap_or_default();
    path.push(key.to_owned());
    key_at(&path, table).filter(|first| first.start < span.start)
}

/// Where the last key of `path` stands, for the first time.
fn key_at(path: &[String], mut table: &Table) -> Option<Range<usize>> {
    let (key, above) = path.split_last()?;
    for name in above {
        match &table.get(name)?.node.value {
            Value::Table(inner) => table = inner,
            _ => return None,
        }
    }
    Some(table.get(key)?.key.span.clone())
}

/// The names of tables in `text`, each with the place of its brackets.
fn headers(text: &str) -> impl Iterator<Item = (Range<usize>, Vec<String>)> {
    let mut start = 0;
    text.split_inclusive('\n').filter_map(move |line| {
        let place = start..start + line.trim_end().len();
        start += line.len();
        Some((place, header(line)?))
    })
}

/// The name in a line such as `[routes.a]`.
fn header(line: &str) -> Option<Vec<String>> {
    if !super::is_header(line) {
        return None;
    }
    let mut table = DeTable::parse(line).ok()?.into_inner();
    let mut path = Vec::new();
    while let Some((key, value)) = table.into_iter().next() {
        path.push(key.into_inner().into_owned());
        // `[[routes.a]]` is a list of tables.
        let value = match value.into_inner() {
            DeValue::Array(items) => items.into_iter().next()?.into_inner(),
            value => value,
        };
        match value {
            DeValue::Table(inner) => table = inner,
            _ => return None,
        }
    }
    Some(path)
}
