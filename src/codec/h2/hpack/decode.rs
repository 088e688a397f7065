//! A header block to names and values (RFC 7541, section 6), all in one run of bytes.

use super::huffman;
use super::name::{Name, is_value};
use super::table::{Entry, STATIC, Table};
use super::{OVERHEAD, TABLE_SIZE};

/// The fields of a block.
#[derive(Default)]
pub struct Block {
    /// Names and values in order, as lines of HTTP/1: so the next hop can have them by one copy.
    pub bytes: Vec<u8>,
    pub fields: Vec<Field>,
    /// Size of the list as the standard counts it (RFC 9113, section 6.5.2).
    size: usize,
    limit: usize,
    /// The list is longer than its limit; what is beyond was read and dropped.
    pub too_large: bool,
    /// `Content-Type`, if it was dropped: it says in which form the caller can be told.
    pub dropped_type: Vec<u8>,
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

/// What stands between a name and its value, and behind that.
const COLON: &[u8] = b": ";
const END: &[u8] = b"\r\n";
/// A longer `Content-Type` is none that says anything.
const LONGEST_TYPE: usize = 256;
/// What is in a line beside its name and value.
const IN_LINE: usize = COLON.len() + END.len();

impl Field {
    fn new(name: Name, sound: bool, at: usize, name_len: usize, line: usize) -> Self {
        Field {
            name,
            sound,
            at: at as u32,
            name_len: name_len as u32,
            value_len: (line - name_len - IN_LINE) as u32,
        }
    }

    pub fn value_at(&self) -> usize {
        (self.at + self.name_len) as usize + COLON.len()
    }

    pub fn value_end(&self) -> usize {
        self.value_at() + self.value_len as usize
    }

    /// The byte behind its line.
    pub fn end(&self) -> usize {
        self.value_end() + END.len()
    }

    pub fn name<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        &bytes[self.at as usize..(self.at + self.name_len) as usize]
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
        self.dropped_type.clear();
    }

    /// Counts a field of so many bytes; says whether it is still within the limit.
    fn admit(&mut self, length: usize) -> bool {
        self.size = self.size.saturating_add(length + OVERHEAD);
        self.too_large |= self.size > self.limit;
        !self.too_large
    }

    fn put_line(&mut self, line: &[u8], name_len: usize, name: Name, sound: bool) {
        if self.admit(line.len() - IN_LINE) {
            let at = self.bytes.len();
            self.fields
                .push(Field::new(name, sound, at, name_len, line.len()));
            self.bytes.extend_from_slice(line);
        } else {
            self.dropped(name, line, name_len);
        }
    }

    /// Makes a field of the line that was written from `at`, if it is within the limit.
    #[inline(always)]
    fn take_line(&mut self, at: usize, name_len: usize, name: Name, sound: bool) {
        let line = self.bytes.len() - at;
        if self.admit(line - IN_LINE) {
            self.fields
                .push(Field::new(name, sound, at, name_len, line))
        } else {
            let line = self.bytes.split_off(at);
            self.dropped(name, &line, name_len);
        }
    }

    #[cold]
    fn dropped(&mut self, name: Name, line: &[u8], name_len: usize) {
        let value = &line[name_len + COLON.len()..line.len() - END.len()];
        if name == Name::ContentType && value.len() <= LONGEST_TYPE {
            self.dropped_type = value.to_vec();
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
                into.put_line(
                    &entry.line,
                    entry.name_len as usize,
                    entry.name,
                    entry.sound,
                );
            }
            None => {
                let (name, value, kind) = STATIC[index.checked_sub(1).ok_or(Malformed)?];
                let at = into.bytes.len();
                for part in [name.as_bytes(), COLON, value.as_bytes(), END] {
                    into.bytes.extend_from_slice(part);
                }
                into.take_line(at, name.len(), kind, true);
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
        into.bytes.extend_from_slice(COLON);
        let value_at = into.bytes.len();
        string(rest, &mut into.bytes)?;
        let sound = is_value(&into.bytes[value_at..]);
        into.bytes.extend_from_slice(END);
        if remember {
            self.table.insert(Entry {
                line: into.bytes[at..].into(),
                size: into.bytes.len() - at - IN_LINE + OVERHEAD,
                name_len: name_len as u32,
                name,
                sound,
            });
        }
        into.take_line(at, name_len, name, sound);
        Ok(())
    }

    fn put_name(&self, index: usize, out: &mut Vec<u8>) -> Result<Name, Malformed> {
        match index.checked_sub(STATIC.len() + 1) {
            Some(index) => {
                let entry = self.table.get(index).ok_or(Malformed)?;
                out.extend_from_slice(&entry.line[..entry.name_len as usize]);
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
    if coded {
        huffman::decode(text, out)?
    } else {
        out.extend_from_slice(text)
    }
    Ok(())
}
