//! A span: what is recorded of one piece of work, from when it begins to when it is dropped.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use super::identity::SpanId;
use super::key::{Key, key};
use super::parent::Parent;
use super::protobuf::Writer;
use super::queue::Queue;

/// The fields of `opentelemetry.proto.trace.v1.Span`.
pub(super) mod field {
    pub const TRACE_ID: u32 = 1;
    pub const SPAN_ID: u32 = 2;
    pub const TRACE_STATE: u32 = 3;
    pub const PARENT_SPAN_ID: u32 = 4;
    pub const NAME: u32 = 5;
    pub const KIND: u32 = 6;
    pub const START: u32 = 7;
    pub const END: u32 = 8;
    pub const ATTRIBUTES: u32 = 9;
    pub const DROPPED_ATTRIBUTES: u32 = 10;
    pub const STATUS: u32 = 15;
    pub const FLAGS: u32 = 16;
    /// In `Status`.
    pub const STATUS_CODE: u32 = 3;
}

/// `STATUS_CODE_ERROR`
const ERROR: u64 = 2;
/// In the flags of a span: it is known whether its parent is in another process, and it is.
const HAS_IS_REMOTE: u32 = 0x100;
const IS_REMOTE: u32 = 0x200;
/// The longest `tracestate` that is told of a span, in bytes. Everybody has to be able to pass on so much of it (section 3.3.1.5).
const LONGEST_STATE: usize = 512;
/// Room for a usual span, which does not have to grow then.
const USUAL: usize = 1 << 10;

/// What a span is to those above and below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Internal = 1,
    Server = 2,
    Client = 3,
    Producer = 4,
    Consumer = 5,
}

/// A span that has begun. When it is dropped it has ended, and waits to be sent.
pub struct Span {
    queue: Arc<Queue>,
    here: Parent,
    /// What it is called until it is renamed.
    name: Cow<'static, str>,
    is_renamed: bool,
    fields: Writer,
    begun: Instant,
    /// Nanoseconds since 1970.
    start: u64,
    has_failed: bool,
    /// How many attributes it was given.
    attributes: u32,
    is_told: bool,
}

impl Span {
    pub(super) fn new(
        queue: &Arc<Queue>,
        here: Parent,
        above: Option<SpanId>,
        is_remote: bool,
        kind: Kind,
        name: Cow<'static, str>,
    ) -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let start = since.unwrap_or_default().as_nanos() as u64;
        let mut fields = Writer::with_capacity(USUAL);
        fields.bytes(field::TRACE_ID, here.trace.bytes());
        fields.bytes(field::SPAN_ID, here.span.bytes());
        if let Some(above) = above {
            fields.bytes(field::PARENT_SPAN_ID, above.bytes());
        }
        fields.varint(field::KIND, kind as u64);
        fields.fixed64(field::START, start);
        let remote = if is_remote { IS_REMOTE } else { 0 };
        let flags = u32::from(here.flags.bits()) | HAS_IS_REMOTE | remote;
        fields.fixed32(field::FLAGS, flags);
        Span {
            queue: queue.clone(),
            here,
            name,
            is_renamed: false,
            fields,
            begun: Instant::now(),
            start,
            has_failed: false,
            attributes: 0,
            is_told: true,
        }
    }

    /// Has those below it not know of it.
    pub(super) fn keep_to_itself(&mut self) {
        self.is_told = false;
    }

    /// Whether those below it are to know of it.
    pub fn is_told(&self) -> bool {
        self.is_told
    }

    /// What those below it have to know.
    pub fn here(&self) -> &Parent {
        &self.here
    }

    /// The name is known later than the beginning. To be told once, in parts.
    pub fn rename<const N: usize>(&mut self, parts: [&str; N]) {
        debug_assert!(!self.is_renamed, "a span has one name");
        self.is_renamed = true;
        self.fields.joined(field::NAME, &parts.map(str::as_bytes));
    }

    /// What other systems say of the trace.
    pub fn state(&mut self, tracestate: &[u8]) {
        if tracestate.len() <= LONGEST_STATE {
            self.fields.bytes(field::TRACE_STATE, tracestate);
        }
    }

    /// Adds an attribute, of which no more is kept than is reasonable.
    pub fn text(&mut self, key: &Key, value: &str) {
        if self.has_room() {
            let longest = self.queue.limits().longest;
            let value = &value[..value.floor_char_boundary(longest)];
            let value = value.as_bytes();
            key.text(value, &mut self.fields);
        }
    }

    /// The same with text that is known to be ASCII.
    pub fn ascii(&mut self, key: &Key, value: &[u8]) {
        debug_assert!(value.is_ascii());
        if self.has_room() {
            let value = &value[..value.len().min(self.queue.limits().longest)];
            key.text(value, &mut self.fields);
        }
    }

    /// The same with text in parts.
    pub fn joined<const N: usize>(&mut self, key: &Key, parts: [&str; N]) {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        if length > self.queue.limits().longest {
            self.text(key, &parts.concat());
        } else if self.has_room() {
            let parts = parts.map(str::as_bytes);
            key.joined(&parts, &mut self.fields);
        }
    }

    /// Adds attributes that were written down before. Where the limits would leave out something of them, none is added and
    /// the answer is false.
    pub fn add(&mut self, attributes: &Attributes) -> bool {
        let limits = self.queue.limits();
        let fits = self.attributes + attributes.count <= limits.attributes
            && attributes.longest <= limits.longest;
        if fits {
            self.attributes += attributes.count;
            self.fields.append(attributes.fields.as_ref());
        }
        fits
    }

    /// Adds an attribute that is a number.
    pub fn number(&mut self, key: &Key, value: u64) {
        if self.has_room() {
            key.number(value, &mut self.fields);
        }
    }

    /// Whether there is room for one attribute more. It is counted, and was left out if not.
    fn has_room(&mut self) -> bool {
        self.attributes += 1;
        self.attributes <= self.queue.limits().attributes
    }

    /// It has failed, for a reason of which there are few. The first one holds.
    pub fn fails(&mut self, error_type: &str) {
        if !std::mem::replace(&mut self.has_failed, true) {
            self.text(key!("error.type"), error_type);
        }
    }
}

