//! The span of a message that a request becomes.

use crate::broker::{Address, Message, span};
use crate::http::message::Request;
use crate::trace::{Kind, Span};
use crate::value::template::HeaderTemplate;

/// Begins one, if the request is recorded, and has `message` say so, unless the route keeps the trace to itself.
pub(super) fn begin(
    request: &Request,
    address: &Address<HeaderTemplate>,
    message: &mut Message,
) -> Option<Span> {
    let trace = &request.context.trace;
    if !trace.is_recorded() {
        return None;
    }
    let name = span::name(address, HeaderTemplate::as_str);
    let mut span = trace.span(Kind::Producer, name)?;
    span::describe(&mut span, message, address, HeaderTemplate::as_str);
    let mut headers = message.headers.iter_mut();
    if let Some((_, value)) = headers.find(|(name, _)| name == span::PARENT)
        && span.is_told()
    {
        *value = span.here().to_string();
    }
    Some(span)
}
