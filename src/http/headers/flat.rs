//! The fields of a head where they lie.

use std::cell::RefCell;

use bytes::Bytes;

use super::names::{Key, Keys, Name, NameSet, Names, is_name};

/// Fields that lie in the head as it was received, or in a second block behind it.
#[derive(Clone)]
pub(super) struct Flat {
    /// The head as it was received.
    received: Bytes,
    /// None when there is nothing in them.
    lists: Option<Box<Lists>>,
    /// Of all fields that are here, and of some that were.
    keys: Keys,
    /// Where the lines of `received` lie, as long as every one of them is there.
    intact: Option<(u32, u32)>,
    /// A line of `added` is not there any more.
    added_broken: bool,
}

#[derive(Clone, Default)]
struct Lists {
    fields: Vec<Field>,
    /// Fields added since, a line each.
    added: Vec<u8>,
}

/// Where a field stands: in `received`, or, with [`ADDED`] set in its start, in `added`.
#[derive(Clone, Copy)]
pub(super) struct Field {
    start: u32,
    value: u32,
    value_len: u32,
    /// Behind the end of its line; 0 where its block has it in another form.
    end: u32,
    key: Key,
}

const ADDED: u32 = 1 << 31;

/// Room for a usual head, and for the handful of fields that forwarding adds.
const FIELDS_ROOM: usize = 24;
const ADDED_ROOM: usize = 256;
/// Lists that a thread keeps for the next heads, and how large they may have grown.
const KEPT: usize = 64;
const KEPT_FIELDS: usize = 128;
const KEPT_ADDED: usize = 4 << 10;

thread_local! {
    #[expect(clippy::vec_box, reason = "a head takes its lists by their box")]
    static SPARE: RefCell<Vec<Box<Lists>>> = const { RefCell::new(Vec::new()) };
}

/// Does `with` the spare lists; nothing when the thread is ending and has none any more.
fn with_spare<T>(with: impl FnOnce(&mut Vec<Box<Lists>>) -> T) -> Option<T> {
    SPARE.try_with(|spare| with(&mut spare.borrow_mut())).ok()
}

impl Lists {
    const EMPTY: &Lists = &Lists {
        fields: Vec::new(),
        added: Vec::new(),
    };

    fn take() -> Box<Self> {
        with_spare(Vec::pop).flatten().unwrap_or_else(|| {
            Box::new(Lists {
                fields: Vec::with_capacity(FIELDS_ROOM),
                added: Vec::with_capacity(ADDED_ROOM),
            })
        })
    }

    fn give(mut self: Box<Self>) {
        if self.fields.capacity() <= KEPT_FIELDS && self.added.capacity() <= KEPT_ADDED {
            self.fields.clear();
            self.added.clear();
            with_spare(|spare| {
                if spare.len() < KEPT {
                    spare.push(self);
                }
            });
        }
    }
}

/// Where the fields of a received head lie, gathered while it is parsed.
pub struct Spans {
    lists: Box<Lists>,
    keys: Keys,
    /// See [`Spans::are_lines`].
    lines: Option<(u32, u32)>,
}

impl Spans {
    pub fn with_capacity(fields: usize) -> Self {
        let mut lists = Lists::take();
        lists.fields.reserve(fields);
        Spans {
            lists,
            keys: Keys::default(),
            lines: None,
        }
    }

    /// A field whose name begins at the byte `start`, and its value at `value`.
    pub fn push(&mut self, name: &[u8], start: usize, value: usize, value_len: usize) {
        self.push_line(name, start, value, value_len, 0);
    }

    /// All fields are lines, one behind the other, from `start` to the byte before `end`.
    pub fn are_lines(&mut self, start: usize, end: usize) {
        self.lines = Some((start as u32, end as u32));
    }

    /// A field that is a line of HTTP/1, which goes on to the byte before `end`. Lines that follow each other are
    /// written as they came, by one copy.
    #[inline]
    pub fn push_line(
        &mut self,
        name: &[u8],
        start: usize,
        value: usize,
        value_len: usize,
        end: usize,
    ) -> Key {
        debug_assert!(value + value_len < ADDED as usize);
        let key = Key::of(name);
        self.keys.add(key);
        self.lists.fields.push(Field {
            start: start as u32,
            value: value as u32,
            value_len: value_len as u32,
            end: end as u32,
            key,
        });
        key
    }
}

