//! Continues traces and begins them.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use super::Trace;
use super::identity::{SpanId, TraceId};
use super::parent::{Flags, Parent};
use super::queue::Queue;
use super::sampler::Sampler;
use super::span::{Kind, Span};

/// Decides what is recorded, and where to.
pub struct Tracer {
    sampler: Sampler,
    /// Whether traces are gone on with from one to the next.
    propagates: bool,
    queue: Arc<Queue>,
}

/// What becomes of a request in its trace.
pub struct Begun {
    /// Where the request stands.
    pub trace: Trace,
    /// What those below are told; None where what the caller said goes on as it came.
    pub told: Option<Parent>,
    /// The request's own span.
    pub span: Option<Box<Span>>,
}

/// A request that is recorded.
pub struct Recorded {
    /// Its own span.
    here: Parent,
    tracer: Arc<Tracer>,
}

impl Tracer {
    /// `propagates`: what a caller says of its trace is of interest, and whoever is asked is told of it.
    pub fn new(sampler: Sampler, propagates: bool, queue: Arc<Queue>) -> Self {
        Tracer {
            sampler,
            propagates,
            queue,
        }
    }

    #[inline]
    pub fn propagates(&self) -> bool {
        self.propagates
    }

    pub fn queue(&self) -> &Arc<Queue> {
        &self.queue
    }

    /// Whether a trace is recorded that begins here.
    #[inline]
    pub fn records_new(&self, trace: &TraceId) -> bool {
        self.sampler.records_new(trace)
    }

    /// Where a request stands that begins `trace`. Its own span, if it is recorded, is of `kind`.
    pub fn begin(self: &Arc<Self>, trace: TraceId, kind: Kind) -> Begun {
        if self.records_new(&trace) {
            self.record(trace, None, Flags::new(true), kind)
        } else {
            not_recorded(Parent::of_unrecorded(&trace))
        }
    }

    /// Where a request stands whose caller is in the span `parent`.
    pub fn go_on(self: &Arc<Self>, parent: Parent, kind: Kind) -> Begun {
        let Parent { trace, span, flags } = parent;
        if self.sampler.records_below(&parent) {
            self.record(trace, Some(span), flags.with(true), kind)
        } else if flags.is_sampled() {
            not_recorded(Parent {
                trace,
                span: SpanId::new(),
                flags: flags.with(false),
            })
        } else {
            // Nobody here has a span, so the caller stays the parent (section 3.4).
            Begun {
                trace: Trace::Unrecorded(trace),
                told: None,
                span: None,
            }
        }
    }

    fn record(
        self: &Arc<Self>,
        trace: TraceId,
        parent: Option<SpanId>,
        flags: Flags,
        kind: Kind,
    ) -> Begun {
        let here = Parent {
            trace,
            span: SpanId::new(),
            flags,
        };
        let mut span = Span::new(&self.queue, here, parent, parent.is_some(), kind, "".into());
        if !self.propagates {
            span.keep_to_itself();
        }
        Begun {
            told: Some(here),
            span: Some(Box::new(span)),
            trace: Trace::Recorded(Arc::new(Recorded {
                here,
                tracer: self.clone(),
            })),
        }
    }
}

fn not_recorded(here: Parent) -> Begun {
    Begun {
        trace: Trace::Unrecorded(here.trace),
        told: Some(here),
        span: None,
    }
}

impl Recorded {
    pub fn here(&self) -> Parent {
        self.here
    }

    /// Begins a span below this one.
    #[cold]
    pub(super) fn span(&self, kind: Kind, name: Cow<'static, str>) -> Span {
        let here = Parent {
            span: SpanId::new(),
            ..self.here
        };
        let above = Some(self.here.span);
        let mut span = Span::new(&self.tracer.queue, here, above, false, kind, name);
        if !self.tracer.propagates {
            span.keep_to_itself();
        }
        span
    }
}

impl fmt::Debug for Recorded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Recorded({})", self.here)
    }
}
