//! The header section of a message, in the form in which it arrived.
//!
//! A head stays one block of bytes: a field is a few spans into it, so a header that nobody looks at costs some
//! integers on the way in and a copy on the way out, and keeps its case. Fields that a policy adds go to a second
//! block behind it. HTTP/2 writes what it decodes as lines of HTTP/1, so that either can pass them on as they are.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

mod flat;
pub mod length;
mod names;

pub use flat::Spans;
use flat::{Field, Flat, MOST};
pub use names::{Key, MIRRORED, Name, NameSet, Names, REASON, is_name, is_our_word};

/// A field that many messages get, as the line that it will be.
pub struct Line {
    text: Box<[u8]>,
    value_len: usize,
    key: Key,
}

impl Line {
    pub fn new(name: &HeaderName, value: &HeaderValue) -> Self {
        let (name, value) = (name.as_str().as_bytes(), value.as_bytes());
        Line {
            text: [name, b": ", value, b"\r\n"].concat().into(),
            value_len: value.len(),
            key: Key::of(name),
        }
    }
}

/// Header fields in order of arrival. Names compare without regard to case (RFC 9110, section 5.1).
#[derive(Clone, Default)]
pub struct Headers(Flat);

impl Headers {
    pub fn new() -> Self {
        Self::default()
    }

    /// The most bytes that a received head may have. Who limits heads, limits them to no more than that.
    pub const MOST_RECEIVED: usize = MOST;

    /// Fields that lie in `received`, as their parser has checked them: no name that is not a token, no value that a
    /// field may not have.
    pub fn from_received(received: Bytes, spans: Spans) -> Self {
        debug_assert!(received.len() <= Self::MOST_RECEIVED);
        let headers = Headers(Flat::new(received, spans));
        debug_assert!(headers.iter().all(is_sound), "{headers:?} was not checked");
        headers
    }

    /// The first value under `name`.
    pub fn get(&self, name: &HeaderName) -> Option<&[u8]> {
        self.0.get(name.as_str())
    }

    /// The same for a name that is known beforehand.
    #[inline]
    pub fn find(&self, name: &Name) -> Option<&[u8]> {
        self.0.first(name.key(), name.as_str())
    }

    /// Whether there is a field of this name.
    #[inline(always)]
    pub fn has(&self, name: &Name) -> bool {
        let (key, lower) = (name.key(), name.as_str());
        // `any` would be a call of its own wherever the compiler shares its closure.
        for field in self.0.fields_for(key) {
            if self.0.is(field, key, lower) {
                return true;
            }
        }
        false
    }

    /// The first value under `name`, when it is visible ASCII or UTF-8 text.
    pub fn get_str(&self, name: &HeaderName) -> Option<&str> {
        self.get(name).and_then(|v| std::str::from_utf8(v).ok())
    }

