//! A span: what is recorded of one piece of work, from when it begins to when it is dropped.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use super::identity::SpanId;
use super::parent::Parent;
use super::protobuf::Writer;
use super::queue::Queue;

/// The fields of `opentelemetry.proto.trace.v1.Span`.
mod field {
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
    name: Cow<'static, str>,
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

    /// The name is known later than the beginning.
    pub fn rename(&mut self, name: impl Into<Cow<'static, str>>) {
        self.name = name.into();
    }

    /// What other systems say of the trace.
    pub fn state(&mut self, tracestate: &[u8]) {
        if tracestate.len() <= LONGEST_STATE {
            self.fields.bytes(field::TRACE_STATE, tracestate);
        }
    }

    /// Adds an attribute, of which no more is kept than is reasonable.
    pub fn text(&mut self, key: &'static str, value: &str) {
        if self.has_room() {
            let longest = self.queue.limits().longest;
            let value = &value[..value.floor_char_boundary(longest)];
            self.fields.text_attribute(field::ATTRIBUTES, key, value);
        }
    }

    /// Adds an attribute that is a number.
    pub fn number(&mut self, key: &'static str, value: u64) {
        if self.has_room() {
            self.fields.number_attribute(field::ATTRIBUTES, key, value);
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
            self.text("error.type", error_type);
        }
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        // By the clock that is never set back, so that no span ends before it begins.
        let end = self.start + self.begun.elapsed().as_nanos() as u64;
        self.fields.bytes(field::NAME, self.name.as_bytes());
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
