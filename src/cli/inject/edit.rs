//! Changes of a YAML text: entries are put into mappings and items into sequences, in the style in which these are
//! written, values take the place of others, and every other byte stays.

use std::collections::HashSet;
use std::iter;

use serde_json::Value as Json;

use super::wrong::{Place, Wrong};
use super::yaml::{Node, Value};

/// Texts to be put into another one, in the order in which they were asked for.
pub(super) struct Edits<'a> {
    text: &'a str,
    /// What ends its lines.
    newline: &'static str,
    inserts: Vec<Insert>,
    /// Where nodes start whose value is another one now.
    replaced: HashSet<usize>,
}

/// A text, and the part of the old one whose place it takes; nothing of it when that is empty.
struct Insert {
    start: usize,
    end: usize,
    text: String,
}

impl<'a> Edits<'a> {
    pub fn new(text: &'a str) -> Self {
        Edits {
            text,
            newline: if text.contains("\r\n") { "\r\n" } else { "\n" },
            inserts: Vec::new(),
            replaced: HashSet::new(),
        }
    }

    /// The new text, and where in the old one nodes start whose value was replaced.
    pub fn done(mut self) -> (String, HashSet<usize>) {
        // Stable: what goes to the same place stays in its order.
        self.inserts.sort_by_key(|insert| insert.start);
        let mut done = String::new();
        let mut copied = 0;
        for insert in &self.inserts {
            done.push_str(self.text.get(copied..insert.start).unwrap_or_default());
            done.push_str(&insert.text);
            copied = insert.end;
        }
        done.push_str(&self.text[copied..]);
        (done, self.replaced)
    }

    fn insert(&mut self, at: usize, text: String) {
        let (start, end) = (at, at);
        self.inserts.push(Insert { start, end, text });
    }

    /// Another value in the place of a scalar, in quotes when that one has them; gives whether that can be.
    pub fn scalar(&mut self, scalar: &Node, value: &Json) -> bool {
        let Some((start, end)) = self.extent(scalar) else {
            return false;
        };
        let quoted = self.text[start..end].starts_with(['"', '\'']);
        let text = match inline(value) {
            Some(plain) if !quoted => plain,
            _ => value.to_string(),
        };
        self.replaced.insert(start);
        self.inserts.push(Insert { start, end, text });
        true
    }

    /// Other values in the place of the items of a sequence of scalars; gives whether that can be. Comments between them
    /// go with them.
    pub fn scalars(&mut self, sequence: &Node, values: &[Json]) -> bool {
        let Value::Sequence { items, flow } = &sequence.value else {
            return false;
        };
        let both = items.first().zip(items.last());
        let Some(((mut start, _), (_, end))) =
            both.and_then(|(first, last)| Some((self.extent(first)?, self.extent(last)?)))
        else {
            return false;
        };
        let text = if *flow {
            let values: Vec<_> = values.iter().map(Json::to_string).collect();
            values.join(", ")
        } else {
            start = self.text[..start].rfind('-').unwrap_or(start);
            let indent = " ".repeat(start - self.line_start(start));
            let lines: Vec<_> = values.iter().flat_map(item).collect();
            lines.join(&format!("{}{indent}", self.newline))
        };
        self.replaced.insert(sequence.place.start);
        self.inserts.push(Insert { start, end, text });
        true
    }

    /// Where a scalar begins and ends, if it is in quotes or on one line. Its place reaches to what follows, a comment for
    /// example.
    fn extent(&self, scalar: &Node) -> Option<(usize, usize)> {
        let (start, value) = (scalar.place.start, scalar.text()?);
        let text = &self.text[start..];
        let length = match text.chars().next()? {
            quote @ ('"' | '\'') => {
                let mut escaped = false;
                let closes = |(_, letter): &(usize, char)| {
                    let closes = *letter == quote && !escaped;
                    escaped = quote == '"' && *letter == '\\' && !escaped;
                    closes
                };
                let (at, _) = text.char_indices().skip(1).find(closes)?;
                at + 1
            }
            _ if !value.is_empty() && text.starts_with(value) => value.len(),
            _ => return None,
        };
        Some((start, start + length))
    }

    /// Puts entries into a mapping, before the one of the key `before` when that is there, and otherwise first.
    pub fn entries(&mut self, mapping: &Node, before: &str, added: &[(&str, Json)]) {
        let Value::Mapping { entries, flow } = &mapping.value else {
            return;
        };
        let place = mapping.entry(before).or_else(|| entries.first());
        let place = place.map(|(key, _)| key.place);
        if *flow {
            let key = |key: &&str| format!("{}: ", Json::from(*key));
            self.flow(
                mapping.place,
                place,
                added.iter().map(|(name, value)| (key(name), value)),
            );
        } else if let Some(place) = place {
            let lines = added.iter().flat_map(|(key, value)| entry(key, value));
            self.block(place.start, lines.collect());
        }
    }

