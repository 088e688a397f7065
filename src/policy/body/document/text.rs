//! What the smallest parts of JSON look like: blanks, strings, numbers and words.

/// Each of these says where what begins at `at` has ended, and those that return two, whether it is written as it would
/// be here.
#[derive(Clone, Copy)]
pub struct Text<'a>(pub &'a [u8]);

impl Text<'_> {
    /// 0, which stands nowhere in JSON, behind the last one.
    #[inline(always)]
    pub fn byte(self, at: usize) -> u8 {
        self.0.get(at).copied().unwrap_or(0)
    }

    #[inline(always)]
    fn chunk(self, at: usize) -> Option<u64> {
        let chunk = self.0.get(at..at + 8)?.first_chunk::<8>()?;
        Some(u64::from_le_bytes(*chunk))
    }

    #[inline(always)]
    pub fn behind_blanks(self, at: usize) -> usize {
        if self.byte(at) > b' ' {
            return at;
        }
        // One, as is usual behind commas and colons.
        if self.byte(at) == b' ' && self.byte(at + 1) > b' ' {
            return at + 1;
        }
        self.behind_more_blanks(at)
    }

    #[inline(never)]
    fn behind_more_blanks(self, mut at: usize) -> usize {
        while let b' ' | b'\n' | b'\t' | b'\r' = self.byte(at) {
            at += 1;
            // Indentation.
            while self.chunk(at) == Some(u64::from_le_bytes(*b"        ")) {
                at += 8;
            }
        }
        at
    }

    #[inline(always)]
    pub fn behind_string(self, start: usize) -> Option<(usize, bool)> {
        let mut at = start + 1;
        loop {
            match self.chunk(at).map(special) {
                Some(0) => at += 8,
                Some(special) => {
                    at += special.trailing_zeros() as usize / 8;
                    break;
                }
                None => break,
            }
        }
        if self.byte(at) == b'"' {
            return Some((at + 1, true));
        }
        self.behind_rest_of_string(at)
    }

    /// What has escapes, or is among the last bytes.
    #[inline(never)]
    fn behind_rest_of_string(self, mut at: usize) -> Option<(usize, bool)> {
        let mut is_plain = true;
        loop {
            match self.byte(at) {
                b'"' => return Some((at + 1, is_plain)),
                b'\\' => {
                    is_plain = false;
                    at = self.behind_escape(at)?;
                }
                0..0x20 => return None,
                _ => at += 1,
            }
        }
    }

    fn behind_escape(self, at: usize) -> Option<usize> {
        match self.byte(at + 1) {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(at + 2),
            b'u' => match self.unit(at)? {
                0xd800..0xdc00 => matches!(self.unit(at + 6)?, 0xdc00..0xe000).then_some(at + 12),
                0xdc00..0xe000 => None,
                _ => Some(at + 6),
            },
            _ => None,
        }
    }

    /// What a `\u` and four digits stand for.
    fn unit(self, at: usize) -> Option<u32> {
        let digits = self.0.get(at..at + 6)?.strip_prefix(b"\\u")?;
        digits.iter().try_fold(0, |unit, digit| {
            Some(unit << 4 | char::from(*digit).to_digit(16)?)
        })
    }

    #[inline(always)]
    fn behind_digits(self, mut at: usize) -> usize {
        while self.byte(at).is_ascii_digit() {
            at += 1;
        }
        at
    }

    #[inline(always)]
    pub fn behind_number(self, start: usize) -> Option<(usize, bool)> {
        let first = start + usize::from(self.byte(start) == b'-');
        let at = self.behind_digits(first);
        if at == first || self.byte(first) == b'0' && at > first + 1 {
            return None;
        }
        if let b'.' | b'e' | b'E' = self.byte(at) {
            return self.behind_fraction(at);
        }
        Some((at, true))
    }

    fn behind_fraction(self, mut at: usize) -> Option<(usize, bool)> {
        if self.byte(at) == b'.' {
            let first = at + 1;
            at = self.behind_digits(first);
            if at == first {
                return None;
            }
        }
        let (b'e' | b'E') = self.byte(at) else {
            return Some((at, true));
        };
        let first = at + 1 + usize::from(matches!(self.byte(at + 1), b'+' | b'-'));
        let at = self.behind_digits(first);
        (at > first).then_some((at, false))
    }

    #[inline(always)]
    pub fn behind_word(self, at: usize, word: &[u8]) -> Option<usize> {
        let end = at + word.len();
        (self.0.get(at..end)? == word).then_some(end)
    }
}

/// Has the high bit of each byte set that is a quote, a backslash or a control character; above the lowest of them,
/// of others as well.
#[inline(always)]
fn special(chunk: u64) -> u64 {
    const EACH: u64 = u64::MAX / 255;
    let quote = chunk ^ (EACH * b'"' as u64);
    let backslash = chunk ^ (EACH * b'\\' as u64);
    let below = chunk.wrapping_sub(EACH * 0x20) & !chunk;
    let quotes = quote.wrapping_sub(EACH) & !quote;
    let backslashes = backslash.wrapping_sub(EACH) & !backslash;
    (below | quotes | backslashes) & (EACH * 0x80)
}