impl Flat {
    pub fn new(received: Bytes, spans: Spans) -> Self {
        Flat {
            received,
            intact: spans.lines,
            added_broken: false,
            lists: Some(spans.lists),
            keys: spans.keys,
        }
    }

    pub fn fields(&self) -> std::slice::Iter<'_, Field> {
        self.lists().fields.iter()
    }

    fn lists(&self) -> &Lists {
        self.lists.as_deref().unwrap_or(Lists::EMPTY)
    }

    /// The fields among which one is `name`, if there is one at all.
    #[inline]
    pub fn fields_for(&self, key: Key) -> std::slice::Iter<'_, Field> {
        if self.keys.may_have(key) {
            self.fields()
        } else {
            [].iter()
        }
    }

    #[inline]
    pub fn may_have_any(&self, names: &Names) -> bool {
        self.keys.may_have_any(names.keys())
    }

    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.first(Key::of(name.as_bytes()), name)
    }

    /// The first value under `name`, whose key is `key`.
    pub fn first(&self, key: Key, name: &str) -> Option<&[u8]> {
        self.fields_for(key)
            .find(|field| self.is(field, key, name))
            .map(|field| self.value(field))
    }

    /// The value under `name`, if there is exactly one.
    pub fn only(&self, name: &Name) -> Option<&[u8]> {
        let mut all = self
            .fields_for(name.key())
            .filter(|field| self.is(field, name.key(), name.as_str()));
        let only = all.next()?;
        all.next().is_none().then(|| self.value(only))
    }

    #[inline]
    pub fn is(&self, field: &Field, key: Key, name: &str) -> bool {
        field.key == key && is_name(self.name(field), name)
    }

    #[inline]
    pub fn is_one_of(&self, field: &Field, names: &Names) -> bool {
        names.have(field.key, self.name(field))
    }

    pub fn name(&self, field: &Field) -> &[u8] {
        field.name(&self.received, &self.lists().added)
    }

    pub fn value(&self, field: &Field) -> &[u8] {
        field.value(&self.received, &self.lists().added)
    }

    pub fn push(&mut self, name: &[u8], value: &[u8]) {
        self.push_with(Key::of(name), value.len(), |added| {
            for part in [name, b": ", value, b"\r\n"] {
                added.extend_from_slice(part);
            }
        });
    }

    /// A field whose line is there already.
    pub fn push_ready(&mut self, key: Key, value_len: usize, line: &[u8]) {
        self.push_with(key, value_len, |added| added.extend_from_slice(line));
    }

    #[inline]
    fn push_with(&mut self, key: Key, value_len: usize, line: impl FnOnce(&mut Vec<u8>)) {
        let Lists { fields, added } = &mut **self.lists.get_or_insert_with(Lists::take);
        let start = added.len();
        line(added);
        debug_assert!(added.len() < ADDED as usize);
        self.keys.add(key);
        fields.push(Field {
            start: start as u32 | ADDED,
            value: (start + key.length() + 2) as u32,
            value_len: value_len as u32,
            end: added.len() as u32,
            key,
        });
    }

    pub fn remove(&mut self, name: &str) -> bool {
        let key = Key::of(name.as_bytes());
        self.keys.may_have(key) && self.remove_where(|of| of == key, |_, its| is_name(its, name))
    }

    pub fn remove_all(&mut self, names: &Names) {
        self.remove_by(names.keys(), |key, name| names.have(key, name));
    }

    pub fn remove_set(&mut self, names: &NameSet) {
        self.remove_by(names.keys(), |key, name| names.have(key, name));
    }

    /// Removes what `is` tells, which has one of `keys`.
    #[inline]
    fn remove_by(&mut self, keys: Keys, is: impl Fn(Key, &[u8]) -> bool) {
        if self.keys.may_have_any(keys) {
            self.remove_where(|key| keys.may_have(key), is);
        }
    }

    /// Removes the fields that are told by their key and name, if `may` their key. Says whether a field went: one at
    /// most, nearly always.
    #[inline]
    fn remove_where(&mut self, may: impl Fn(Key) -> bool, is: impl Fn(Key, &[u8]) -> bool) -> bool {
        let Some(lists) = &mut self.lists else {
            return false;
        };
        let Lists { fields, added } = &mut **lists;
        let is_named = |field: &Field| is(field.key, field.name(&self.received, added));
        let goes = |field: &Field| may(field.key) && is_named(field);
        let Some(first) = fields.iter().position(goes) else {
            return false;
        };
        if fields[first + 1..].iter().any(goes) {
            self.retain_fields(|field, received, added| {
                !may(field.key) || !is(field.key, field.name(received, added))
            });
        } else {
            let gone = fields.remove(first);
            if gone.is_added() {
                self.added_broken = true;
            } else {
                self.intact = self.intact.and_then(|lines| gone.cut_from(lines));
            }
        }
        true
    }

    pub fn retain(&mut self, mut keep: impl FnMut(&[u8], &[u8]) -> bool) {
        self.retain_fields(|field, received, added| {
            keep(field.name(received, added), field.value(received, added))
        });
    }

    fn retain_fields(&mut self, mut keep: impl FnMut(&Field, &[u8], &[u8]) -> bool) {
        let Some(lists) = &mut self.lists else {
            return;
        };
        let Lists { fields, added } = &mut **lists;
        let (mut added_went, mut received_went) = (false, false);
        fields.retain(|field| {
            let keeps = keep(field, &self.received, added);
            added_went |= !keeps & field.is_added();
            received_went |= !keeps & !field.is_added();
            keeps
        });
        self.added_broken |= added_went;
        if received_went {
            self.intact = None;
        }
    }

    /// Writes the fields as lines of HTTP/1, but for those of `except`. What was received one behind the other is
    /// copied as it is.
    pub fn put_lines(&self, out: &mut Vec<u8>, except: &Names) {
        let except = Some(except).filter(|except| self.may_have_any(except));
        let Lists { fields, added } = self.lists();
        let behind_received = || fields.partition_point(|field| !field.is_added());
        match self.intact {
            Some((start, end)) if except.is_none() => self.copy(out, start, end),
            _ => self.put_each(&fields[..behind_received()], out, except),
        }
        if except.is_none() && !self.added_broken {
            out.extend_from_slice(added);
        } else {
            self.put_each(&fields[behind_received()..], out, except);
        }
    }

    fn put_each(&self, fields: &[Field], out: &mut Vec<u8>, except: Option<&Names>) {
        // Lines that wait to be copied; of the block that their `start` says.
        let (mut start, mut end) = (0, 0);
        for field in fields {
            if except.is_some_and(|except| self.is_one_of(field, except)) {
                continue;
            }
            if field.start == end && field.end != 0 {
                end = field.end | field.start & ADDED;
                continue;
            }
            self.copy(out, start, end);
            if field.end == 0 {
                out.extend_from_slice(self.name(field));
                out.extend_from_slice(b": ");
                out.extend_from_slice(self.value(field));
                out.extend_from_slice(b"\r\n");
                (start, end) = (0, 0);
            } else {
                (start, end) = (field.start, field.end | field.start & ADDED);
            }
        }
        self.copy(out, start, end);
    }

    fn copy(&self, out: &mut Vec<u8>, start: u32, end: u32) {
        let block: &[u8] = match start & ADDED {
            0 => &self.received,
            _ => &self.lists().added,
        };
        out.extend_from_slice(&block[(start & !ADDED) as usize..(end & !ADDED) as usize]);
    }
}

