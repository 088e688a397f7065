//! The names of traces and spans: numbers drawn by chance, of which none is 0 (W3C Trace Context, sections 3.2.2.3 and 3.2.2.4).

use std::fmt::{self, Debug, Display};

use super::hex;

/// A trace's, of 16 bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TraceId(u64, u64);

/// A span's, of 8 bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SpanId(u64);

impl TraceId {
    /// A new one. All of it is drawn by chance.
    #[inline]
    pub fn new() -> Self {
        // The range that leaves 0 out would take longer to draw from.
        TraceId(fastrand::u64(..), fastrand::u64(..).max(1))
    }

    pub(super) fn read(digits: &[u8]) -> Option<Self> {
        let (high, low) = digits.split_at_checked(16)?;
        let number = |digits| hex::read(digits).map(u64::from_be_bytes);
        let (high, low) = (number(high)?, number(low)?);
        (high | low != 0).then_some(TraceId(high, low))
    }

    pub fn bytes(self) -> [u8; 16] {
        (u128::from(self.0) << 64 | u128::from(self.1)).to_be_bytes()
    }

    /// The 56 bits that are drawn by chance also where others make it (level 2, section 3.2.2.3).
    #[inline]
    pub(super) fn randomness(self) -> u64 {
        self.1 & (u64::MAX >> 8)
    }

    /// As digits.
    #[inline]
    pub fn text(self) -> [u8; 32] {
        let mut text = [0; 32];
        text[..16].copy_from_slice(&hex::digits_of_8(self.0));
        text[16..].copy_from_slice(&hex::digits_of_8(self.1));
        text
    }
}

impl SpanId {
    #[inline]
    pub fn new() -> Self {
        SpanId(fastrand::u64(..).max(1))
    }

    pub(super) fn read(digits: &[u8]) -> Option<Self> {
        let number = u64::from_be_bytes(hex::read(digits)?);
        (number != 0).then_some(SpanId(number))
    }

    pub fn bytes(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }

    /// As digits.
    #[inline]
    pub fn text(self) -> [u8; 16] {
        hex::digits_of_8(self.0)
    }
}

impl Default for TraceId {
    fn default() -> Self {
        TraceId::new()
    }
}

impl Default for SpanId {
    fn default() -> Self {
        SpanId::new()
    }
}

impl Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.text()))
    }
}

impl Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Display::fmt(self, f)
    }
}

impl Debug for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}
