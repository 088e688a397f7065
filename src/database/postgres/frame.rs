//! What comes from the server, frame by frame.

/// A message that has arrived as a whole, at the beginning of what was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub kind: u8,
    /// How many bytes it has, its head included.
    pub length: usize,
}

/// Kind and length of a message.
pub(super) const HEAD: usize = 5;

impl Frame {
    /// The message at the beginning of `read`, as soon as its head is there; whether all of it is has to be seen.
    /// An error where its length is none.
    pub fn at(read: &[u8]) -> Result<Option<Frame>, ()> {
        let Some((kind, rest)) = read.split_first() else {
            return Ok(None);
        };
        let Some(length) = rest.first_chunk() else {
            return Ok(None);
        };
        // The length counts itself.
        let length = usize::try_from(u32::from_be_bytes(*length)).map_err(drop)?;
        if length < 4 {
            return Err(());
        }
        Ok(Some(Frame {
            kind: *kind,
            length: length + 1,
        }))
    }
}

/// The fields of a message, read one after the other. None where there are no more.
pub(super) struct Fields<'a>(pub &'a [u8]);

impl<'a> Fields<'a> {
    pub fn u16(&mut self) -> Option<u16> {
        let (first, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u16::from_be_bytes(*first))
    }

    pub fn u32(&mut self) -> Option<u32> {
        let (first, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u32::from_be_bytes(*first))
    }

    /// Text, behind which a NUL stands.
    pub fn text(&mut self) -> Option<&'a str> {
        let end = memchr::memchr(0, self.0)?;
        let (text, rest) = self.0.split_at(end);
        self.0 = &rest[1..];
        std::str::from_utf8(text).ok()
    }

    /// A value of a row, behind its length; null is `Some(None)`.
    pub fn value(&mut self) -> Option<Option<&'a [u8]>> {
        let length = self.u32()?;
        if length == u32::MAX {
            return Some(None);
        }
        let length = usize::try_from(length).ok()?;
        let (value, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(Some(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_and_fields_are_read_as_far_as_they_are_there() {
        assert_eq!(Frame::at(b"Z\0\0\0"), Ok(None));
        let frame = Frame {
            kind: b'Z',
            length: 6,
        };
        assert_eq!(Frame::at(b"Z\0\0\0\x05I"), Ok(Some(frame)));
        assert_eq!(Frame::at(b"Z\0\0\0\x03"), Err(()));
        let mut fields = Fields(b"\0\x01ab\0\0\0\0\x01x\xff\xff\xff\xff\0\0\0\x09y");
        assert_eq!(fields.u16(), Some(1));
        assert_eq!(fields.text(), Some("ab"));
        assert_eq!(fields.value(), Some(Some(&b"x"[..])));
        assert_eq!(fields.value(), Some(None));
        assert_eq!(fields.value(), None);
    }
}
