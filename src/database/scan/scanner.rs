//! A statement byte by byte, as a kind of database divides it.

use super::{Kind, Scanned};

/// Words that change something, wherever they stand, or may lock rows.
const WRITES: [&str; 10] = [
    "insert", "update", "delete", "merge", "truncate", "into", "call", "create", "alter", "drop",
];
/// With these a query begins.
const READS: [&str; 7] = [
    "select", "values", "table", "show", "with", "explain", "describe",
];
/// Functions whose effect outlives the transaction.
const MARKS: [&str; 11] = [
    "set_config",
    "pg_advisory_lock",
    "pg_advisory_lock_shared",
    "pg_try_advisory_lock",
    "pg_try_advisory_lock_shared",
    "setseed",
    "get_lock",
    "dblink_connect",
    "temp",
    "temporary",
    "hold",
];

pub(super) fn scan(text: &str, kind: Kind) -> Scanned {
    let mut scanner = Scanner {
        text,
        bytes: text.as_bytes(),
        at: 0,
        kind,
        found: Scanned::default(),
        in_command: false,
        words: 0,
        writes: false,
    };
    scanner.run();
    let mut found = scanner.found;
    found.only_reads = READS.contains(&found.first.as_str()) && !scanner.writes;
    found
}

struct Scanner<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    kind: Kind,
    found: Scanned,
    /// Something stands behind the last semicolon.
    in_command: bool,
    words: usize,
    writes: bool,
}

