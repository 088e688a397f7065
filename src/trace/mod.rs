//! Traces: where a request stands in one (W3C Trace Context), whether it is recorded, and the spans that are.
//!
//! A request whose trace nobody records costs a look at its heads and, where it begins the trace, the head that says so. One that is
//! recorded has a span for itself, and one for each attempt that is made for it. A span is written down as it will be
//! sent, and put into a [`Queue`] when it ends; what empties that is not this room's concern.

mod hex;
mod identity;
mod key;
mod parent;
mod protobuf;
mod queue;
mod sampler;
mod span;
mod state;
mod tracer;

pub use identity::{SpanId, TraceId};
pub use key::Key;
pub(crate) use key::key;
pub use parent::{Flags, Parent};
pub use protobuf::Writer;
pub use queue::{Batch, DROPPED, Limits, Queue};
pub use sampler::Sampler;
pub use span::{Attributes, Describe, Kind, Span};
pub use state::is_state;
pub use tracer::{Begun, Recorded, Tracer};

use std::borrow::Cow;
use std::sync::Arc;

use arc_swap::ArcSwapOption;

/// What records now, for those who outlive a config; nothing where traces are not looked at.
pub type Current = ArcSwapOption<Tracer>;

/// Where a request stands.
#[derive(Clone, Debug, Default)]
pub enum Trace {
    /// Nobody knows.
    #[default]
    Unknown,
    /// In a trace that is not recorded.
    Unrecorded(TraceId),
    Recorded(Arc<Recorded>),
}

impl Trace {
    pub fn id(&self) -> Option<TraceId> {
        match self {
            Trace::Unknown => None,
            Trace::Unrecorded(id) => Some(*id),
            Trace::Recorded(recorded) => Some(recorded.here().trace),
        }
    }

    /// Begins a span below the request's own, if that is recorded.
    #[inline]
    pub fn span(&self, kind: Kind, name: impl Into<Cow<'static, str>>) -> Option<Span> {
        match self {
            Trace::Recorded(recorded) => Some(recorded.span(kind, name.into())),
            _ => None,
        }
    }

    #[inline]
    pub fn is_recorded(&self) -> bool {
        matches!(self, Trace::Recorded(_))
    }
}