/// Attributes that many spans have, written down once.
#[derive(Debug, Default)]
pub struct Attributes {
    fields: Writer,
    count: u32,
    /// The length of the longest text among them, in bytes.
    longest: usize,
}

/// What attributes are told to.
pub trait Describe {
    fn text(&mut self, key: &Key, value: &str);
    fn number(&mut self, key: &Key, value: u64);
}

impl Describe for Attributes {
    fn text(&mut self, key: &Key, value: &str) {
        self.count += 1;
        self.longest = self.longest.max(value.len());
        let value = value.as_bytes();
        key.text(value, &mut self.fields);
    }

    fn number(&mut self, key: &Key, value: u64) {
        self.count += 1;
        key.number(value, &mut self.fields);
    }
}

impl Describe for Span {
    fn text(&mut self, key: &Key, value: &str) {
        Span::text(self, key, value);
    }

    fn number(&mut self, key: &Key, value: u64) {
        Span::number(self, key, value);
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        // By the clock that is never set back, so that no span ends before it begins.
        let end = self.start + self.begun.elapsed().as_nanos() as u64;
        if !self.is_renamed {
            self.fields.bytes(field::NAME, self.name.as_bytes());
        }
        self.fields.fixed64(field::END, end);
        let most = self.queue.limits().attributes;
        if self.attributes > most {
            let left_out = u64::from(self.attributes - most);
            self.fields.varint(field::DROPPED_ATTRIBUTES, left_out);
        }
        if self.has_failed {
            let mut status = Writer::default();
            status.varint(field::STATUS_CODE, ERROR);
            self.fields.bytes(field::STATUS, status);
        }
        self.queue.push(&self.fields);
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Span({} {})", self.name, self.here)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::{Flags, Limits, TraceId};

    fn span(attributes: u32, longest: usize) -> Span {
        let limits = Limits {
            attributes,
            longest,
            ..Limits::default()
        };
        let here = Parent {
            trace: TraceId::new(),
            span: SpanId::new(),
            flags: Flags::new(true),
        };
        let queue = Arc::new(Queue::new(limits));
        Span::new(&queue, here, None, false, Kind::Client, "".into())
    }

    #[test]
    fn what_was_written_before_is_added_where_the_limits_have_it_whole() {
        let mut attributes = Attributes::default();
        attributes.text(key!("a"), "123");
        attributes.number(key!("b"), 7);
        for (most, longest, fits) in [(3, 3, true), (1, 3, false), (3, 2, false)] {
            let (mut one, mut other) = (span(most, longest), span(most, longest));
            let before = one.fields.as_ref().len();
            assert_eq!(one.add(&attributes), fits, "{most} of {longest}");
            if fits {
                other.text(key!("a"), "123");
                other.number(key!("b"), 7);
                let written = |span: &Span| span.fields.as_ref()[before..].to_vec();
                assert_eq!(written(&one), written(&other));
                assert_eq!(one.attributes, 2);
            } else {
                assert_eq!((one.fields.as_ref().len(), one.attributes), (before, 0));
            }
        }
    }

    #[test]
    fn text_in_parts_is_as_text_in_one_and_is_cut_as_that_is() {
        for longest in [4, 5, 100] {
            let (mut one, mut other) = (span(9, longest), span(9, longest));
            let before = one.fields.as_ref().len();
            one.joined(key!("a"), ["12", "", "3é"]);
            other.text(key!("a"), "123é");
            assert_eq!(
                one.fields.as_ref()[before..],
                other.fields.as_ref()[before..]
            );
        }
    }
}
