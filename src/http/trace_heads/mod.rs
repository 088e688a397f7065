//! The heads by which a trace goes on from one to the next: `traceparent` and `tracestate` (W3C Trace Context, section 3).

use std::sync::Arc;

use http::HeaderName;

use super::headers::{Headers, Name, Names};
use super::message::{Context, Request, RequestId};
use crate::trace::{Begun, Kind, Parent, Span, Trace, TraceId, Tracer, is_state};

static PARENT: HeaderName = HeaderName::from_static("traceparent");
static STATE: HeaderName = HeaderName::from_static("tracestate");
const LINE: Name = Name::new("traceparent");
const PARENTS: Names = Names::new(&["traceparent"]);
const STATES: Names = Names::new(&["tracestate"]);
const BOTH: Names = Names::new(&["traceparent", "tracestate"]);

/// Has `request` stand in the trace of its caller, or in a new one, and its heads say so to whoever gets it. Gives back the
/// request's own span, if it is recorded.
// Of the instructions of a trace that nobody records, a sixth would be the call.
#[inline(always)]
pub fn begin(request: &mut Request, tracer: &Arc<Tracer>, kind: Kind) -> Option<Box<Span>> {
    let Request {
        headers, context, ..
    } = request;
    if headers.may_have(&BOTH) || !tracer.propagates() {
        return go_on(headers, context, tracer, kind);
    }
    let new = new_trace(&context.request_id);
    if tracer.records_new(&new) {
        return go_on(headers, context, tracer, kind);
    }
    headers.append_whole(&LINE, &Parent::line_of_unrecorded(&new));
    context.trace = Trace::Unrecorded(new);
    None
}

/// The trace that begins with a request.
#[inline]
fn new_trace(id: &RequestId) -> TraceId {
    match id {
        RequestId::Made(text) => TraceId::of_uuid(text),
        RequestId::Kept(..) => of_kept(id),
    }
}

/// Apart from the other, which is to stay a few moves.
#[cold]
#[inline(never)]
fn of_kept(id: &RequestId) -> TraceId {
    TraceId::of_uuid(&id.uuid())
}

/// The same where the caller seems to say something of a trace or is not to be asked, and where a new one is recorded.
#[cold]
fn go_on(
    headers: &mut Headers,
    context: &mut Context,
    tracer: &Arc<Tracer>,
    kind: Kind,
) -> Option<Box<Span>> {
    let propagates = tracer.propagates();
    let parent = if propagates { read(headers) } else { None };
    let Begun { trace, told, span } = match parent {
        Some(parent) => tracer.go_on(parent, kind),
        None => tracer.begin(new_trace(&context.request_id), kind),
    };
    context.trace = trace;
    if !propagates {
        return span;
    }
    if let Some(told) = told {
        make_room(headers, parent.is_some());
        headers.append_whole(&LINE, &told.line());
    }
    span.map(|span| with_state(span, headers))
}

/// What a caller says of its span, if that is valid, and it alone says so.
pub fn read(headers: &Headers) -> Option<Parent> {
    if !headers.has(&LINE) {
        return None;
    }
    let mut parents = headers.get_all(&PARENT);
    let parent = Parent::read(parents.next()?);
    parent.filter(|_| parents.next().is_none())
}

/// Has whoever gets the request know of `span`, where a request has been told of one above it: a route may keep that to
/// itself.
pub fn hand_on(headers: &mut Headers, span: &Span) {
    if !span.is_told() || !headers.may_have(&PARENTS) {
        return;
    }
    let text = span.here().text();
    // As a rule it is the one that the proxy has written.
    if !headers.overwrite_added(&LINE, &text) && headers.contains(&PARENT) {
        headers.insert_text(&PARENT, text);
    }
}

/// A list that belongs to no trace, or is none, is dropped (section 3.3). `goes_on`: it is a trace of the caller's.
fn make_room(headers: &mut Headers, goes_on: bool) {
    headers.remove_all(&PARENTS);
    if !goes_on || !is_state(headers.get_all(&STATE)) {
        headers.remove_all(&STATES);
    }
}

fn with_state(mut span: Box<Span>, headers: &Headers) -> Box<Span> {
    let states: Vec<&[u8]> = headers.get_all(&STATE).collect();
    if !states.is_empty() {
        span.state(&states.join(&b","[..]));
    }
    span
}

#[cfg(test)]
mod tests;
