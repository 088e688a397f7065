//! A YAML document as a tree that knows where everything stands in the text, so that a change leaves all else as it is.
//!
//! JSON is YAML as well (YAML 1.2.2, section 1.2).

use std::collections::HashSet;

use saphyr_parser::{Event, Parser, Span};

use super::wrong::{Place, Wrong};

/// One document of a file.
#[derive(Debug)]
pub(super) struct Document {
    pub root: Node,
    /// The anchors that its aliases stand for.
    aliased: HashSet<usize>,
}

#[derive(Debug)]
pub(super) struct Node {
    pub value: Value,
    pub place: Place,
    /// Its number when it has an anchor, the number that it stands for when it is an alias, and otherwise 0.
    anchor: usize,
}

#[derive(Debug)]
pub(super) enum Value {
    Scalar(String),
    /// `flow`: written in braces, as JSON is.
    Mapping {
        entries: Vec<(Node, Node)>,
        flow: bool,
    },
    Sequence {
        items: Vec<Node>,
        flow: bool,
    },
    Alias,
}

/// No manifest is nested deeper.
const DEPTH: usize = 100;

impl Node {
    /// What a mapping has under this key.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|(_, value)| value)
    }

    pub fn entry(&self, key: &str) -> Option<&(Node, Node)> {
        let Value::Mapping { entries, .. } = &self.value else {
            return None;
        };
        entries.iter().find(|(name, _)| name.text() == Some(key))
    }

    /// What a mapping has under these keys, one within the other.
    pub fn reach(&self, keys: &[&str]) -> Option<&Node> {
        keys.iter().try_fold(self, |node, key| node.get(key))
    }

    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(text) => Some(text),
            _ => None,
        }
    }

    pub fn items(&self) -> &[Node] {
        match &self.value {
            Value::Sequence { items, .. } => items,
            _ => &[],
        }
    }

    /// Whether one of its items has this name.
    pub fn names(&self, name: &str) -> bool {
        self.named(name).is_some()
    }

    /// The first of its items that has this name.
    pub fn named(&self, name: &str) -> Option<&Node> {
        self.items().iter().find(|item| item.is_named(name))
    }

    pub fn is_named(&self, name: &str) -> bool {
        self.get("name").and_then(Node::text) == Some(name)
    }
}

impl Node {
    /// Whether all that `old` says is here as well: its keys, its items behind any others, and its values, but for those
    /// that are `replaced`: where they start.
    pub fn keeps(&self, old: &Node, replaced: &HashSet<usize>) -> bool {
        match (&self.value, &old.value) {
            (Value::Scalar(_), Value::Scalar(_))
            | (Value::Sequence { .. }, Value::Sequence { .. })
                if replaced.contains(&old.place.start) =>
            {
                true
            }
            (Value::Scalar(new), Value::Scalar(old)) => new == old,
            (Value::Alias, Value::Alias) => true,
            (Value::Sequence { items: new, .. }, Value::Sequence { items: old, .. }) => {
                let added = new.len().checked_sub(old.len());
                let kept = added.and_then(|added| new.get(added..));
                kept.is_some_and(|kept| {
                    kept.iter()
                        .zip(old)
                        .all(|(new, old)| new.keeps(old, replaced))
                })
            }
            (Value::Mapping { entries: new, .. }, Value::Mapping { entries: old, .. }) => {
                // What was there stays in its order, so one walk finds it all.
                let mut new = new.iter();
                old.iter().all(|(key, value)| {
                    let found = new.find(|(name, _)| name.keeps(key, replaced));
                    found.is_some_and(|(_, new)| new.keeps(value, replaced))
                })
            }
            _ => false,
        }
    }
}

impl Document {
    fn new(root: Node) -> Self {
        let mut aliased = HashSet::new();
        let mut left = vec![&root];
        while let Some(node) = left.pop() {
            match &node.value {
                Value::Alias => {
                    aliased.insert(node.anchor);
                }
                Value::Sequence { items, .. } => left.extend(items),
                Value::Mapping { entries, .. } => {
                    left.extend(entries.iter().flat_map(|(key, value)| [key, value]));
                }
                Value::Scalar(_) => {}
            }
        }
        Document { root, aliased }
    }

    /// Whether this node is written elsewhere, or is meant elsewhere as well.
    pub fn is_shared(&self, node: &Node) -> bool {
        matches!(node.value, Value::Alias) || self.aliased.contains(&node.anchor)
    }

    /// Whether a change of this node changes it and nothing else, and all that it has stands in it.
    ///
    /// # Errors
    /// Why it does not: an alias, an anchor that an alias stands for, a merge key, or no mapping or sequence at all.
    pub fn changeable<'a>(&self, node: &'a Node, what: &str) -> Result<&'a Node, Wrong> {
        let inline = "write it out in its place";
        match &node.value {
            Value::Alias => Err(Wrong::at(
                node.place,
                format!(
                    "`{what}` is an alias, and what it stands for cannot be changed here alone"
                ),
                inline,
            )),
            _ if self.aliased.contains(&node.anchor) => Err(Wrong::at(
                node.place,
                format!("an alias stands for `{what}`, and would be changed with it"),
                inline,
            )),
            Value::Mapping { .. } if node.get("<<").is_some() => Err(Wrong::at(
                node.place,
                format!("`{what}` has a merge key"),
                "write out what it merges",
            )),
            Value::Scalar(_) => Err(Wrong::at(
                node.place,
                format!("`{what}` is a single value, or empty"),
                "leave the key out when it has nothing",
            )),
            Value::Mapping { .. } | Value::Sequence { .. } => Ok(node),
        }
    }
}