impl Scanner<'_> {
    fn run(&mut self) {
        while let Some(byte) = self.peek(0) {
            if self.comment() {
                continue;
            }
            match byte {
                b';' => {
                    self.in_command = false;
                    self.at += 1;
                    continue;
                }
                byte if byte.is_ascii_whitespace() => {
                    self.at += 1;
                    continue;
                }
                _ => {}
            }
            if !self.in_command {
                self.in_command = true;
                self.found.commands += 1;
            }
            match byte {
                b'\'' => self.quoted(b'\'', self.kind == Kind::MySql),
                b'"' => self.quoted(b'"', self.kind == Kind::MySql),
                b'`' if self.kind != Kind::Postgres => self.quoted(b'`', false),
                b'[' if self.kind == Kind::Sqlite => self.quoted(b']', false),
                b'$' | b':' | b'@' if self.kind == Kind::Sqlite => self.named(byte),
                b'$' => self.dollar(),
                b'?' if self.kind != Kind::Postgres => self.question_mark(),
                b'@' if self.kind == Kind::MySql => self.variable(),
                byte if is_word(byte) => self.word(),
                _ => self.at += 1,
            }
        }
    }

    fn peek(&self, ahead: usize) -> Option<u8> {
        self.bytes.get(self.at + ahead).copied()
    }

    /// Passes a comment, if one begins here.
    fn comment(&mut self) -> bool {
        let rest = &self.bytes[self.at..];
        let dashes = rest.starts_with(b"--")
            && (self.kind != Kind::MySql || rest.get(2).is_none_or(u8::is_ascii_whitespace));
        if dashes || (rest.starts_with(b"#") && self.kind == Kind::MySql) {
            let end = rest.iter().position(|byte| *byte == b'\n');
            self.at += end.unwrap_or(rest.len());
            return true;
        }
        if !rest.starts_with(b"/*") {
            return false;
        }
        // What MariaDB runs although it stands in a comment counts as what it is.
        if self.kind == Kind::MySql && (rest.starts_with(b"/*!") || rest.starts_with(b"/*M!")) {
            self.writes = true;
        }
        let mut depth = 0;
        while let Some(byte) = self.peek(0) {
            match (byte, self.peek(1)) {
                (b'/', Some(b'*')) if depth == 0 || self.kind == Kind::Postgres => {
                    depth += 1;
                    self.at += 2;
                }
                (b'*', Some(b'/')) => {
                    depth -= 1;
                    self.at += 2;
                    if depth == 0 {
                        return true;
                    }
                }
                _ => self.at += 1,
            }
        }
        self.found.is_open = true;
        true
    }

    /// Passes what stands in quotes; one that is written twice is none.
    fn quoted(&mut self, end: u8, has_escapes: bool) {
        self.at += 1;
        while let Some(byte) = self.peek(0) {
            self.at += 1;
            if byte == b'\\' && has_escapes {
                self.at += 1;
            } else if byte == end {
                if self.peek(0) == Some(end) && end != b']' {
                    self.at += 1;
                } else {
                    return;
                }
            }
        }
        self.at = self.bytes.len();
        self.found.is_open = true;
    }

    /// `$1`, or text between `$tag$` and `$tag$`.
    fn dollar(&mut self) {
        let digits = self.digits(1);
        if digits > 0 {
            self.placeholder(1, digits);
            return;
        }
        let rest = &self.text[self.at..];
        let tag = rest[1..].find('$').map(|end| &rest[..end + 2]);
        let tag = tag.filter(|tag| tag[1..tag.len() - 1].bytes().all(is_word));
        match tag {
            Some(tag) if self.kind == Kind::Postgres => {
                let inner = &rest[tag.len()..];
                match inner.find(tag) {
                    Some(end) => self.at += tag.len() + end + tag.len(),
                    None => {
                        self.at = self.bytes.len();
                        self.found.is_open = true;
                    }
                }
            }
            _ => self.at += 1,
        }
    }

    /// `$1`, or what SQLite takes for a variable: a name behind one of its marks, whatever stands in its brackets included.
    fn named(&mut self, mark: u8) {
        let digits = self.digits(1);
        let behind = &self.bytes[self.at + 1 + digits..];
        let goes_on = behind
            .first()
            .is_some_and(|byte| is_word(*byte) || *byte == b'(')
            || behind.starts_with(b"::");
        if mark == b'$' && digits > 0 && !goes_on {
            self.form(b'$', 1 + digits);
            self.placeholder(1, digits);
            return;
        }
        let name = behind.iter().take_while(|byte| is_word(**byte)).count();
        let length = 1 + digits + name;
        if length > 1 {
            self.unnumbered(length);
        }
        self.at += length;
    }

    /// `?`, which is the next one, or `?1`.
    fn question_mark(&mut self) {
        let digits = self.digits(1);
        if digits > 0 {
            if self.kind == Kind::Sqlite {
                self.form(b'?', 1 + digits);
            }
            self.placeholder(1, digits);
            return;
        }
        let number = match self.kind {
            Kind::Sqlite => self.found.highest.saturating_add(1),
            _ => self.found.placeholders.len() + 1,
        };
        self.add(1, number);
    }

    /// `@name` is a variable of the session, and `@@name` a setting.
    fn variable(&mut self) {
        let is_setting = self.peek(1) == Some(b'@');
        self.found.marks_session |= !is_setting;
        self.at += if is_setting { 2 } else { 1 };
    }

    /// `$1` has a number in SQLite by where it stands first, and `?1` by its own: both together mean something else than
    /// they say.
    fn form(&mut self, mark: u8, length: usize) {
        let first = self.found.placeholders.first();
        if first.is_some_and(|(place, _)| place.len() > 1 && self.bytes[place.start] != mark) {
            self.unnumbered(length);
        }
    }

    fn unnumbered(&mut self, length: usize) {
        let text = &self.bytes[self.at..self.at + length];
        let text = || String::from_utf8_lossy(text).into_owned();
        self.found.unnumbered.get_or_insert_with(text);
    }

    fn digits(&self, from: usize) -> usize {
        let rest = self.bytes.get(self.at + from..).unwrap_or_default();
        rest.iter().take_while(|byte| byte.is_ascii_digit()).count()
    }

    fn placeholder(&mut self, mark: usize, digits: usize) {
        let number = &self.text[self.at + mark..self.at + mark + digits];
        // One that is too large for a number is too large for all else.
        self.add(mark + digits, number.parse().unwrap_or(usize::MAX));
    }

    fn add(&mut self, length: usize, number: usize) {
        let place = self.at..self.at + length;
        self.found.placeholders.push((place, number));
        self.found.highest = self.found.highest.max(number);
        self.at += length;
    }

    fn word(&mut self) {
        let rest = &self.bytes[self.at..];
        let length = rest
            .iter()
            .take_while(|byte| is_word(**byte) || **byte == b'$')
            .count();
        let word = self.text[self.at..self.at + length].to_ascii_lowercase();
        self.at += length;
        // `E'...'` has escapes.
        if word == "e" && self.kind == Kind::Postgres && self.peek(0) == Some(b'\'') {
            self.quoted(b'\'', true);
        }
        self.writes |= WRITES.contains(&word.as_str());
        // What a procedure does is not seen here.
        let is_procedure = word == "call" && self.kind == Kind::MySql;
        self.found.marks_session |= is_procedure || MARKS.contains(&word.as_str());
        match self.words {
            0 => self.found.first = word,
            1 => self.found.second = word,
            _ => {}
        }
        self.words += 1;
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}
