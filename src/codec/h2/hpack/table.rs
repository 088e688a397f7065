//! The static table (RFC 7541, appendix A), and the dynamic table of a decoder (section 2.3.2).

use std::collections::VecDeque;

use super::TABLE_SIZE;
use super::name::Name;

/// Names and values by their index, which counts from 1.
#[rustfmt::skip]
pub static STATIC: [(&str, &str, Name); 61] = [
    (":authority", "", Name::Authority),
    (":method", "GET", Name::Method),
    (":method", "POST", Name::Method),
    (":path", "/", Name::Path),
    (":path", "/index.html", Name::Path),
    (":scheme", "http", Name::Scheme),
    (":scheme", "https", Name::Scheme),
    (":status", "200", Name::Status),
    (":status", "204", Name::Status),
    (":status", "206", Name::Status),
    (":status", "304", Name::Status),
    (":status", "400", Name::Status),
    (":status", "404", Name::Status),
    (":status", "500", Name::Status),
    ("accept-charset", "", Name::Other),
    ("accept-encoding", "gzip, deflate", Name::Other),
    ("accept-language", "", Name::Other),
    ("accept-ranges", "", Name::Other),
    ("accept", "", Name::Other),
    ("access-control-allow-origin", "", Name::Other),
    ("age", "", Name::Other),
    ("allow", "", Name::Other),
    ("authorization", "", Name::Other),
    ("cache-control", "", Name::Other),
    ("content-disposition", "", Name::Other),
    ("content-encoding", "", Name::Other),
    ("content-language", "", Name::Other),
    ("content-length", "", Name::ContentLength),
    ("content-location", "", Name::Other),
    ("content-range", "", Name::Other),
    ("content-type", "", Name::ContentType),
    ("cookie", "", Name::Cookie),
    ("date", "", Name::Other),
    ("etag", "", Name::Other),
    ("expect", "", Name::Expect),
    ("expires", "", Name::Other),
    ("from", "", Name::Other),
    ("host", "", Name::Host),
    ("if-match", "", Name::Other),
    ("if-modified-since", "", Name::Other),
    ("if-none-match", "", Name::Other),
    ("if-range", "", Name::Other),
    ("if-unmodified-since", "", Name::Other),
    ("last-modified", "", Name::Other),
    ("link", "", Name::Other),
    ("location", "", Name::Other),
    ("max-forwards", "", Name::Other),
    ("proxy-authenticate", "", Name::Other),
    ("proxy-authorization", "", Name::Other),
    ("range", "", Name::Other),
    ("referer", "", Name::Other),
    ("refresh", "", Name::Other),
    ("retry-after", "", Name::Other),
    ("server", "", Name::Other),
    ("set-cookie", "", Name::Other),
    ("strict-transport-security", "", Name::Other),
    ("transfer-encoding", "", Name::ConnectionSpecific),
    ("user-agent", "", Name::Other),
    ("vary", "", Name::Other),
    ("via", "", Name::Other),
    ("www-authenticate", "", Name::Other),
];

/// The index of the first entry under a name, as far as it has a value of its own that varies.
pub fn static_name(name: &[u8]) -> Option<usize> {
    // The length and the first letters settle nearly every comparison.
    let first = STATIC_BY_LENGTH.get(name.len())?;
    first
        .iter()
        .find(|index| STATIC[**index as usize - 1].0.as_bytes() == name)
        .map(|index| *index as usize)
}

/// Indices of names by their length; the longest has 27 bytes.
static STATIC_BY_LENGTH: [&[u8]; 28] = [
    &[],
    &[],
    &[],
    &[21, 60],
    &[33, 34, 37, 38, 45, 59],
    &[4, 22, 50],
    &[19, 32, 35, 54],
    &[2, 6, 8, 36, 51, 52],
    &[39, 42, 46],
    &[],
    &[1, 55, 58],
    &[53],
    &[31, 47],
    &[18, 23, 24, 30, 41, 44],
    &[15, 28],
    &[16, 17],
    &[26, 27, 29, 61],
    &[40, 57],
    &[48],
    &[25, 43, 49],
    &[],
    &[],
    &[],
    &[],
    &[],
    &[56],
    &[],
    &[20],
];

/// What a decoder remembers, the newest first.
pub struct Table {
    entries: VecDeque<Entry>,
    size: usize,
    max_size: usize,
}

/// A field that was read.
pub struct Entry {
    /// As a line of HTTP/1.
    pub line: Box<[u8]>,
    /// What it counts for.
    pub size: usize,
    pub name_len: u32,
    pub name: Name,
    /// Whether its value may stand in a field.
    pub sound: bool,
}

impl Default for Table {
    fn default() -> Self {
        Table {
            entries: VecDeque::new(),
            size: 0,
            max_size: TABLE_SIZE,
        }
    }
}

impl Table {
    /// The entry of an index that counts from 0.
    pub fn get(&self, index: usize) -> Option<&Entry> {
        self.entries.get(index)
    }

    /// Adds an entry; one that is larger than the table empties it.
    pub fn insert(&mut self, entry: Entry) {
        let size = entry.size;
        self.evict(self.max_size.saturating_sub(size));
        if size <= self.max_size {
            self.size += size;
            self.entries.push_front(entry);
        }
    }

    pub fn set_max_size(&mut self, max_size: usize) {
        self.max_size = max_size;
        self.evict(max_size);
    }

    fn evict(&mut self, size: usize) {
        while self.size > size
            && let Some(oldest) = self.entries.pop_back()
        {
            self.size -= oldest.size;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_static_table_knows_its_names() {
        for (index, (name, _, kind)) in STATIC.iter().enumerate() {
            assert_eq!(Name::of(name.as_bytes()), *kind, "{name}");
            let first = static_name(name.as_bytes()).unwrap();
            assert!(first <= index + 1 && STATIC[first - 1].0 == *name, "{name}");
        }
        assert_eq!(static_name(b""), None);
        assert_eq!(static_name(b"x-custom"), None);
        assert_eq!(static_name(&[b'a'; 100]), None);
    }
}