/// Reads every document of a file; those without content are left out.
///
/// # Errors
/// What is no YAML, the first key that is there twice, or what is nested too deep.
pub(super) fn read(text: &str) -> Result<Vec<Document>, Wrong> {
    let mut reading = Reading::new(text);
    for event in Parser::new_from_str(text) {
        // The first error ends it: the parser would repeat it for ever.
        let (event, span) = event.map_err(|error| Wrong {
            line: error.marker().line(),
            column: error.marker().col() + 1,
            message: format!("this is not YAML: {}", error.info()),
            help: "",
        })?;
        let place = reading.place(span);
        reading.take(event, place)?;
    }
    let mut documents = reading.documents;
    documents.retain(|document| document.root.text() != Some(""));
    Ok(documents)
}

struct Reading<'a> {
    text: &'a str,
    /// Where each character starts, and the end.
    offsets: Vec<usize>,
    documents: Vec<Document>,
    /// The mappings and sequences that have not ended, each with the key whose value comes next.
    open: Vec<(Node, Option<Node>)>,
}

impl<'a> Reading<'a> {
    fn new(text: &'a str) -> Self {
        let starts = text.char_indices().map(|(at, _)| at);
        Reading {
            text,
            offsets: starts.chain([text.len()]).collect(),
            documents: Vec::new(),
            open: Vec::new(),
        }
    }

    fn place(&self, span: Span) -> Place {
        let offset = |index: usize| self.offsets.get(index).copied();
        Place {
            start: offset(span.start.index()).unwrap_or(self.text.len()),
            end: offset(span.end.index()).unwrap_or(self.text.len()),
            line: span.start.line(),
            column: span.start.col() + 1,
        }
    }

    fn take(&mut self, event: Event<'_>, mut place: Place) -> Result<(), Wrong> {
        let mut flow = false;
        if matches!(event, Event::MappingStart(..) | Event::SequenceStart(..))
            && let Some(end) = self.bracket(place)
        {
            place.end = end;
            flow = true;
        }
        let node = |value, anchor| Node {
            value,
            place,
            anchor,
        };
        match event {
            Event::MappingStart(anchor, _) => {
                let entries = Vec::new();
                self.begin(node(Value::Mapping { entries, flow }, anchor))
            }
            Event::SequenceStart(anchor, _) => {
                let items = Vec::new();
                self.begin(node(Value::Sequence { items, flow }, anchor))
            }
            Event::MappingEnd | Event::SequenceEnd => match self.open.pop() {
                Some((ended, _)) => self.end(ended),
                None => Ok(()),
            },
            Event::Scalar(text, _, anchor, _) => {
                self.end(node(Value::Scalar(text.into_owned()), anchor))
            }
            Event::Alias(anchor) => self.end(node(Value::Alias, anchor)),
            _ => Ok(()),
        }
    }

    /// Where the bracket ends with which a mapping or sequence in flow style begins: behind its anchor and tag.
    fn bracket(&self, place: Place) -> Option<usize> {
        // In block style nothing of it is its own but those two.
        let mut rest = &self.text[place.start..place.end];
        loop {
            rest = rest.trim_start();
            if rest.starts_with(['{', '[']) {
                return Some(place.end - rest.len() + 1);
            }
            let end = match rest.chars().next()? {
                '#' => rest.find('\n')?,
                '&' | '!' => rest.find(char::is_whitespace)?,
                _ => return None,
            };
            rest = &rest[end..];
        }
    }

    fn begin(&mut self, node: Node) -> Result<(), Wrong> {
        if self.open.len() == DEPTH {
            return Err(Wrong::at(node.place, "this is nested too deep", ""));
        }
        self.open.push((node, None));
        Ok(())
    }

    /// Gives a node that is whole to the one that it stands in.
    fn end(&mut self, node: Node) -> Result<(), Wrong> {
        let Some((parent, awaiting)) = self.open.last_mut() else {
            self.documents.push(Document::new(node));
            return Ok(());
        };
        match &mut parent.value {
            Value::Sequence { items, .. } => items.push(node),
            Value::Mapping { entries, .. } => match awaiting.take() {
                Some(key) => entries.push((key, node)),
                None => {
                    let twice = |(key, _): &(Node, Node)| key.text() == node.text();
                    if let (Some(name), true) = (node.text(), entries.iter().any(twice)) {
                        let message = format!("the key `{name}` is there twice");
                        return Err(Wrong::at(node.place, message, ""));
                    }
                    *awaiting = Some(node);
                }
            },
            Value::Scalar(_) | Value::Alias => {}
        }
        Ok(())
    }
}
