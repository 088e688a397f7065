//! Field names by a few bits each, so that most questions about a head are answered without a look at it.

use http::HeaderName;

/// A name's length and six bits of its letters: names that are the same have the same key, whatever their case.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Key(u32);

/// Why this proxy refused a request.
pub const REASON: &str = "outrigger-reason";

/// That a request is a mirror's copy, and of which route.
pub const MIRRORED: &str = "outrigger-mirrored";

/// Whether a field is one that only this proxy says.
pub fn is_our_word(lower_name: &str) -> bool {
    matches!(lower_name, REASON | MIRRORED)
}

/// A name that is looked for in nearly every message: what a lookup needs of it is known beforehand.
#[derive(Clone, Copy, Debug)]
pub struct Name {
    key: Key,
    lower: &'static str,
}

/// Names that are told from all others at once: a head without any of them costs one comparison.
#[derive(Clone, Copy, Debug)]
pub struct Names {
    keys: Keys,
    names: &'static [&'static str],
}

/// Names that the config knows, told from all others as [`Names`] are.
#[derive(Default)]
pub struct NameSet {
    keys: Keys,
    names: Box<[(Key, HeaderName)]>,
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

impl Name {
    pub const CONTENT_LENGTH: Name = Name::new("content-length");
    pub const CONTENT_TYPE: Name = Name::new("content-type");
    pub const HOST: Name = Name::new("host");

    /// `lower` is in lower case.
    pub const fn new(lower: &'static str) -> Self {
        Name {
            key: Key::of(lower.as_bytes()),
            lower,
        }
    }

    pub(super) fn key(&self) -> Key {
        self.key
    }

    pub(super) fn as_str(&self) -> &'static str {
        self.lower
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
        self.names.iter().any(|one| is_name(name, one))
    }
}

impl NameSet {
    pub(super) fn keys(&self) -> Keys {
        self.keys
    }

    /// Whether `name`, whose key is `key`, is one of them.
    #[inline]
    pub(super) fn have(&self, key: Key, name: &[u8]) -> bool {
        let is = |one: &(Key, HeaderName)| one.0 == key && is_name(name, one.1.as_str());
        self.keys.may_have(key) && self.names.iter().any(is)
    }
}

impl<'a> FromIterator<&'a HeaderName> for NameSet {
    fn from_iter<I: IntoIterator<Item = &'a HeaderName>>(names: I) -> Self {
        let mut keys = Keys::default();
        let keyed = |name: &HeaderName| {
            let key = Key::of(name.as_str().as_bytes());
            keys.add(key);
            (key, name.clone())
        };
        let names = names.into_iter().map(keyed).collect();
        NameSet { keys, names }
    }
}

/// Whether `name` is `lower`, which is in lower case, but for its own case. Eight letters are compared at once.
#[inline]
pub fn is_name(name: &[u8], lower: &str) -> bool {
    let lower = lower.as_bytes();
    if name.len() != lower.len() {
        return false;
    }
    match (name.last_chunk(), lower.last_chunk()) {
        // What the last eight have in common with the words before them is compared twice.
        (Some(end), Some(lower_end)) => {
            let mut words = name.as_chunks().0.iter().zip(lower.as_chunks().0);
            is_word(end, lower_end) && words.all(|(word, lower)| is_word(word, lower))
        }
        _ => is_short(name, lower),
    }
}

/// The same for names of the same length, of less than eight letters.
#[inline]
fn is_short(name: &[u8], lower: &[u8]) -> bool {
    let ends = |name: &[u8]| {
        let (start, end) = (name.first_chunk::<4>()?, name.last_chunk::<4>()?);
        let mut word = [0; 8];
        word[..4].copy_from_slice(start);
        word[4..].copy_from_slice(end);
        Some(word)
    };
    match (ends(name), ends(lower)) {
        (Some(word), Some(lower)) => is_word(&word, &lower),
        _ => name.eq_ignore_ascii_case(lower),
    }
}

#[inline]
fn is_word(word: &[u8; 8], lower: &[u8; 8]) -> bool {
    const EACH: u64 = u64::from_ne_bytes([1; 8]);
    const HIGH: u64 = EACH << 7;
    let word = u64::from_ne_bytes(*word);
    let low = word & !HIGH;
    let upper = (low + EACH * (0x80 - 0x41)) & !(low + EACH * (0x7f - 0x5a)) & !word & HIGH;
    // The bit that makes a letter lower-case stands two places below the highest.
    word | upper >> 2 == u64::from_ne_bytes(*lower)
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
        fn names_are_the_same_but_for_case(name in "[!-~\u{80}]{0,20}", lower in "[!-~]{0,20}") {
            let lower = lower.to_ascii_lowercase();
            let upper = lower.to_ascii_uppercase();
            prop_assert!(is_name(lower.as_bytes(), &lower) && is_name(upper.as_bytes(), &lower));
            let same = name.eq_ignore_ascii_case(&lower);
            prop_assert_eq!(is_name(name.as_bytes(), &lower), same);
            for (at, byte) in (0..lower.len()).flat_map(|at| [(at, 0x20), (at, 0x80), (at, 1)]) {
                let mut other = lower.as_bytes().to_vec();
                other[at] ^= byte;
                let same = other.eq_ignore_ascii_case(lower.as_bytes());
                prop_assert_eq!(is_name(&other, &lower), same);
            }
        }

        #[test]
        fn case_makes_no_difference(name in "[!-~]{1,40}") {
            let key = Key::of(name.as_bytes());
            prop_assert_eq!(key, Key::of(name.to_ascii_uppercase().as_bytes()));
            prop_assert_eq!(key, Key::of(name.to_ascii_lowercase().as_bytes()));
        }
    }
}
