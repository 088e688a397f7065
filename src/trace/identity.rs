//! The names of traces and spans: numbers drawn by chance, of which none is 0 (W3C Trace Context, sections 3.2.2.3 and 3.2.2.4).
//!
//! They are kept as the digits that heads have. What is recorded, which needs bytes, is less than what is not.

use std::fmt::{self, Debug, Display};

use super::hex;

/// The digits of a trace's id that are drawn by chance, whoever makes it.
pub(super) type Randomness = [u8; RANDOM];
const RANDOM: usize = 14;

/// A trace's, of 16 bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TraceId([u8; 32]);

/// A span's, of 8 bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SpanId([u8; 16]);

impl TraceId {
    /// That of a trace that begins with the request of this id: a UUIDv7 as text, with its hyphens, which is never 0. So
    /// nothing has to be drawn, and whoever sees one of both knows the other.
    ///
    /// Its second half has to be drawn by chance, as others decide by that whether they record. A UUID has the variant
    /// there, in the first digit; a random digit stands in for it.
    #[inline]
    pub fn of_uuid(text: &[u8; 36]) -> Self {
        let mut digits = [0; 32];
        digits[..8].copy_from_slice(&text[..8]);
        digits[8..12].copy_from_slice(&text[9..13]);
        digits[12..16].copy_from_slice(&text[14..18]);
        digits[16..20].copy_from_slice(&text[19..23]);
        digits[20..].copy_from_slice(&text[24..]);
        digits[16] = text[17];
        TraceId(digits)
    }

    /// A new one, all of it drawn by chance.
    pub fn new() -> Self {
        let mut digits = [0; 32];
        digits[..16].copy_from_slice(SpanId::new().text());
        digits[16..].copy_from_slice(SpanId::new().text());
        TraceId(digits)
    }

    pub(super) fn read(digits: &[u8]) -> Option<Self> {
        let digits = *digits.as_array()?;
        hex::is_number(&digits).then_some(TraceId(digits))
    }

    pub fn bytes(self) -> [u8; 16] {
        hex::bytes(&self.0)
    }

    /// The 56 bits that are drawn by chance also where others make it (level 2, section 3.2.2.3), as digits.
    #[inline]
    pub(super) fn randomness(&self) -> &Randomness {
        let (_, drawn) = self.0.split_at(32 - RANDOM);
        drawn.as_array().unwrap_or(&[b'0'; RANDOM])
    }

    /// As digits.
    #[inline]
    pub fn text(&self) -> &[u8; 32] {
        &self.0
    }
}

impl SpanId {
    /// A new one, drawn by chance.
    #[inline]
    pub fn new() -> Self {
        // The range that leaves 0 out would take longer to draw from.
        SpanId(hex::digits_of_8(fastrand::u64(..).max(1)))
    }

    /// That of the only span in a trace that begins here, and that nobody records: it has to be none that is elsewhere in that
    /// trace. The first half of a trace's id is never 0.
    #[inline]
    pub(super) fn first_in(trace: &TraceId) -> Self {
        let mut digits = [0; 16];
        digits.copy_from_slice(&trace.0[..16]);
        SpanId(digits)
    }

    pub(super) fn read(digits: &[u8]) -> Option<Self> {
        let digits = *digits.as_array()?;
        hex::is_number(&digits).then_some(SpanId(digits))
    }

    pub fn bytes(self) -> [u8; 8] {
        hex::bytes(&self.0)
    }

    /// As digits.
    #[inline]
    pub fn text(&self) -> &[u8; 16] {
        &self.0
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
        f.write_str(std::str::from_utf8(&self.0).unwrap_or_default())
    }
}

impl Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Display::fmt(self, f)
    }
}

impl Debug for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.0).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_that_begins_here_has_the_digits_of_its_request() {
        let trace = TraceId::of_uuid(b"017f22e2-79b0-7cc3-98c4-dc0c0c07398f");
        assert_eq!(trace.to_string(), "017f22e279b07cc338c4dc0c0c07398f");
        assert_eq!(TraceId::read(trace.text()), Some(trace));
        assert_eq!(trace.bytes()[..3], [0x01, 0x7f, 0x22]);
        assert_eq!(trace.randomness(), b"c4dc0c0c07398f");
        assert_eq!(SpanId::first_in(&trace).text(), b"017f22e279b07cc3");
    }

    #[test]
    fn spans_have_ids_of_their_own() {
        let (one, other) = (SpanId::new(), SpanId::new());
        assert_ne!(one, other);
        assert_eq!(SpanId::read(one.text()), Some(one));
        assert_ne!(one.bytes(), [0; 8]);
    }
}
