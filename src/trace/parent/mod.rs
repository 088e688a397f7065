//! The head `traceparent`: what a caller says of its span (W3C Trace Context, levels 1 and 2, section 3.2).
//!
//! It is read by the text of the specification, not as a peer reads it: they disagree. What is not valid is as if it had
//! not come, and then a trace begins here.

use std::fmt::{self, Display};

use super::hex;
use super::identity::{SpanId, TraceId};

#[cfg(test)]
mod tests;

/// The flags that are known: others are 0 on the way (section 3.2.2.5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(u8);

impl Flags {
    const SAMPLED: u8 = 0x01;
    /// The trace's id was drawn by chance (level 2).
    const RANDOM: u8 = 0x02;

    /// Of a trace that begins here.
    pub fn new(is_sampled: bool) -> Self {
        Flags(Flags::RANDOM | u8::from(is_sampled))
    }

    /// Whether the caller records its span.
    pub fn is_sampled(self) -> bool {
        self.0 & Flags::SAMPLED != 0
    }

    /// The same with another decision.
    pub fn with(self, is_sampled: bool) -> Self {
        Flags(self.0 & !Flags::SAMPLED | u8::from(is_sampled))
    }

    pub fn bits(self) -> u8 {
        self.0
    }
}

/// A span, as those below it know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parent {
    pub trace: TraceId,
    pub span: SpanId,
    pub flags: Flags,
}

/// How long a `traceparent` of version 00 is, and the part that later versions have in common with it.
const LENGTH: usize = 55;
const START: &[u8; 13] = b"traceparent: ";
const LINE: usize = START.len() + LENGTH + 2;
/// Of which no version is.
const NO_VERSION: u8 = 0xff;

impl Parent {
    /// Reads the value of a `traceparent`. None where it is not valid.
    pub fn read(value: &[u8]) -> Option<Parent> {
        let (known, more) = value.split_at_checked(LENGTH)?;
        let [v0, v1, b'-', known @ ..] = known else {
            return None;
        };
        match (hex::byte(*v0, *v1)?, more) {
            (NO_VERSION, _) => return None,
            (0, []) => {}
            (0, _) => return None,
            // What a later version has behind that is left alone.
            (_, [] | [b'-', ..]) => {}
            _ => return None,
        }
        let (trace, known) = known.split_at(32);
        let (span, flags) = known.strip_prefix(b"-")?.split_at(16);
        let [b'-', f0, f1] = flags else {
            return None;
        };
        Some(Parent {
            trace: TraceId::read(trace)?,
            span: SpanId::read(span)?,
            flags: Flags(hex::byte(*f0, *f1)? & (Flags::SAMPLED | Flags::RANDOM)),
        })
    }

    /// What those below a request are told that begins `trace`, and that nobody records.
    #[inline]
    pub fn of_unrecorded(trace: &TraceId) -> Parent {
        Parent {
            trace: *trace,
            span: SpanId::first_in(trace),
            flags: Flags::new(false),
        }
    }

    /// As a `traceparent` of version 00.
    #[inline]
    pub fn text(&self) -> [u8; LENGTH] {
        let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
        text[3..35].copy_from_slice(self.trace.text());
        text[36..52].copy_from_slice(self.span.text());
        // Two flags are known, so that they are one digit.
        text[LENGTH - 1] += self.flags.0;
        text
    }

    /// The line of a head that says what [`of_unrecorded`](Parent::of_unrecorded) does, written at once: most requests need no
    /// more.
    #[inline]
    pub fn line_of_unrecorded(trace: &TraceId) -> [u8; LINE] {
        let mut line = *b"traceparent: 00-00000000000000000000000000000000-0000000000000000-02\r\n";
        line[16..48].copy_from_slice(trace.text());
        line[49..65].copy_from_slice(SpanId::first_in(trace).text());
        line
    }

    /// The line of a head that says so.
    pub fn line(&self) -> [u8; LINE] {
        let mut line = [0; LINE];
        line[..START.len()].copy_from_slice(START);
        line[START.len()..START.len() + LENGTH].copy_from_slice(&self.text());
        line[START.len() + LENGTH..].copy_from_slice(b"\r\n");
        line
    }
}

impl Display for Parent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.text()))
    }
}