impl Default for Flat {
    fn default() -> Self {
        Flat {
            received: Bytes::new(),
            lists: None,
            keys: Keys::default(),
            intact: Some((0, 0)),
            added_broken: false,
        }
    }
}

impl Drop for Flat {
    fn drop(&mut self) {
        if let Some(lists) = self.lists.take() {
            lists.give();
        }
    }
}

impl Field {
    fn is_added(&self) -> bool {
        self.start & ADDED != 0
    }

    /// What is left of received lines without this one, where that is still one run.
    fn cut_from(&self, (start, end): (u32, u32)) -> Option<(u32, u32)> {
        if self.start == start {
            Some((self.end, end))
        } else if self.end == end {
            Some((start, self.start))
        } else {
            None
        }
    }

    fn name<'a>(&self, received: &'a [u8], added: &'a [u8]) -> &'a [u8] {
        let start = (self.start & !ADDED) as usize;
        &self.block(received, added)[start..start + self.key.length()]
    }

    fn value<'a>(&self, received: &'a [u8], added: &'a [u8]) -> &'a [u8] {
        let start = self.value as usize;
        &self.block(received, added)[start..start + self.value_len as usize]
    }

    fn block<'a>(&self, received: &'a [u8], added: &'a [u8]) -> &'a [u8] {
        match self.start & ADDED {
            0 => received,
            _ => added,
        }
    }
}
