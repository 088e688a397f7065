//! Field names by a few bits each, so that most questions about a head are answered without a look at it.

/// A name's length and six bits of its letters: names that are the same have the same key, whatever their case.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Key(u32);

/// Names that are told from all others at once: a head without any of them costs one comparison.
#[derive(Clone, Copy, Debug)]
pub struct Names {
    keys: Keys,
    names: &'static [&'static str],
}

/// Which keys a head may have. A name that was removed may still be in it.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Keys(u64);

impl Key {
    /// The factors were searched for: none of the names that proxies ask for in vain shares its six bits with one
    /// that callers and servers commonly send. Where two names do share them, a lookup takes a second look.
    #[inline]
    pub const fn of(name: &[u8]) -> Self {
        let length = name.len();
        if length == 0 {
            return Key(0);
        }
        // Setting this bit makes letters lower-case; what it does to others, it does to them everywhere.
        let first = (name[0] | 32) as u32;
        let inner = (name[length / 3] | 32) as u32;
        let last = (name[length - 1] | 32) as u32;
        let mixed = (first + 5 * inner + last + 65 * length as u32).wrapping_mul(0xf20b_9673);
        Key((length as u32) << 6 | mixed >> 26)
    }

    /// The length of the name.
    #[inline]
    pub(super) fn length(self) -> usize {
        (self.0 >> 6) as usize
    }

    #[inline]
    const fn bit(self) -> u64 {
        1 << (self.0 & 63)
    }
}

impl Keys {
    #[inline]
    pub fn add(&mut self, key: Key) {
        self.0 |= key.bit();
    }

    #[inline]
    pub fn may_have(self, key: Key) -> bool {
        self.0 & key.bit() != 0
    }

    #[inline]
    pub fn may_have_any(self, of: Keys) -> bool {
        self.0 & of.0 != 0
    }
}

impl Names {
    pub const fn new(names: &'static [&'static str]) -> Self {
        let mut bits = 0;
        let mut at = 0;
        while at < names.len() {
            bits |= Key::of(names[at].as_bytes()).bit();
            at += 1;
        }
        Names {
            keys: Keys(bits),
            names,
        }
    }

    pub(super) fn keys(&self) -> Keys {
        self.keys
    }

    /// Whether a name with this key may be one of them.
    #[inline]
    pub fn may_have(&self, key: Key) -> bool {
        self.keys.may_have(key)
    }

    /// Whether `name`, whose key is `key`, is one of them.
    #[inline]
    pub(super) fn have(&self, key: Key, name: &[u8]) -> bool {
        self.may_have(key) && self.are(name)
    }

    fn are(&self, name: &[u8]) -> bool {
        (self.names.iter()).any(|one| name.eq_ignore_ascii_case(one.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn common_names_are_told_from_those_that_are_removed() {
        const REMOVED: Names = Names::new(&[
            "te",
            "upgrade",
            "connection",
            "keep-alive",
            "http2-settings",
            "proxy-connection",
            "transfer-encoding",
            "x-forwarded-client-cert",
        ]);
        for common in [
            "Host",
            "User-Agent",
            "Accept",
            "Accept-Encoding",
            "Accept-Language",
            "Authorization",
            "Cookie",
            "Content-Type",
            "Content-Length",
            "traceparent",
            "X-Request-Id",
            "Date",
            "Server",
            "ETag",
            "Cache-Control",
            "Vary",
        ] {
            let key = Key::of(common.as_bytes());
            assert!(!REMOVED.may_have(key), "{common}");
        }
    }

    proptest! {
        #[test]
        fn case_makes_no_difference(name in "[!-~]{1,40}") {
            let key = Key::of(name.as_bytes());
            prop_assert_eq!(key, Key::of(name.to_ascii_uppercase().as_bytes()));
            prop_assert_eq!(key, Key::of(name.to_ascii_lowercase().as_bytes()));
        }
    }
}
