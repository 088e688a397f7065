//! Packets of the protocol, and what stands in them.

/// A packet's length and its number.
pub(super) const HEAD: usize = 4;
/// One of this length goes on in the next one.
pub(super) const FULL: usize = 0xff_ffff;

/// The length of the packet that `bytes` begins with, without its head, and its number. None while that is not there.
pub(super) fn head(bytes: &[u8]) -> Option<(usize, u8)> {
    match bytes {
        [a, b, c, number, ..] => {
            let length = u32::from_le_bytes([*a, *b, *c, 0]);
            Some((usize::try_from(length).ok()?, *number))
        }
        _ => None,
    }
}

/// Writes a packet whose content `write` appends, in as many as it takes, the first with this number.
pub(super) fn put(into: &mut Vec<u8>, first: u8, write: impl FnOnce(&mut Vec<u8>)) {
    let start = into.len();
    into.extend_from_slice(&[0; HEAD]);
    write(into);
    let length = into.len() - start - HEAD;
    if length < FULL {
        into[start..start + HEAD].copy_from_slice(&head_of(length, first));
        return;
    }
    let content = into.split_off(start + HEAD);
    into.truncate(start);
    let mut number = first;
    let mut rest = content.as_slice();
    loop {
        let (part, behind) = rest.split_at(rest.len().min(FULL));
        into.extend_from_slice(&head_of(part.len(), number));
        into.extend_from_slice(part);
        number = number.wrapping_add(1);
        rest = behind;
        if part.len() < FULL {
            return;
        }
    }
}

fn head_of(length: usize, number: u8) -> [u8; HEAD] {
    let [a, b, c, ..] = length.to_le_bytes();
    [a, b, c, number]
}

/// Writes a length as the protocol has it.
pub(super) fn put_length(into: &mut Vec<u8>, length: usize) {
    let bytes = (length as u64).to_le_bytes();
    match length {
        0..=250 => into.push(bytes[0]),
        251..=0xffff => {
            into.push(0xfc);
            into.extend_from_slice(&bytes[..2]);
        }
        0x1_0000..=0xff_ffff => {
            into.push(0xfd);
            into.extend_from_slice(&bytes[..3]);
        }
        _ => {
            into.push(0xfe);
            into.extend_from_slice(&bytes);
        }
    }
}

/// Writes bytes behind their length.
pub(super) fn put_bytes(into: &mut Vec<u8>, bytes: &[u8]) {
    put_length(into, bytes.len());
    into.extend_from_slice(bytes);
}

/// What is left of a packet. Each call takes something off its beginning, or gives None where it is too short.
pub(super) struct Fields<'a>(pub &'a [u8]);

impl<'a> Fields<'a> {
    pub fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    pub fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    pub fn u8(&mut self) -> Option<u8> {
        Some(self.array::<1>()?[0])
    }

    pub fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    /// A number whose first byte says how long it is.
    pub fn length(&mut self) -> Option<u64> {
        match self.u8()? {
            short @ 0..=250 => Some(short.into()),
            0xfc => self.u16().map(u64::from),
            0xfd => {
                let [a, b, c] = self.array()?;
                Some(u32::from_le_bytes([a, b, c, 0]).into())
            }
            0xfe => self.array().map(u64::from_le_bytes),
            _ => None,
        }
    }

    /// Bytes behind their length.
    pub fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.length()?;
        self.take(usize::try_from(length).ok()?)
    }

    /// Bytes up to a NUL, or all that are left.
    pub fn until_nul(&mut self) -> &'a [u8] {
        let end = memchr::memchr(0, self.0);
        let text = &self.0[..end.unwrap_or(self.0.len())];
        self.0 = end.map_or(&[], |end| &self.0[end + 1..]);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_read_as_they_are_written() {
        for length in [0, 250, 251, 0xffff, 0x1_0000, 0xff_ffff, 0x100_0000] {
            let mut written = Vec::new();
            put_length(&mut written, length);
            let mut fields = Fields(&written);
            assert_eq!(fields.length(), Some(length as u64));
            assert!(fields.0.is_empty());
        }
        assert_eq!(Fields(&[0xfb]).length(), None);
        assert_eq!(Fields(&[5, 1]).bytes(), None);
        assert_eq!(Fields(b"ab\0c").until_nul(), b"ab");
        assert_eq!(Fields(b"ab").until_nul(), b"ab");
    }

    #[test]
    fn what_is_too_long_for_one_packet_goes_in_several() {
        let mut written = vec![9];
        put(&mut written, 3, |into| into.extend_from_slice(b"ab"));
        assert_eq!(written, [9, 2, 0, 0, 3, b'a', b'b']);
        let mut written = Vec::new();
        put(&mut written, 0, |into| into.resize(into.len() + FULL, 7));
        assert_eq!(head(&written), Some((FULL, 0)));
        assert_eq!(head(&written[HEAD + FULL..]), Some((0, 1)));
        assert_eq!(written.len(), 2 * HEAD + FULL);
        assert_eq!(head(&[1, 0, 0]), None);
    }
}
