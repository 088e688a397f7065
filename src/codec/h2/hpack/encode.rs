//! Names and values to a header block.
//!
//! A field is remembered when it comes a second time: what repeats soon costs a byte, and what never does (lengths,
//! ids) pushes nothing out. Strings go without Huffman coding, which would cost more than the bytes it saves
//! between neighbours. Secrets are never remembered, and say so to whoever passes them on (RFC 7541, section 7.1.3).

use std::collections::VecDeque;

use http::{Method, StatusCode};

use super::table::{STATIC, static_name};
use super::{OVERHEAD, TABLE_SIZE};

/// Places where remembered fields are looked up, and where the hashes of fields that came once are kept.
const PLACES: usize = 64;
const _: () = assert!(PLACES.is_power_of_two());

/// The state that blocks of one direction share.
pub struct Encoder {
    /// The newest first.
    entries: VecDeque<Entry>,
    size: usize,
    max_size: usize,
    /// Entries that were ever added: the newest has this number.
    added: u32,
    /// By hash: number of the entry that was added last.
    places: [u32; PLACES],
    /// By hash: the whole hash of the field that came last and was not remembered.
    seen: [u32; PLACES],
    /// The peer has changed the size: the smallest since the last block, which must be said.
    resized: Option<usize>,
}

struct Entry {
    text: Box<[u8]>,
    name_len: usize,
}

impl Default for Encoder {
    fn default() -> Self {
        Encoder {
            entries: VecDeque::new(),
            size: 0,
            max_size: TABLE_SIZE,
            added: 0,
            places: [0; PLACES],
            seen: [0; PLACES],
            resized: None,
        }
    }
}

impl Encoder {
    /// The size that the peer allows.
    pub fn set_max_size(&mut self, size: usize) {
        let size = size.min(TABLE_SIZE);
        if size != self.max_size {
            self.resized = Some(self.resized.map_or(size, |smallest| smallest.min(size)));
            self.max_size = size;
            self.evict(size);
        }
    }

    /// Begins a block (RFC 7541, section 4.2).
    pub fn begin(&mut self, out: &mut Vec<u8>) {
        if let Some(smallest) = self.resized.take() {
            if smallest < self.max_size {
                put_integer(out, 0x20, 5, smallest);
            }
            put_integer(out, 0x20, 5, self.max_size);
        }
    }

    pub fn status(&mut self, out: &mut Vec<u8>, status: StatusCode) {
        let index = match status.as_u16() {
            200 => 8,
            204 => 9,
            206 => 10,
            304 => 11,
            400 => 12,
            404 => 13,
            500 => 14,
            _ => return self.field(out, b":status", status.as_str().as_bytes()),
        };
        out.push(0x80 | index);
    }

    pub fn method(&mut self, out: &mut Vec<u8>, method: &Method) {
        match *method {
            Method::GET => out.push(0x82),
            Method::POST => out.push(0x83),
            _ => self.field(out, b":method", method.as_str().as_bytes()),
        }
    }

    pub fn scheme(&mut self, out: &mut Vec<u8>, encrypted: bool) {
        out.push(if encrypted { 0x87 } else { 0x86 });
    }

    /// A field whose name is in lower case.
    pub fn field(&mut self, out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
        let hash = hash(name, value);
        let place = hash as usize % PLACES;
        if let Some(index) = self.find(place, name, value) {
            return put_integer(out, 0x80, 7, index);
        }
        let known = static_name(name).unwrap_or(0);
        if is_secret(name) {
            put_integer(out, 0x10, 4, known);
        } else if self.seen[place] == hash {
            put_integer(out, 0x40, 6, known);
            self.remember(place, name, value);
        } else {
            self.seen[place] = hash;
            put_integer(out, 0, 4, known);
        }
        if known == 0 {
            put_string(out, name);
        }
        put_string(out, value);
    }

    fn find(&self, place: usize, name: &[u8], value: &[u8]) -> Option<usize> {
        let age = self.added.wrapping_sub(self.places[place]) as usize;
        let entry = self.entries.get(age)?;
        let (its_name, its_value) = entry.text.split_at(entry.name_len);
        (its_value == value && its_name == name).then_some(STATIC.len() + 1 + age)
    }

    fn remember(&mut self, place: usize, name: &[u8], value: &[u8]) {
        let size = name.len() + value.len() + OVERHEAD;
        self.evict(self.max_size.saturating_sub(size));
        if size <= self.max_size {
            self.size += size;
            self.added = self.added.wrapping_add(1);
            self.places[place] = self.added;
            self.entries.push_front(Entry {
                text: [name, value].concat().into(),
                name_len: name.len(),
            });
        }
    }

    fn evict(&mut self, size: usize) {
        while self.size > size
            && let Some(oldest) = self.entries.pop_back()
        {
            self.size -= oldest.text.len() + OVERHEAD;
        }
    }
}

/// What would let a caller in, or follow it around.
fn is_secret(name: &[u8]) -> bool {
    match name.len() {
        6 => name == b"cookie",
        9 => name == b"x-api-key",
        10 => name == b"set-cookie",
        13 => name == b"authorization",
        19 => name == b"proxy-authorization",
        _ => false,
    }
}

/// FxHash over eight bytes at a time. The last ones overlap those before them, which is quicker than to copy what is left.
fn hash(name: &[u8], value: &[u8]) -> u32 {
    const FACTOR: u64 = 0x517c_c1b7_2722_0a95;
    let mut hash = name.len() as u64;
    let mut mix = |word: u64| hash = (hash.rotate_left(5) ^ word).wrapping_mul(FACTOR);
    for text in [name, value] {
        let mut left = text;
        while let Some((word, behind)) = left.split_first_chunk() {
            mix(u64::from_le_bytes(*word));
            left = behind;
        }
        if !left.is_empty() {
            mix(last_word(text));
        }
    }
    // The upper half is mixed best; its lowest bits choose the place.
    (hash >> 32) as u32
}

/// The last eight bytes of `text`, or all that a shorter one has.
#[inline]
fn last_word(text: &[u8]) -> u64 {
    if let Some(last) = text.last_chunk() {
        return u64::from_le_bytes(*last);
    }
    if let (Some(first), Some(last)) = (text.first_chunk(), text.last_chunk()) {
        return u64::from(u32::from_le_bytes(*first)) << 32 | u64::from(u32::from_le_bytes(*last));
    }
    text.iter()
        .fold(0, |word, byte| word << 8 | u64::from(*byte))
}

/// Writes an integer behind the bits of a pattern (RFC 7541, section 5.1).
#[inline]
fn put_integer(out: &mut Vec<u8>, pattern: u8, prefix: u32, value: usize) {
    let most = (1usize << prefix) - 1;
    if value < most {
        return out.push(pattern | value as u8);
    }
    out.push(pattern | most as u8);
    let mut rest = value - most;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

fn put_string(out: &mut Vec<u8>, text: &[u8]) {
    put_integer(out, 0, 7, text.len());
    out.extend_from_slice(text);
}
