//! The names of traces and spans: numbers drawn by chance, of which none is 0 (W3C Trace Context, sections 3.2.2.3 and 3.2.2.4).

use std::fmt::{self, Debug, Display};

use super::hex;

/// A trace's, of 16 bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TraceId([u8; 16]);

/// A span's, of 8 bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SpanId([u8; 8]);

impl TraceId {
    /// A new one. All of it is drawn by chance.
    #[inline]
    pub fn new() -> Self {
        // One that is 0 never comes twice.
        TraceId(fastrand::u128(1..).to_be_bytes())
    }

    pub(super) fn read(digits: &[u8]) -> Option<Self> {
        let bytes = hex::read(digits)?;
        (bytes != [0; 16]).then_some(TraceId(bytes))
    }

    pub fn bytes(self) -> [u8; 16] {
        self.0
    }

    /// The 56 bits that are drawn by chance also where others make it (level 2, section 3.2.2.3).
    #[inline]
    pub(super) fn randomness(self) -> u64 {
        u128::from_be_bytes(self.0) as u64 & (u64::MAX >> 8)
    }

    /// As digits.
    pub fn text(self) -> [u8; 32] {
        let mut text = [0; 32];
        hex::write(self.0, text.as_chunks_mut().0);
        text
    }
}

impl SpanId {
    #[inline]
    pub fn new() -> Self {
        SpanId(fastrand::u64(1..).to_be_bytes())
    }

    pub(super) fn read(digits: &[u8]) -> Option<Self> {
        let bytes = hex::read(digits)?;
        (bytes != [0; 8]).then_some(SpanId(bytes))
    }

    pub fn bytes(self) -> [u8; 8] {
        self.0
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
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
