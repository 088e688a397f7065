//! The fields of a head where they lie.

use bytes::Bytes;

use super::names::{Key, Keys, Name, NameSet, Names, is_name};

mod field;
mod lists;
mod spans;

use field::ADDED;
pub(super) use field::{Field, MOST};
use lists::Lists;
pub use spans::Spans;

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
    #[inline]
    pub fn push_ready(&mut self, key: Key, value_len: usize, line: &[u8]) {
        self.push_with(key, value_len, |added| added.extend_from_slice(line));
    }

    /// Writes `value` over the only one under `name`, if that was added and is as long.
    pub fn overwrite_added(&mut self, name: &Name, value: &[u8]) -> bool {
        let mut all = self
            .fields_for(name.key())
            .filter(|field| self.is(field, name.key(), name.as_str()));
        let (Some(only), None) = (all.next().copied(), all.next()) else {
            return false;
        };
        if !only.is_added() || only.value_len as usize != value.len() {
            return false;
        }
        let Some(lists) = &mut self.lists else {
            return false;
        };
        let start = only.value as usize;
        lists.added[start..start + value.len()].copy_from_slice(value);
        true
    }

    #[inline]
    fn push_with(&mut self, key: Key, value_len: usize, line: impl FnOnce(&mut Vec<u8>)) {
        let Lists { fields, added } = &mut **self.lists.get_or_insert_with(Lists::take);
        let start = added.len();
        line(added);
        debug_assert!(added.len() <= MOST);
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
