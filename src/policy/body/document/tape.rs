//! A document as it came: its text, and where in it each value stands.
//!
//! Nothing is copied out of the text before somebody asks for it. An entry has twelve bytes, and the shortest value of
//! a list two, so a document takes at most six times the memory of its text, and usually about as much again.

use std::borrow::Cow;

use serde_json::{Number, Value};

/// What a scan has found.
#[derive(Clone, Debug, Default)]
pub struct Tape<'a> {
    pub(super) text: Cow<'a, str>,
    /// The root, and behind each list or object what is in it: of an object by turns a key and its value.
    pub(super) entries: Vec<Entry>,
}

/// Where one value or key stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    /// Its first byte, which is the quote of a string and the bracket of a list or object.
    pub start: u32,
    /// Behind its last byte.
    pub end: u32,
    /// Twice the number of the entry behind all that is in it, and 1 more if its text is not as [`Node::write`] has it.
    pub link: u32,
}

impl Entry {
    pub fn is_plain(self) -> bool {
        self.link & 1 == 0
    }

    pub fn next(self) -> usize {
        (self.link >> 1) as usize
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Null,
    Bool,
    Number,
    String,
    List,
    Object,
}

/// One value of a document that was scanned.
#[derive(Clone, Copy, Debug)]
pub struct Node<'a> {
    tape: &'a Tape<'a>,
    at: u32,
}

impl<'a> Tape<'a> {
    pub fn root(&'a self) -> Node<'a> {
        Node { tape: self, at: 0 }
    }

    /// A document that is a string.
    pub fn of_string(string: &str) -> Tape<'static> {
        let text = Value::from(string).to_string();
        let is_plain = text.len() == string.len() + 2;
        let entry = Entry {
            start: 0,
            end: text.len() as u32,
            link: 2 + u32::from(!is_plain),
        };
        Tape {
            text: text.into(),
            entries: vec![entry],
        }
    }
}

impl<'a> Node<'a> {
    fn entry(self) -> Entry {
        self.tape.entries[self.at as usize]
    }

    pub fn kind(self) -> Kind {
        match self.tape.text.as_bytes()[self.entry().start as usize] {
            b'"' => Kind::String,
            b'{' => Kind::Object,
            b'[' => Kind::List,
            b't' | b'f' => Kind::Bool,
            b'n' => Kind::Null,
            _ => Kind::Number,
        }
    }

