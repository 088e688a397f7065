//! Reads the text of a document once, and notes where its values stand.
//!
//! It takes no less for JSON than [`super::read`] does, and no more. What it does not take is read once more by that,
//! which can tell what is wrong.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::tape::{Entry, Tape, unescaped};
use super::text::Text;

/// Lists and objects in each other, as `serde_json` has it.
const DEEPEST: usize = 127;

/// The values of a document; None when it is not valid, has a key twice, a surrogate escape that stands alone, or 1 GiB.
pub fn scan(text: Cow<'_, str>) -> Option<Tape<'_>> {
    if text.len() > 1 << 30 {
        return None;
    }
    let entries = Scanner::new(text.as_bytes()).document()?;
    Some(Tape { text, entries })
}

/// A list or object whose end has not come yet.
struct Open {
    entry: usize,
    /// How many keys are open around it.
    keys: usize,
    is_object: bool,
    /// Whether all of it is written as it would be here.
    is_plain: bool,
    /// A bit for each key, by its mark.
    seen: u64,
    /// Whether two keys have one bit.
    may_have_twice: bool,
}

/// A key of an open object.
#[derive(Clone, Copy)]
struct Key {
    /// Tells most keys from each other: the first bytes of its text.
    mark: u64,
    start: u32,
    end: u32,
    is_plain: bool,
}

struct Scanner<'a> {
    text: Text<'a>,
    entries: Vec<Entry>,
    open: Vec<Open>,
    keys: Vec<Key>,
    /// The innermost open list or object, kept apart from those around it.
    inner: Open,
}

impl<'a> Scanner<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Scanner {
            text: Text(bytes),
            entries: Vec::with_capacity(bytes.len() / 8 + 4),
            open: Vec::new(),
            keys: Vec::new(),
            // Around the whole document: nothing ends it.
            inner: Open {
                entry: 0,
                keys: 0,
                is_object: false,
                is_plain: true,
                seen: 0,
                may_have_twice: false,
            },
        }
    }

    fn document(mut self) -> Option<Vec<Entry>> {
        let text = self.text;
        let mut at = text.behind_blanks(0);
        'value: loop {
            let start = at;
            match text.byte(at) {
                b'"' => {
                    let is_plain;
                    (at, is_plain) = text.behind_string(at)?;
                    self.leaf(start, at, is_plain);
                }
                bracket @ (b'{' | b'[') => {
                    self.begin(at, bracket == b'{')?;
                    at = self.blanks(at + 1);
                    // Two further in ASCII is the bracket that ends it.
                    if text.byte(at) == bracket + 2 {
                        at += 1;
                        self.end(at)?;
                    } else {
                        if bracket == b'{' {
                            at = self.key(at)?;
                        }
                        continue 'value;
                    }
                }
                b'-' | b'0'..=b'9' => {
                    let is_plain;
                    (at, is_plain) = text.behind_number(at)?;
                    self.leaf(start, at, is_plain);
                }
                b't' => {
                    at = text.behind_word(at, b"true")?;
                    self.leaf(start, at, true);
                }
                b'f' => {
                    at = text.behind_word(at, b"false")?;
                    self.leaf(start, at, true);
                }
                b'n' => {
                    at = text.behind_word(at, b"null")?;
                    self.leaf(start, at, true);
                }
                _ => return None,
            }
            // Behind a value: what ends here, until another one begins.
            loop {
                at = self.blanks(at);
                if self.open.is_empty() {
                    return (at == text.0.len()).then_some(self.entries);
                }
                match (text.byte(at), self.inner.is_object) {
                    (b',', is_object) => {
                        at = self.blanks(at + 1);
                        if is_object {
                            at = self.key(at)?;
                        }
                        continue 'value;
                    }
                    (b'}', true) | (b']', false) => {
                        at += 1;
                        self.end(at)?;
                    }
                    _ => return None,
                }
            }
        }
    }

    /// Where the blanks that begin at `at` have ended. Where there are some, what they stand in is not plain.
    #[inline(always)]
    fn blanks(&mut self, at: usize) -> usize {
        let behind = self.text.behind_blanks(at);
        self.inner.is_plain &= behind == at;
        behind
    }

    #[inline(always)]
    fn leaf(&mut self, start: usize, end: usize, is_plain: bool) {
        let next = self.entries.len() as u32 + 1;
        self.entries.push(Entry {
            start: start as u32,
            end: end as u32,
            link: next << 1 | u32::from(!is_plain),
        });
        self.inner.is_plain &= is_plain;
    }

    #[inline(always)]
    fn begin(&mut self, at: usize, is_object: bool) -> Option<()> {
        if self.open.len() == DEEPEST {
            return None;
        }
        let inner = Open {
            entry: self.entries.len(),
            keys: self.keys.len(),
            is_object,
            is_plain: true,
            seen: 0,
            may_have_twice: false,
        };
        self.open.push(std::mem::replace(&mut self.inner, inner));
        self.entries.push(Entry {
            start: at as u32,
            end: 0,
            link: 0,
        });
        Some(())
    }

    #[inline(always)]
    fn end(&mut self, end: usize) -> Option<()> {
        let around = self.open.pop()?;
        let ended = std::mem::replace(&mut self.inner, around);
        if ended.may_have_twice && has_twice(self.text.0, &mut self.keys[ended.keys..]) {
            return None;
        }
        self.keys.truncate(ended.keys);
        let next = self.entries.len() as u32;
        let entry = &mut self.entries[ended.entry];
        entry.end = end as u32;
        entry.link = next << 1 | u32::from(!ended.is_plain);
        self.inner.is_plain &= ended.is_plain;
        Some(())
    }

    /// Takes a key and its colon. Where the value begins.
    #[inline(always)]
    fn key(&mut self, start: usize) -> Option<usize> {
        if self.text.byte(start) != b'"' {
            return None;
        }
        let (end, is_plain) = self.text.behind_string(start)?;
        self.leaf(start, end, is_plain);
        let mark = if is_plain {
            mark(self.text.0, start + 1, end - 1)
        } else {
            let text = unescaped_bytes(self.text.0, start, end);
            // Unescaped it stands nowhere in the text, or nobody would have scanned it.
            if *text == *super::NUMBER.as_bytes() {
                return None;
            }
            mark(&text, 0, text.len())
        };
        // The top six bits of the product.
        let bit = 1 << (mark.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58);
        self.inner.may_have_twice |= self.inner.seen & bit != 0;
        self.inner.seen |= bit;
        self.keys.push(Key {
            mark,
            start: start as u32,
            end: end as u32,
            is_plain,
        });
        let colon = self.blanks(end);
        if self.text.byte(colon) != b':' {
            return None;
        }
        Some(self.blanks(colon + 1))
    }
}

