//! The text of one file, and where in it something stands.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use super::fingerprint;
use super::redact::{self, redact};
use super::tree::Node;
use crate::value::Wrong;

/// The text of one file.
#[derive(Debug)]
pub(super) struct Source {
    /// The file as the operator would name it.
    pub name: String,
    /// The file itself; `None` for text that stands in no file.
    pub path: Option<PathBuf>,
    pub text: String,
    /// The text as it may be shown, once somebody asks for it: a config without a problem is never shown, and what
    /// it takes to find secrets by their looks stays in memory.
    shown: OnceLock<String>,
    /// Where more secrets stand, found when they were read.
    secrets: Mutex<Vec<Range<usize>>>,
    /// Where the file stops being UTF-8, if it does; `text` has replacement characters from there on.
    pub not_text_at: Option<usize>,
    /// The files that were found named in it, with the fingerprint of what each held when it was found: before any
    /// block reads it, so that a file that changes in between is seen as changed the next time.
    named: Mutex<BTreeMap<PathBuf, u128>>,
}

impl Source {
    pub fn new(name: String, path: Option<&Path>, bytes: &[u8]) -> Self {
        // A byte order mark is no text; without it columns count from the first letter.
        let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
        let text = String::from_utf8_lossy(bytes).into_owned();
        Source {
            name,
            path: path.map(Path::to_owned),
            shown: OnceLock::new(),
            secrets: Mutex::default(),
            text,
            not_text_at: std::str::from_utf8(bytes).err().map(|e| e.valid_up_to()),
            named: Mutex::default(),
        }
    }

    /// The files that were found named in it, with the fingerprint of what each held.
    pub fn named(&self) -> MutexGuard<'_, BTreeMap<PathBuf, u128>> {
        self.named.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers that `node` is read as a secret.
    pub fn hide(&self, node: &Node) {
        let mut secrets = self.secrets.lock().unwrap_or_else(PoisonError::into_inner);
        secrets.extend(redact::below(node));
    }

    /// Whether what stands at `span` was read as a secret.
    pub fn reads_as_secret(&self, span: &Range<usize>) -> bool {
        let secrets = self.secrets.lock().unwrap_or_else(PoisonError::into_inner);
        secrets.contains(span)
    }

    /// The text as it may be shown: secrets struck out, every byte at its place.
    pub fn shown(&self) -> &str {
        self.shown.get_or_init(|| redact(&self.text))
    }

    /// Strikes out all that was found to be a secret when it was read.
    pub fn strike_out(&mut self) {
        let secrets = self
            .secrets
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        let mut shown = self.shown.take().unwrap_or_else(|| redact(&self.text));
        for secret in std::mem::take(secrets) {
            redact::strike_out(&mut shown, secret);
        }
        self.shown = OnceLock::from(shown);
    }

    /// Whether part of what stands at `span` is a secret.
    pub fn hides(&self, span: &Range<usize>) -> bool {
        let secrets = self.secrets.lock().unwrap_or_else(PoisonError::into_inner);
        let meets = |secret: &Range<usize>| secret.start < span.end && span.start < secret.end;
        secrets.iter().any(meets) || self.text.get(span.clone()) != self.shown().get(span.clone())
    }

    /// An address that stands in this file, with the path of `unix:PATH` made whole: it counts from the directory
    /// of the file. Links are not followed, for it is the name that the operator sees. Text without a file keeps
    /// its paths.
    ///
    /// # Errors
    /// What is wrong when the directory cannot be told or not be written as text.
    pub fn whole_address<'a>(&self, text: &'a str) -> Result<Cow<'a, str>, Wrong> {
        match text.strip_prefix("unix:") {
            Some("") | None => Ok(Cow::Borrowed(text)),
            Some(path) => Ok(match self.whole_path(path)? {
                Cow::Borrowed(_) => Cow::Borrowed(text),
                Cow::Owned(path) => Cow::Owned(format!("unix:{path}")),
            }),
        }
    }

    /// The path of another file that stands in this one, made whole in the same way; it is remembered.
    ///
    /// # Errors
    /// The same.
    pub fn named_file<'a>(&self, text: &'a str) -> Result<Cow<'a, str>, Wrong> {
        if text.is_empty() {
            return Ok(Cow::Borrowed(text));
        }
        let path = self.whole_path(text)?;
        self.named()
            .entry(PathBuf::from(&*path))
            .or_insert_with_key(|path| fingerprint::of_file(path));
        Ok(path)
    }

    /// The path of a directory that stands in this one, made whole in the same way.
    ///
    /// # Errors
    /// The same.
    pub fn whole_directory<'a>(&self, text: &'a str) -> Result<Cow<'a, str>, Wrong> {
        if text.is_empty() {
            return Ok(Cow::Borrowed(text));
        }
        self.whole_path(text)
    }

    /// A path that stands in this file, made whole in the same way.
    ///
    /// # Errors
    /// The same.
    pub fn whole_path<'a>(&self, path: &'a str) -> Result<Cow<'a, str>, Wrong> {
        let directory = self.path.as_deref().and_then(Path::parent);
        let Some(directory) = directory.filter(|_| !path.starts_with('/')) else {
            return Ok(Cow::Borrowed(path));
        };
        let whole = std::path::absolute(directory.join(path)).ok();
        match whole.as_deref().and_then(Path::to_str) {
            Some(whole) => Ok(Cow::Owned(whole.to_owned())),
            None => Err(Wrong::new(format!(
                "`{path}` cannot be joined to the directory of this file"
            ))
            .help("write a whole path")),
        }
    }

    /// Line and column, both from 1; a column is a character.
    pub fn position(&self, offset: usize) -> (usize, usize) {
        let before = &self.text[..boundary(&self.text, offset)];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        (
            before.bytes().filter(|b| *b == b'\n').count() + 1,
            before[line_start..].chars().count() + 1,
        )
    }
}

/// The nearest boundary of a character at `offset` or before it.
pub(super) fn boundary(text: &str, offset: usize) -> usize {
    let start = offset.min(text.len());
    // A character has at most four bytes, and 0 is a boundary.
    (0..=start)
        .rev()
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_lines_and_characters() {
        let source = Source::new("x".into(), None, "\u{feff}aé\nb".as_bytes());
        assert_eq!(source.position(0), (1, 1));
        assert_eq!(source.position(3), (1, 3));
        assert_eq!(source.position(4), (2, 1));
        assert_eq!(source.position(99), (2, 2));
        let broken = Source::new("x".into(), None, b"ab\xff");
        assert_eq!(broken.not_text_at, Some(2));
    }
}
