//! Secrets that are known by the keys that lead to them.

use std::ops::Range;

use toml_parser::Source;
use toml_parser::parser::{Event, EventKind, RecursionGuard, parse_document};

use crate::config::suggest::nearest;
use crate::config::tree::{Node, Value};
use crate::value::names_a_secret;

/// Keys under which people write secrets.
const SECRET_KEYS: &[&str] = &[
    "credentials",
    "bearer",
    "basic",
    "api_key",
    "apikey",
    "value",
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "secret",
    "client_secret",
    "token",
    "private_key",
    "access_key",
];

/// Keys of a credential whose text says where the secret is or how it is sent.
const PUBLIC_KEYS: &[&str] = &["file", "env", "header", "token_url", "auth_style"];

/// As deep as the `toml` crate goes.
const MAX_DEPTH: u32 = 80;

/// Where the secrets stand by their keys. The parser's events go on behind what does not parse.
pub(super) fn find(text: &str) -> Vec<Range<usize>> {
    let tokens = Source::new(text).lex().into_vec();
    let mut walk = Walk {
        text,
        found: Vec::new(),
        table: Standing::Plain,
        open: Vec::new(),
        keys: Vec::new(),
        value: None,
        awaited: false,
        hidden_in_line: false,
    };
    let mut receive = |event: Event| walk.event(&event);
    let mut guard = RecursionGuard::new(&mut receive, MAX_DEPTH);
    parse_document(&tokens, &mut guard, &mut Vec::new());
    walk.hide_lone_keys();
    walk.found
}

/// Where the values stand in `node`, which is read as a secret.
pub(in crate::config) fn below(node: &Node) -> Vec<Range<usize>> {
    match &node.value {
        Value::Table(table) => {
            let hidden = |(key, _): &(&String, _)| !PUBLIC_KEYS.contains(&key.as_str());
            let inner = table.iter().filter(hidden);
            inner.flat_map(|(_, entry)| below(&entry.node)).collect()
        }
        Value::List(items) => items.iter().flat_map(below).collect(),
        _ => vec![node.place.span.clone()],
    }
}

/// What a value is, by the keys that lead to it.
#[derive(Clone, Copy, PartialEq)]
enum Standing {
    Plain,
    Secret,
    /// Text that a credential says openly.
    Public,
}

struct Walk<'a> {
    text: &'a str,
    found: Vec<Range<usize>>,
    /// Of the table that the last header began.
    table: Standing,
    /// Of the lists and inline tables that are open.
    open: Vec<Standing>,
    /// The keys read since the last value.
    keys: Vec<Range<usize>>,
    /// Of the value that comes next, once its key is known.
    value: Option<Standing>,
    /// A secret's key and `=` were the last that was read: its value may stand on the next line.
    awaited: bool,
    /// A secret stands in the line that is being read.
    hidden_in_line: bool,
}

impl Walk<'_> {
    fn event(&mut self, event: &Event) {
        let span = event.span().start()..event.span().end();
        match event.kind() {
            EventKind::StdTableOpen | EventKind::ArrayTableOpen => {
                self.open.clear();
                self.table = Standing::Plain;
                self.awaited = false;
                self.next();
            }
            EventKind::StdTableClose | EventKind::ArrayTableClose => {
                self.table = self.under_keys();
                self.next();
            }
            EventKind::SimpleKey => self.keys.push(span),
            EventKind::KeyValSep => {
                // What should be a key and has no value may be the secret itself.
                if span.is_empty() {
                    self.hide_lone_keys();
                }
                self.value = Some(self.under_keys());
                self.awaited = self.value == Some(Standing::Secret);
                self.keys.clear();
            }
            EventKind::InlineTableOpen | EventKind::ArrayOpen => {
                self.open.push(match self.standing() {
                    Standing::Public => Standing::Secret,
                    standing => standing,
                });
                self.next();
            }
            EventKind::InlineTableClose | EventKind::ArrayClose => {
                self.open.pop();
                self.next();
            }
            EventKind::Scalar | EventKind::Error if self.standing() == Standing::Secret => {
                self.awaited &= span.is_empty();
                if !self.is_boolean(&span) {
                    self.hide(span);
                }
            }
            EventKind::ValueSep => self.next(),
            EventKind::Comment if self.hidden_in_line || self.around() == Standing::Secret => {
                self.hide(span.start + 1..span.end);
            }
            EventKind::Newline => {
                if self.open.is_empty() {
                    self.hide_lone_keys();
                    self.next();
                }
                self.hidden_in_line = false;
            }
            _ => {}
        }
    }

    /// Nobody's secret is `true`, and a line without it is hard to mend.
    fn is_boolean(&self, span: &Range<usize>) -> bool {
        matches!(self.text.get(span.clone()), Some("true" | "false"))
    }

    fn hide(&mut self, span: Range<usize>) {
        self.found.push(span);
        self.hidden_in_line = true;
    }

    /// Keys without a value, where a secret is expected.
    fn hide_lone_keys(&mut self) {
        if self.awaited || self.around() == Standing::Secret {
            self.hidden_in_line |= !self.keys.is_empty();
            self.found.append(&mut self.keys);
        }
    }

    fn next(&mut self) {
        self.keys.clear();
        self.value = None;
    }

    /// Of a value that stands here.
    fn standing(&self) -> Standing {
        self.value.unwrap_or_else(|| self.under_keys())
    }

    fn around(&self) -> Standing {
        self.open.last().copied().unwrap_or(self.table)
    }

    fn under_keys(&self) -> Standing {
        let keys = self
            .keys
            .iter()
            .filter_map(|key| self.text.get(key.clone()));
        keys.fold(self.around(), |standing, key| {
            let key = key.trim_matches(['"', '\'', ':']);
            match standing {
                Standing::Plain if sounds_secret(key) => Standing::Secret,
                Standing::Plain => Standing::Plain,
                _ if PUBLIC_KEYS.contains(&key) => Standing::Public,
                _ => Standing::Secret,
            }
        })
    }
}

/// Whether a secret is likely to stand under `key`.
fn sounds_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase().replace('-', "_");
    !PUBLIC_KEYS.contains(&key.as_str())
        && (names_a_secret(&key) || nearest(&key, SECRET_KEYS.iter().copied()).is_some())
}
