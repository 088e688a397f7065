//! What a client keeps with its streams, and how it takes what upstreams send.

use bytes::Bytes;
use http::StatusCode;

use crate::codec::h2::ended::Broken;
use crate::codec::h2::fields;
use crate::codec::h2::frame::{self, Code, Fault, MAX_31};
use crate::codec::h2::hpack::decode::Block;
use crate::codec::h2::hpack::name::Name;
use crate::codec::h2::incoming::Cut;
use crate::codec::h2::input::Input;
use crate::codec::h2::reading::Role;
use crate::codec::h2::sending::Sending;
use crate::codec::h2::shared::{Shared, Side, State};
use crate::http::error::Error;
use crate::http::headers::{Headers, Spans};
use crate::http::semantics::no_body;

/// Interim answers that wait to be passed on; more are dropped, as they are hints only.
const MAX_INTERIMS: usize = 16;

/// The client's side of [`Side`].
pub struct Client;

impl Side for Client {
    type Stream = Asking;
    type Connection = Upstream;
}

/// What is known of a stream beside the body of its answer.
#[derive(Default)]
pub struct Asking {
    /// The request is HEAD, whose answer has no body.
    pub is_head: bool,
    /// Where the request's head stands among all bytes that are written.
    pub at: u64,
    /// The request's body, on its way to the connection's task, or back when it may have to be sent elsewhere.
    pub upload: Option<Sending>,
    pub interims: Vec<(StatusCode, Headers)>,
    pub head: Option<ResponseHead>,
    /// The final head has come.
    pub answered: bool,
    /// The request's body has failed.
    pub fault: Option<Error>,
}

/// What is known of the upstream.
pub struct Upstream {
    pub next_stream: u32,
    /// The connection is encrypted: the scheme of its requests.
    pub encrypted: bool,
    /// It takes no more streams.
    pub going_away: bool,
    /// Nobody will open another stream.
    pub released: bool,
    /// Requests that wait until another stream may be opened.
    pub waiting: usize,
    /// Keys of streams whose bodies the task has yet to take.
    pub uploads: Vec<u32>,
    /// Keys of streams whose answer has come: their bodies need not be sent elsewhere.
    pub seen: Vec<u32>,
}

impl Default for Upstream {
    fn default() -> Self {
        Upstream {
            next_stream: 1,
            encrypted: false,
            going_away: false,
            released: false,
            waiting: 0,
            uploads: Vec::new(),
            seen: Vec::new(),
        }
    }
}

/// The head of an answer.
pub struct ResponseHead {
    pub status: StatusCode,
    pub headers: Headers,
    /// Bytes of content that it announces.
    pub length: Option<u64>,
    /// Nothing follows on it.
    pub ends: bool,
}

/// What upstreams send, on its way to the exchanges.
pub(super) struct Upstreams;

impl Role for Upstreams {
    type Side = Client;

    fn greet(&mut self, input: &mut Input) -> Result<bool, Broken> {
        if input.rest().starts_with(b"HTTP/1") {
            return Err(Broken(
                Code::PROTOCOL_ERROR,
                "the upstream does not speak HTTP/2",
            ));
        }
        Ok(true)
    }

    fn headers(
        &mut self,
        state: &mut State<Client>,
        stream: u32,
        ends: bool,
        block: &mut Block,
    ) -> Result<(), Fault> {
        let Some(key) = state.find(stream) else {
            if stream >= state.side.next_stream || stream.is_multiple_of(2) {
                return Err(Fault::protocol("an answer that nobody asked for"));
            }
            return Ok(());
        };
        let stream = state.at(key);
        if stream.side.answered {
            if !ends {
                return Err(Fault::malformed("trailers that do not end their stream"));
            }
            let trailers = fields::trailers(block)?;
            stream.incoming.end(Some(trailers))?;
        } else {
            let mut head = read(block)?;
            if head.status.is_informational() {
                if ends || head.status == StatusCode::SWITCHING_PROTOCOLS {
                    return Err(Fault::malformed("an interim answer that may not be"));
                }
                if stream.side.interims.len() < MAX_INTERIMS {
                    stream.side.interims.push((head.status, head.headers));
                }
            } else {
                let bodyless = no_body::ends_with_head(stream.side.is_head, head.status);
                stream.incoming.left = if bodyless { Some(0) } else { head.length };
                if ends {
                    stream.incoming.end(None)?;
                }
                head.ends = ends;
                stream.side.answered = true;
                stream.side.head = Some(head);
                if !stream.sent || stream.side.upload.is_some() {
                    stream.incoming.wake();
                    state.side.seen.push(key);
                    return Ok(());
                }
            }
        }
        stream.incoming.wake();
        Ok(())
    }

