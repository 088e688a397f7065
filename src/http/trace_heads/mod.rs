//! The heads by which a trace goes on from one to the next: `traceparent` and `tracestate` (W3C Trace Context, section 3).

use http::HeaderName;

use super::headers::{Headers, Name, Names};
use super::message::Request;
use crate::trace::{Begun, Kind, Parent, Span, Tracer, is_state};

static PARENT: HeaderName = HeaderName::from_static("traceparent");
static STATE: HeaderName = HeaderName::from_static("tracestate");
const LINE: Name = Name::new("traceparent");
const PARENTS: Names = Names::new(&["traceparent"]);
const STATES: Names = Names::new(&["tracestate"]);
const BOTH: Names = Names::new(&["traceparent", "tracestate"]);

/// Has `request` stand in the trace of its caller, or in a new one, and its heads say so to whoever gets it. Gives back the
/// request's own span, if it is recorded.
#[inline]
pub fn begin(
    request: &mut Request,
    tracer: &std::sync::Arc<Tracer>,
    kind: Kind,
) -> Option<Box<Span>> {
    let headers = &mut request.headers;
    let parent = if headers.may_have(&BOTH) {
        read(headers)
    } else {
        None
    };
    let Begun { trace, told, span } = tracer.begin(parent, kind);
    request.context.trace = trace;
    if let Some(told) = told {
        tell(headers, &told, parent.is_some());
    }
    span.map(|span| with_state(span, headers))
}

/// What a caller says of its span, if that is valid, and it alone says so.
#[cold]
pub fn read(headers: &Headers) -> Option<Parent> {
    let mut parents = headers.get_all(&PARENT);
    let parent = Parent::read(parents.next()?);
    parent.filter(|_| parents.next().is_none())
}

/// Has whoever gets the request know of `span`, where a request has been told of one above it: a route may keep that to
/// itself.
pub fn hand_on(headers: &mut Headers, span: &Span) {
    if headers.may_have(&PARENTS) && headers.contains(&PARENT) {
        headers.insert_text(&PARENT, span.here().text());
    }
}

/// `goes_on`: it is a trace of the caller's.
#[inline]
fn tell(headers: &mut Headers, parent: &Parent, goes_on: bool) {
    if headers.may_have(&BOTH) {
        make_room(headers, goes_on);
    }
    headers.append_whole(&LINE, &parent.line());
}

/// A list that belongs to no trace, or is none, is dropped (section 3.3).
#[cold]
fn make_room(headers: &mut Headers, goes_on: bool) {
    headers.remove_all(&PARENTS);
    if !goes_on || !is_state(headers.get_all(&STATE)) {
        headers.remove_all(&STATES);
    }
}

#[cold]
fn with_state(mut span: Box<Span>, headers: &Headers) -> Box<Span> {
    let states: Vec<&[u8]> = headers.get_all(&STATE).collect();
    if !states.is_empty() {
        span.state(&states.join(&b","[..]));
    }
    span
}

#[cfg(test)]
mod tests;
