//! A header block to names and values (RFC 7541, section 6), all in one run of bytes.

use super::huffman;
use super::name::{Name, is_value};
use super::table::{Entry, STATIC, Table};
use super::{OVERHEAD, TABLE_SIZE};

/// The fields of a block.
#[derive(Default)]
pub struct Block {
    /// Names and values in order, each value behind its name.
    pub bytes: Vec<u8>,
    pub fields: Vec<Field>,
    /// Size of the list as the standard counts it (RFC 9113, section 6.5.2).
    size: usize,
    limit: usize,
    /// The list is longer than its limit; what is beyond was read and dropped.
    pub too_large: bool,
}

/// Where a field lies, and what its name means.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    pub name: Name,
    /// Whether the value may stand in a field.
    pub sound: bool,
    pub at: u32,
    pub name_len: u32,
    pub value_len: u32,
}

impl Field {
    pub fn value_at(&self) -> usize {
        (self.at + self.name_len) as usize
    }

    pub fn value_end(&self) -> usize {
        self.value_at() + self.value_len as usize
    }

    pub fn name<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        &bytes[self.at as usize..self.value_at()]
    }

    pub fn value<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        &bytes[self.value_at()..self.value_end()]
    }
}

impl Block {
    /// Makes room for the next block, of at most `limit` bytes as the standard counts them.
    pub fn clear(&mut self, limit: usize) {
        self.bytes.clear();
        self.fields.clear();
        self.size = 0;
        self.limit = limit;
        self.too_large = false;
    }

    /// Counts a field; says whether it is still within the limit.
    fn admit(&mut self, length: usize) -> bool {
        self.size = self.size.saturating_add(length + OVERHEAD);
        self.too_large |= self.size > self.limit;
        !self.too_large
    }

    fn put(&mut self, text: &[u8], name_len: usize, name: Name, sound: bool) {
        if self.admit(text.len()) {
            self.fields.push(Field {
                name,
                sound,
                at: self.bytes.len() as u32,
                name_len: name_len as u32,
                value_len: (text.len() - name_len) as u32,
            });
            self.bytes.extend_from_slice(text);
        }
    }
}

/// A block that cannot be decoded. The tables of the two sides differ from here on, so the connection is lost.
#[derive(Debug, PartialEq, Eq)]
pub struct Malformed;

impl From<huffman::Malformed> for Malformed {
    fn from(_: huffman::Malformed) -> Self {
        Malformed
    }
}

/// The state that blocks of one direction share.
#[derive(Default)]
pub struct Decoder {
    table: Table,
}

impl Decoder {
    /// Appends the fields of a whole block to `into`.
    ///
    /// # Errors
    /// The block is malformed.
    pub fn decode(&mut self, mut block: &[u8], into: &mut Block) -> Result<(), Malformed> {
        let mut may_resize = true;
        while let Some(first) = block.first().copied() {
            let rest = &mut block;
            match first {
                0x80.. => self.indexed(integer(rest, 7)?, into)?,
                0x40.. => self.literal(integer(rest, 6)?, rest, true, into)?,
                0x20.. => {
                    // Only at the beginning of a block (RFC 7541, section 4.2).
                    let size = integer(rest, 5)?;
                    if !may_resize || size > TABLE_SIZE {
                        return Err(Malformed);
                    }
                    self.table.set_max_size(size);
                    continue;
                }
                _ => self.literal(integer(rest, 4)?, rest, false, into)?,
            }
            may_resize = false;
        }
        Ok(())
    }

    fn indexed(&self, index: usize, into: &mut Block) -> Result<(), Malformed> {
        match index.checked_sub(STATIC.len() + 1) {
            Some(index) => {
                let entry = self.table.get(index).ok_or(Malformed)?;
                into.put(
                    &entry.text,
                    entry.name_len as usize,
                    entry.name,
                    entry.sound,
                );
            }
            None => {
                let index = index.checked_sub(1).ok_or(Malformed)?;
                let (name, value, kind) = STATIC[index];
                let at = into.bytes.len() as u32;
                if into.admit(name.len() + value.len()) {
                    into.bytes.extend_from_slice(name.as_bytes());
                    into.bytes.extend_from_slice(value.as_bytes());
                    into.fields.push(Field {
                        name: kind,
                        sound: true,
                        at,
                        name_len: name.len() as u32,
                        value_len: value.len() as u32,
                    });
                }
            }
        }
        Ok(())
    }

    fn literal(
        &mut self,
        name_index: usize,
        rest: &mut &[u8],
        remember: bool,
        into: &mut Block,
    ) -> Result<(), Malformed> {
        let at = into.bytes.len();
        let name = match name_index {
            0 => {
                string(rest, &mut into.bytes)?;
                Name::of(&into.bytes[at..])
            }
            index => self.put_name(index, &mut into.bytes)?,
        };
        let name_len = into.bytes.len() - at;
        string(rest, &mut into.bytes)?;
        let text = &into.bytes[at..];
        let (length, sound) = (text.len(), is_value(&text[name_len..]));
        if remember {
            self.table.insert(Entry {
                text: text.into(),
                name_len: name_len as u32,
                name,
                sound,
            });
        }
        if into.admit(length) {
            into.fields.push(Field {
                name,
                sound,
                at: at as u32,
                name_len: name_len as u32,
                value_len: (length - name_len) as u32,
            });
        } else {
            into.bytes.truncate(at);
        }
        Ok(())
    }

    fn put_name(&self, index: usize, out: &mut Vec<u8>) -> Result<Name, Malformed> {
        match index.checked_sub(STATIC.len() + 1) {
            Some(index) => {
                let entry = self.table.get(index).ok_or(Malformed)?;
                out.extend_from_slice(&entry.text[..entry.name_len as usize]);
                Ok(entry.name)
            }
            None => {
                let (name, _, kind) = STATIC[index - 1];
                out.extend_from_slice(name.as_bytes());
                Ok(kind)
            }
        }
    }
}

/// Takes an integer from the front (RFC 7541, section 5.1).
fn integer(rest: &mut &[u8], prefix: u32) -> Result<usize, Malformed> {
    let (first, mut tail) = rest.split_first().ok_or(Malformed)?;
    let most = (1u32 << prefix) - 1;
    let mut value = u32::from(*first) & most;
    if value == most {
        // Four more bytes hold every length that could be true.
        let mut shift = 0;
        loop {
            let (byte, after) = tail.split_first().ok_or(Malformed)?;
            tail = after;
            value += u32::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
            shift += 7;
            if shift > 21 {
                return Err(Malformed);
            }
        }
    }
    *rest = tail;
    Ok(value as usize)
}

/// Takes a string from the front, and appends it (RFC 7541, section 5.2).
fn string(rest: &mut &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
    let coded = rest.first().ok_or(Malformed)? & 0x80 != 0;
    let length = integer(rest, 7)?;
    let (text, tail) = rest.split_at_checked(length).ok_or(Malformed)?;
    *rest = tail;
    match coded {
        true => huffman::decode(text, out)?,
        false => out.extend_from_slice(text),
    }
    Ok(())
}