    fn unknown(&self, stream: u32, _: u8) -> Result<(), Fault> {
        // Of those that we opened, some were given up a moment ago.
        if stream.is_multiple_of(2) {
            Err(Fault::protocol("a frame of a stream that was never begun"))
        } else {
            Ok(())
        }
    }

    fn takes_back_work(&self, _: &Asking) -> bool {
        // The work is the upstream's own, and there are no more streams to reset than requests that we sent.
        false
    }

    fn takes_content(&self, side: &Asking) -> bool {
        side.answered
    }

    fn cut(&mut self, state: &mut State<Client>, key: u32, cut: Cut) {
        state.fail(key, cut);
    }

    fn reset(&mut self, _: u32) {}

    fn received(&mut self, state: &mut State<Client>, key: u32) {
        let stream = state.at(key);
        let (id, sent) = (stream.id, stream.sent);
        if !stream.incoming.ended {
            return;
        }
        if !sent {
            // An early answer: what is left of the request is not wanted.
            stream.sent = true;
            frame::put_reset(state.out.buffer(), id, Code::CANCEL);
            state.doomed.push(key);
        }
        state.close(id);
    }

    fn goaway(&mut self, state: &mut State<Client>, last_stream: u32, _: Code) {
        state.side.going_away = true;
        let unseen: Vec<u32> = state
            .opened()
            .iter()
            .filter(|(id, _)| *id > last_stream)
            .map(|(_, key)| *key)
            .collect();
        for key in unseen {
            state.fail(key, Cut::Unseen);
        }
    }

    fn pong(&mut self) {
        // Whatever is heard shows that the upstream lives.
    }
}

/// Forgets a stream that was read to its end.
pub(super) fn finish(shared: &Shared<Client>, state: &mut State<Client>, key: u32) {
    state.remove(key);
    let leaving = state.side.released || state.side.going_away;
    if leaving && !state.has_streams() {
        shared.ready.wake();
    }
}

/// Whether identifiers of streams are used up.
pub(super) fn is_used_up(next_stream: u32) -> bool {
    next_stream > MAX_31
}

/// Reads the head of an answer (RFC 9113, section 8.3.2).
///
/// # Errors
/// It is malformed.
fn read(block: &Block) -> Result<ResponseHead, Fault> {
    if block.too_large {
        return Err(Fault::malformed("the response head is too large"));
    }
    let mut status = None;
    let mut length = None;
    let mut spans = Spans::with_capacity(block.fields.len());
    for field in &block.fields {
        let value = field.value(&block.bytes);
        fields::check(field.name, value, field.sound)?;
        match field.name {
            Name::Status => {
                if field.at > 0 {
                    return Err(Fault::malformed(":status that is not first"));
                }
                status = StatusCode::from_bytes(value).ok();
                continue;
            }
            name if name.is_pseudo() => {
                return Err(Fault::malformed("a pseudo-header that no answer has"));
            }
            Name::ContentLength if length.replace(fields::length(value)?).is_some() => {
                return Err(Fault::malformed("more than one Content-Length"));
            }
            Name::FramingLookalike => {
                return Err(Fault::malformed(
                    "a header name that could be read as a framing header",
                ));
            }
            _ => {}
        }
        spans.push_line(
            field.name(&block.bytes),
            field.at as usize,
            field.value_at(),
            field.value_len as usize,
            field.end(),
        );
    }
    Ok(ResponseHead {
        status: status.ok_or(Fault::malformed("no :status, or none that is one"))?,
        headers: Headers::from_received(Bytes::copy_from_slice(&block.bytes), spans),
        length,
        ends: false,
    })
}