/// Of the first eight bytes of a key, and of its length.
#[inline(always)]
fn mark(bytes: &[u8], start: usize, end: usize) -> u64 {
    let length = end - start;
    let first = match bytes[start..].first_chunk::<8>() {
        Some(chunk) => u64::from_le_bytes(*chunk),
        None => bytes[start..end]
            .iter()
            .rev()
            .fold(0, |sum, byte| sum << 8 | u64::from(*byte)),
    };
    let kept = if length < 8 {
        first & !(u64::MAX << (8 * length))
    } else {
        first
    };
    kept ^ (length as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// Up to this many keys are compared each with each.
const FEW: usize = 12;

/// Whether two of an object's keys are the same.
fn has_twice(bytes: &[u8], keys: &mut [Key]) -> bool {
    let text = |key: &Key| {
        let (start, end) = (key.start as usize, key.end as usize);
        if key.is_plain {
            Cow::Borrowed(&bytes[start + 1..end - 1])
        } else {
            unescaped_bytes(bytes, start, end)
        }
    };
    if keys.len() <= FEW {
        return keys.iter().enumerate().any(|(index, key)| {
            let before = &keys[..index];
            before
                .iter()
                .any(|other| other.mark == key.mark && text(other) == text(key))
        });
    }
    let order = |a: &Key, b: &Key| match a.mark.cmp(&b.mark) {
        Ordering::Equal => text(a).cmp(&text(b)),
        unequal => unequal,
    };
    keys.sort_unstable_by(order);
    keys.windows(2)
        .any(|pair| order(&pair[0], &pair[1]).is_eq())
}

fn unescaped_bytes(bytes: &[u8], start: usize, end: usize) -> Cow<'_, [u8]> {
    let text = std::str::from_utf8(&bytes[start..end]).unwrap_or_default();
    Cow::Owned(unescaped(text).into_owned().into_bytes())
}