    /// Puts items at the start of a sequence.
    ///
    /// # Errors
    /// A block sequence whose first item does not follow its dash.
    pub fn items(&mut self, sequence: &Node, added: &[Json]) -> Result<(), Wrong> {
        let Value::Sequence { items, flow } = &sequence.value else {
            return Ok(());
        };
        let place = items.first().map(|item| item.place);
        if *flow {
            self.flow(
                sequence.place,
                place,
                added.iter().map(|value| (String::new(), value)),
            );
        } else if let Some(place) = place {
            let before = self.text[..place.start].trim_end();
            if !before.ends_with('-') {
                let message = "between a dash and the first item stands something else";
                return Err(Wrong::at(
                    place,
                    message,
                    "put the item right behind its dash",
                ));
            }
            self.block(before.len() - 1, added.iter().flat_map(item).collect());
        }
        Ok(())
    }

    /// Lines before what stands at `at`, each as far to the right as that; comments right above it stay with it.
    fn block(&mut self, at: usize, lines: Vec<String>) {
        let newline = self.newline;
        let line_start = self.line_start(at);
        let lead = &self.text[line_start..at];
        if !lead.chars().all(|letter| letter == ' ') {
            // On the line of a dash: the first of the new ones takes that place.
            let indent = " ".repeat(lead.chars().count());
            let insert = lines
                .into_iter()
                .map(|line| format!("{line}{newline}{indent}"));
            self.insert(at, insert.collect());
            return;
        }
        let mut start = line_start;
        while start > 0 {
            let above = self.line_start(start - 1);
            let comment = self.text[above..start].strip_prefix(lead);
            if !comment.is_some_and(|line| line.starts_with('#')) {
                break;
            }
            start = above;
        }
        let insert = lines
            .into_iter()
            .map(|line| format!("{lead}{line}{newline}"));
        self.insert(start, insert.collect());
    }

    /// JSON before what stands at `place`, or within brackets that are empty; each value with what stands before it.
    fn flow<'v>(
        &mut self,
        brackets: Place,
        place: Option<Place>,
        added: impl Iterator<Item = (String, &'v Json)>,
    ) {
        let Some(place) = place else {
            let added: Vec<String> = added.map(|(key, value)| format!("{key}{value}")).collect();
            self.insert(brackets.end, added.join(", "));
            return;
        };
        let lead = &self.text[self.line_start(place.start)..place.start];
        let newline = self.newline;
        let added = added.map(|(key, value)| {
            if lead.trim().is_empty() {
                // A line of its own, as its neighbours have.
                let lines = format!("{value:#}").replace('\n', &format!("{newline}{lead}"));
                format!("{key}{lines},{newline}{lead}")
            } else {
                format!("{key}{value}, ")
            }
        });
        let added = added.collect();
        self.insert(place.start, added);
    }

    fn line_start(&self, at: usize) -> usize {
        self.text[..at].rfind('\n').map_or(0, |newline| newline + 1)
    }
}

/// The lines of an entry in block style.
fn entry(key: &str, value: &Json) -> Vec<String> {
    let key = word(key);
    match inline(value) {
        Some(value) => vec![format!("{key}: {value}")],
        None => iter::once(format!("{key}:"))
            .chain(block(value).into_iter().map(|line| format!("  {line}")))
            .collect(),
    }
}

/// The lines of an item in block style.
fn item(value: &Json) -> Vec<String> {
    let lines = inline(value).map_or_else(|| block(value), |value| vec![value]);
    let leads = iter::once("- ").chain(iter::repeat("  "));
    leads
        .zip(lines)
        .map(|(lead, line)| format!("{lead}{line}"))
        .collect()
}

fn block(value: &Json) -> Vec<String> {
    match value {
        Json::Object(entries) => entries
            .iter()
            .flat_map(|(key, value)| entry(key, value))
            .collect(),
        Json::Array(items) => items.iter().flat_map(item).collect(),
        _ => inline(value).into_iter().collect(),
    }
}

/// What fits on the line of its key.
fn inline(value: &Json) -> Option<String> {
    match value {
        Json::String(text) => Some(word(text)),
        Json::Object(entries) if !entries.is_empty() => None,
        Json::Array(items) if !items.is_empty() => None,
        _ => Some(value.to_string()),
    }
}

/// A string, in quotes unless every reader takes it for one without them.
fn word(text: &str) -> String {
    let plain = text.starts_with(|letter: char| letter.is_ascii_alphabetic() || letter == '/')
        && text
            .chars()
            .all(|letter| letter.is_ascii_alphanumeric() || "/_.:-".contains(letter))
        && !text.ends_with(':');
    let lower = text.to_ascii_lowercase();
    let other =
        ["true", "false", "yes", "no", "on", "off", "null", "y", "n"].contains(&lower.as_str());
    if plain && !other {
        text.to_owned()
    } else {
        Json::from(text).to_string()
    }
}