    /// As it stands in the document.
    pub fn text(self) -> &'a str {
        let Entry { start, end, .. } = self.entry();
        &self.tape.text[start as usize..end as usize]
    }

    /// The number among all values and keys of the document.
    pub fn index(self) -> u32 {
        self.at
    }

    pub fn tape(self) -> &'a Tape<'a> {
        self.tape
    }

    /// Of a string or key: what it says.
    pub fn string(self) -> Cow<'a, str> {
        let text = self.text();
        if self.entry().is_plain() {
            Cow::Borrowed(&text[1..text.len() - 1])
        } else {
            unescaped(text)
        }
    }

    /// Of a number, with its exponent as [`Number`] writes it.
    pub fn number(self) -> Cow<'a, str> {
        let text = self.text();
        if self.entry().is_plain() {
            return Cow::Borrowed(text);
        }
        let number = text.parse::<Number>().map(|number| number.to_string());
        number.map_or(Cow::Borrowed(text), Cow::Owned)
    }

    /// Of a list: what is in it. Nothing of anything else.
    pub fn items(self) -> Items<'a> {
        let end = match self.kind() {
            Kind::List => self.entry().next(),
            _ => 0,
        };
        Items {
            tape: self.tape,
            at: self.at as usize + 1,
            end,
        }
    }

    /// Of an object: keys and values. Nothing of anything else.
    pub fn fields(self) -> Fields<'a> {
        let end = match self.kind() {
            Kind::Object => self.entry().next(),
            _ => 0,
        };
        Fields(Items {
            tape: self.tape,
            at: self.at as usize + 1,
            end,
        })
    }

    /// Whether this key is `name`.
    pub fn is(self, name: &str) -> bool {
        let Entry { start, end, .. } = self.entry();
        if self.entry().is_plain() {
            (end - start) as usize == name.len() + 2 && self.string() == name
        } else {
            self.string() == name
        }
    }

    pub fn get(self, name: &str) -> Option<Node<'a>> {
        let mut fields = self.fields();
        fields.find(|(key, _)| key.is(name)).map(|(_, value)| value)
    }

    /// Whether a list or object has something in it.
    pub fn has_parts(self) -> bool {
        self.entry().next() > self.at as usize + 1
    }

    /// A copy that stands for itself.
    pub fn to_value(self) -> Value {
        match self.kind() {
            Kind::Null => Value::Null,
            Kind::Bool => Value::Bool(self.is_true()),
            // The scan has seen to it that it is one.
            Kind::Number => self.text().parse().map_or(Value::Null, Value::Number),
            Kind::String => Value::String(self.string().into_owned()),
            Kind::List => Value::Array(self.items().map(Node::to_value).collect()),
            Kind::Object => {
                let fields = self.fields();
                let fields =
                    fields.map(|(key, value)| (key.string().into_owned(), value.to_value()));
                Value::Object(fields.collect())
            }
        }
    }

    pub fn is_true(self) -> bool {
        self.text().starts_with('t')
    }

    /// Writes it without blanks, and its strings and numbers as `serde_json` does.
    pub fn write(self, out: &mut Vec<u8>) {
        let text = self.tape.text.as_bytes();
        let Entry { start, end, .. } = self.entry();
        if self.entry().is_plain() {
            out.extend_from_slice(&text[start as usize..end as usize]);
            return;
        }
        out.reserve((end - start) as usize);
        let mut written = start as usize;
        for at in self.at..self.entry().next() as u32 {
            let node = Node { at, ..self };
            let Entry { start, end, .. } = node.entry();
            let (start, end) = (start as usize, end as usize);
            // Between two values are commas, colons, brackets and blanks.
            out.extend(text[written..start].iter().filter(|byte| **byte > b' '));
            written = start;
            match text[start] {
                b'{' | b'[' => continue,
                _ if node.entry().is_plain() => out.extend_from_slice(&text[start..end]),
                b'"' => write_string(&node.string(), out),
                _ => out.extend_from_slice(node.number().as_bytes()),
            }
            written = end;
        }
        out.extend(
            text[written..end as usize]
                .iter()
                .filter(|byte| **byte > b' '),
        );
    }
}

/// The values of a list.
#[derive(Clone)]
pub struct Items<'a> {
    tape: &'a Tape<'a>,
    at: usize,
    end: usize,
}

impl<'a> Iterator for Items<'a> {
    type Item = Node<'a>;

    fn next(&mut self) -> Option<Node<'a>> {
        if self.at >= self.end {
            return None;
        }
        let at = self.at;
        self.at = self.tape.entries[at].next();
        Some(Node {
            tape: self.tape,
            at: at as u32,
        })
    }
}

/// The keys and values of an object.
#[derive(Clone)]
pub struct Fields<'a>(Items<'a>);

impl<'a> Iterator for Fields<'a> {
    type Item = (Node<'a>, Node<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        Some((self.0.next()?, self.0.next()?))
    }
}

/// What a string of JSON says that was scanned.
pub(super) fn unescaped(text: &str) -> Cow<'_, str> {
    Cow::Owned(serde_json::from_str(text).unwrap_or_default())
}

pub fn write_string(string: &str, out: &mut Vec<u8>) {
    let needs_escape = |byte: &u8| matches!(byte, 0..0x20 | b'"' | b'\\');
    if string.as_bytes().iter().any(needs_escape) {
        out.extend_from_slice(Value::from(string).to_string().as_bytes());
    } else {
        out.push(b'"');
        out.extend_from_slice(string.as_bytes());
        out.push(b'"');
    }
}
