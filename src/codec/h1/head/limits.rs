//! How large a head may be.

use crate::http::headers::Headers;

/// Bounds of a head.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    bytes: usize,
    fields: usize,
}

impl Limits {
    /// So many `bytes`, from the first of the start line to the empty line, and so many `fields`. More bytes than
    /// [`Headers`] can hold are never allowed.
    pub const fn new(bytes: usize, fields: usize) -> Self {
        let most = Headers::MOST_RECEIVED;
        Limits {
            bytes: if bytes < most { bytes } else { most },
            fields,
        }
    }

    #[inline(always)]
    pub const fn bytes(self) -> usize {
        self.bytes
    }

    #[inline(always)]
    pub const fn fields(self) -> usize {
        self.fields
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_head_is_larger_than_fields_can_tell_of() {
        assert_eq!(Limits::new(512, 10).bytes(), 512);
        let most = Limits::new(u32::MAX as usize, 10).bytes();
        assert_eq!(most, Headers::MOST_RECEIVED);
    }
}
