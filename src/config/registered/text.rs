//! From what is sent to the admin API to the text of a file.

use serde_json::Value;

use crate::admin::{Format, Kind};
use crate::value::Name;

/// The text of the file for `body`: the keys of one route or upstream, or in TOML a document with its table alone, which
/// stays as it is written.
///
/// # Errors
/// Why it cannot be read.
pub fn text_of(kind: Kind, name: &Name, format: Format, body: &[u8]) -> Result<String, String> {
    let text = std::str::from_utf8(body).map_err(|_| "it is not UTF-8 text".to_owned())?;
    let keys = match format {
        Format::Toml => {
            let table: toml::Table =
                toml::from_str(text).map_err(|error| error.to_string().trim_end().to_owned())?;
            if is_document(&table, kind, name) {
                return Ok(with_newline(text));
            }
            if let Some(headed) = headed(text, &table, kind, name) {
                return Ok(headed);
            }
            serde_json::to_value(table).map_err(|error| error.to_string())?
        }
        Format::Json => serde_json::from_str(text).map_err(|error| error.to_string())?,
    };
    let Value::Object(keys) = keys else {
        return Err("it is no JSON object".to_owned());
    };
    let mut written = header(kind, name);
    for (key, value) in &keys {
        put_key(&mut written, key);
        written.push_str(" = ");
        put(&mut written, value).map_err(|why| format!("`{key}`: {why}"))?;
        written.push('\n');
    }
    Ok(written)
}

fn header(kind: Kind, name: &Name) -> String {
    format!("[{}.{name}]\n", kind.table())
}

/// Whether it has the table of this name and nothing else.
fn is_document(table: &toml::Table, kind: Kind, name: &Name) -> bool {
    let named = table.get(kind.table()).and_then(toml::Value::as_table);
    table.len() == 1
        && named.is_some_and(|named| named.len() == 1 && named.contains_key(name.as_str()))
}

/// The text below the header of its table, where it means the same there: it has no headers of its own.
fn headed(text: &str, table: &toml::Table, kind: Kind, name: &Name) -> Option<String> {
    let headed = header(kind, name) + &with_newline(text);
    let read: toml::Table = toml::from_str(&headed).ok()?;
    let same = read.get(kind.table())?.get(name.as_str())?.as_table()? == table;
    (same && is_document(&read, kind, name)).then_some(headed)
}

fn with_newline(text: &str) -> String {
    let end = if text.ends_with('\n') { "" } else { "\n" };
    format!("{text}{end}")
}

/// Writes a value on one line.
fn put(text: &mut String, value: &Value) -> Result<(), &'static str> {
    match value {
        Value::Null => return Err("`null` is no value here: leave the key out"),
        Value::Bool(true) => text.push_str("true"),
        Value::Bool(false) => text.push_str("false"),
        Value::Number(number) => text.push_str(number.as_str()),
        Value::String(string) => put_text(text, string),
        Value::Array(items) => {
            text.push('[');
            for (at, item) in items.iter().enumerate() {
                text.push_str(if at == 0 { "" } else { ", " });
                put(text, item)?;
            }
            text.push(']');
        }
        Value::Object(entries) => {
            text.push('{');
            for (at, (key, value)) in entries.iter().enumerate() {
                text.push_str(if at == 0 { " " } else { ", " });
                put_key(text, key);
                text.push_str(" = ");
                put(text, value)?;
            }
            text.push_str(" }");
        }
    }
    Ok(())
}

fn put_key(text: &mut String, key: &str) {
    let bare = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
    if !key.is_empty() && key.bytes().all(bare) {
        text.push_str(key);
    } else {
        put_text(text, key);
    }
}

/// A basic string (TOML 1.0): its escapes are those of JSON, and DEL is written as one as well.
fn put_text(text: &mut String, string: &str) {
    text.push_str(&Value::from(string).to_string().replace('\u{7f}', "\\u007F"));
}