    /// Every value under `name`, in order.
    pub fn get_all<'a>(&'a self, name: &'a HeaderName) -> impl Iterator<Item = &'a [u8]> {
        let name = name.as_str();
        Iter(&self.0, self.0.fields_for(Key::of(name.as_bytes())))
            .filter(move |(n, _)| n.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, v)| v)
    }

    /// False only if none of `names` is here: answered without a look at the fields.
    #[inline]
    pub fn may_have(&self, names: &Names) -> bool {
        self.0.may_have_any(names)
    }

    pub fn contains(&self, name: &HeaderName) -> bool {
        self.get(name).is_some()
    }

    /// Puts one value under `name`, in place of all that were there.
    pub fn insert(&mut self, name: &HeaderName, value: &HeaderValue) {
        self.0.remove(name.as_str());
        self.0.push(name.as_str().as_bytes(), value.as_bytes());
    }

    /// Puts one value of printable ASCII under `name`, in place of all that were there. Other text is not put.
    pub fn insert_text(&mut self, name: &HeaderName, text: impl AsRef<[u8]>) {
        let text = text.as_ref();
        // All bytes are looked at, so that many can be at once.
        let printable = |sound, byte: &u8| sound & matches!(byte, b' '..=b'~');
        if text.iter().fold(true, printable) {
            self.0.remove(name.as_str());
            self.0.push(name.as_str().as_bytes(), text);
        }
    }

    /// Adds a value under `name`, beside those that are there.
    pub fn append(&mut self, name: &HeaderName, value: &HeaderValue) {
        self.0.push(name.as_str().as_bytes(), value.as_bytes());
    }

    /// Adds a field, beside those that are there.
    pub fn append_line(&mut self, line: &Line) {
        self.0.push_ready(line.key, line.value_len, &line.text);
    }

    /// Adds a field whose line is whole, with `: ` behind its name, beside those that are there.
    #[inline]
    pub(crate) fn append_whole(&mut self, name: &Name, line: &[u8]) {
        let value_len = line.len() - name.as_str().len() - 4;
        self.0.push_ready(name.key(), value_len, line);
    }

    /// Replaces the value under `name`, whose fields are all one that was added, by one of the same length. Where that is not
    /// so nothing changes, and the answer is false.
    pub(crate) fn overwrite_added(&mut self, name: &Name, value: &[u8]) -> bool {
        self.0.overwrite_added(name, value)
    }

    /// Adds a value under `name`, beside those that are there. It must be one that a header may have.
    pub(crate) fn append_bytes(&mut self, name: &HeaderName, value: &[u8]) {
        debug_assert!(HeaderValue::from_bytes(value).is_ok());
        self.0.push(name.as_str().as_bytes(), value);
    }

    /// Removes every value under `name`; says whether there was one.
    pub fn remove(&mut self, name: &HeaderName) -> bool {
        self.0.remove(name.as_str())
    }

    /// Removes every value under each of `names`. Costs next to nothing when there are none.
    #[inline]
    pub fn remove_all(&mut self, names: &Names) {
        if self.may_have(names) {
            self.0.remove_all(names);
        }
    }

    /// The same for names that the config knows.
    pub fn remove_set(&mut self, names: &NameSet) {
        self.0.remove_set(names);
    }

    /// Keeps the fields for which `keep(name, value)` holds.
    pub fn retain(&mut self, keep: impl FnMut(&[u8], &[u8]) -> bool) {
        self.0.retain(keep);
    }

    /// Names and values in order. A name has the case in which it arrived.
    pub fn iter(&self) -> Iter<'_> {
        Iter(&self.0, self.0.fields())
    }

    /// The same without the fields of `except`.
    pub fn iter_except<'a>(
        &'a self,
        except: &'a Names,
    ) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        let all = !self.0.may_have_any(except);
        let fields = self.0.fields();
        let fields = fields.filter(move |field| all || !self.0.is_one_of(field, except));
        fields.map(|field| (self.0.name(field), self.0.value(field)))
    }

    /// The number of fields.
    pub fn len(&self) -> usize {
        self.0.fields().len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The fields as the type that libraries ask for.
    pub fn into_map(self) -> HeaderMap {
        let mut map = HeaderMap::with_capacity(self.len());
        for (name, value) in self.iter() {
            // Both were checked when they entered, by the same rules as these types have.
            if let (Ok(name), Ok(value)) =
                (HeaderName::from_bytes(name), HeaderValue::from_bytes(value))
            {
                map.append(name, value);
            }
        }
        map
    }

    /// Writes the fields as lines of HTTP/1, but for those of `except`.
    pub fn put_lines(&self, out: &mut Vec<u8>, except: &Names) {
        self.0.put_lines(out, except);
    }

    /// Whether `Content-Length` says `length` in the form that everybody reads alike.
    pub fn tell_length(&self, length: u64) -> bool {
        self.0.only(&Name::CONTENT_LENGTH).is_some_and(|value| {
            length::read(value) == Ok(length) && (value.len() == 1 || value[0] != b'0')
        })
    }
}

impl From<HeaderMap> for Headers {
    fn from(map: HeaderMap) -> Self {
        let mut headers = Headers::new();
        for (name, value) in &map {
            headers.append(name, value);
        }
        headers
    }
}

/// Whether a name is a token, and its value one that a field may have (RFC 9110, sections 5.1 and 5.5).
fn is_sound((name, value): (&[u8], &[u8])) -> bool {
    // By parts, as the type takes no name that is as long as a head may be.
    let is_token = |part| HeaderName::from_bytes(part).is_ok();
    !name.is_empty() && name.chunks(1 << 10).all(is_token) && HeaderValue::from_bytes(value).is_ok()
}

/// Shows names only: a value may be a secret.
impl std::fmt::Debug for Headers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(self.iter().map(|(n, _)| String::from_utf8_lossy(n)))
            .finish()
    }
}

/// Iterator over names and values, made by [`Headers::iter`].
pub struct Iter<'a>(&'a Flat, std::slice::Iter<'a, Field>);

impl<'a> Iterator for Iter<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        self.1
            .next()
            .map(|field| (self.0.name(field), self.0.value(field)))
    }
}

/// Whether a value that is a comma-separated list has this word, in any case.
pub fn lists(value: &[u8], word: &str) -> bool {
    value
        .split(|byte| *byte == b',')
        .any(|element| element.trim_ascii().eq_ignore_ascii_case(word.as_bytes()))
}

#[cfg(test)]
mod tests;
