//! The head of an answer.

use http::header;
use http_body::Body as _;

use super::side::Server;
use crate::codec::h2::fields::{self, LeaveOut};
use crate::codec::h2::frame;
use crate::codec::h2::shared::State;
use crate::http::message::Response;
use crate::http::semantics::no_body;

/// Writes an answer's head; says whether that was all of it.
pub(super) fn put(state: &mut State<Server>, key: u32, to_head: bool, response: &Response) -> bool {
    let status = response.status;
    let length = response.body.size_hint().exact();
    let ends = no_body::ends_with_head(to_head, status) || response.body.is_end_stream();
    // What the head says of the length of a body that is not sent is the upstream's; otherwise it is what is sent.
    let keeps_length = ends && no_body::may_tell_length(status);
    let told_length = match length {
        Some(length @ 1..) if keeps_length => {
            (!response.headers.contains(&header::CONTENT_LENGTH)).then_some(length)
        }
        // An empty body that is sent all the same has a length only if the upstream said so.
        Some(0) if !ends => response
            .headers
            .contains(&header::CONTENT_LENGTH)
            .then_some(0),
        length if !ends => length,
        _ => None,
    };
    let stream = state.at(key);
    stream.side.answered = true;
    stream.sent = ends;
    let (id, max) = (stream.id, state.remote.max_payload);
    let encoder = &mut state.encoder;
    frame::put_headers(state.out.buffer(), id, ends, max, |out| {
        let leave_out = if keeps_length {
            LeaveOut::Nothing
        } else {
            LeaveOut::Length
        };
        encoder.begin(out);
        encoder.status(out, status);
        fields::put(encoder, out, &response.headers, leave_out);
        if let Some(length) = told_length {
            fields::put_length(encoder, out, length);
        }
    });
    ends
}
