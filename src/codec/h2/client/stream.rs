//! One exchange: a request on its way out, until the head of its answer.

use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use http_body::Body as _;
use tokio::time::Instant;

use super::body::give_up;
use super::side::{Asking, Client, ResponseHead};
use crate::codec::h2::fields::{self, LeaveOut};
use crate::codec::h2::frame::{self, Code};
use crate::codec::h2::incoming::Cut;
use crate::codec::h2::sending::Sending;
use crate::codec::h2::shared::{Shared, State};
use crate::http::body::Body;
use crate::http::error::{Error, Progress, UPSTREAM_PROTOCOL_ERROR, UPSTREAM_RESET};
use crate::http::message::Request;
use crate::http::semantics::expect;
use crate::net::timer::Deadline;

/// How long the body waits for the upstream's `100 Continue` (RFC 9110, section 10.1.1: not for ever).
const CONTINUE_WAIT: Duration = Duration::from_secs(1);

/// A body up to this size goes with the head of its request.
const COPIED: usize = 4 << 10;

pub(super) struct Exchange {
    shared: Arc<Shared<Client>>,
    pub key: u32,
    pub id: u32,
    /// The whole body, to be given back if the upstream has not looked at the request.
    whole: Option<Bytes>,
    /// The body waits for `100 Continue`.
    held: Option<(Body, Deadline)>,
    /// Somebody else owns the stream by now.
    handed_on: bool,
}

impl Exchange {
    /// Opens a stream and hands the request to the connection's task.
    pub fn begin(shared: &Arc<Shared<Client>>, request: &mut Request) -> Self {
        let mut body = std::mem::replace(&mut request.body, Body::empty());
        let length = body.size_hint().exact();
        let ends = body.is_end_stream();
        let awaits_continue = body.is_stream()
            && length != Some(0)
            && !ends
            && expect::expects_continue(&request.headers);
        let whole = if awaits_continue {
            None
        } else {
            body.take_full().filter(|whole| !whole.is_empty())
        };
        let mut state = shared.state();
        let id = state.side.next_stream;
        state.side.next_stream += 2;
        let at = state.out.position();
        let key = state.open(
            id,
            Asking {
                is_head: request.method == Method::HEAD,
                at,
                ..Asking::default()
            },
        );
        state.at(key).sent = ends;
        put_head(&mut state, id, ends, length, request);
        let mut held = None;
        if let Some(whole) = &whole {
            if whole.len() > COPIED || !state.put_whole(key, whole) {
                upload(&mut state, key, Sending::rest(whole.clone()));
            }
        } else if awaits_continue {
            let mut wait = Deadline::new();
            wait.set(Instant::now() + CONTINUE_WAIT);
            held = Some((body, wait));
        } else if !ends {
            upload(&mut state, key, Sending::keeping(body, length));
        }
        drop(state);
        shared.ready.wake();
        Exchange {
            shared: shared.clone(),
            key,
            id,
            whole,
            held,
            handed_on: false,
        }
    }

    /// The head of the final answer. Interim answers are passed on.
    pub fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        request: &mut Request,
    ) -> Poll<Result<ResponseHead, Error>> {
        loop {
            let shared = self.shared.clone();
            let mut state = shared.state();
            let Some(stream) = state.get(self.key, self.id) else {
                return Poll::Ready(Err(failed(Cut::Lost).at(Progress::Sent)));
            };
            let interims = std::mem::take(&mut stream.side.interims);
            if interims.is_empty() {
                if let Some(head) = stream.side.head.take() {
                    return Poll::Ready(Ok(head));
                }
                if let Some(cut) = stream.incoming.cut() {
                    let fault = stream.side.fault.take();
                    let upload = stream.side.upload.take();
                    drop(state);
                    return Poll::Ready(Err(self.fail(request, cut, fault, upload)));
                }
                stream.incoming.listen(cx);
                drop(state);
                if let Some((_, wait)) = &mut self.held {
                    // Who sends without being asked is not kept waiting.
                    let caller = request.context.interim.as_ref();
                    if caller.is_some_and(|caller| caller.poll_body_begun(cx).is_pending()) {
                        ready!(wait.poll_passed(cx));
                    }
                    self.go_on();
                    continue;
                }
                return Poll::Pending;
            }
            drop(state);
            for (status, headers) in interims {
                if status == StatusCode::CONTINUE {
                    self.go_on();
                } else if let Some(way) = &request.context.interim {
                    way.send(status, &headers);
                }
            }
        }
    }

    /// Somebody else sees to the end of the stream. A body that still waits to be asked for is not wanted unless the
    /// answer is a success (RFC 9110, section 10.1.1).
    pub fn hand_on(mut self, success: bool) {
        if success {
            self.go_on();
        }
        self.handed_on = true;
    }

    /// Hands the held body to the connection's task.
    fn go_on(&mut self) {
        if let Some((body, _)) = self.held.take() {
            let length = body.size_hint().exact();
            let mut state = self.shared.state();
            if state.find(self.id).is_some() {
                let sending = if state.at(self.key).side.answered {
                    Sending::new(body, length)
                } else {
                    Sending::keeping(body, length)
                };
                upload(&mut state, self.key, sending);
                drop(state);
                self.shared.ready.wake();
            }
        }
    }

    fn fail(
        &mut self,
        request: &mut Request,
        cut: Cut,
        fault: Option<Error>,
        upload: Option<Sending>,
    ) -> Error {
        if let Some(fault) = fault {
            // Whatever it was, sending the rest again would not mend it.
            return fault.at(Progress::Sent);
        }
        // RFC 9113, section 8.7: what the upstream refused, or left out when it went away, it has not processed.
        let unseen = matches!(cut, Cut::Unseen | Cut::Reset(Code::REFUSED_STREAM));
        if !unseen {
            return failed(cut).at(Progress::Sent);
        }
        let body = match (self.whole.take(), self.held.take()) {
            (Some(whole), _) => Some(Body::full(whole)),
            (None, Some((held, _))) => Some(held),
            (None, None) => upload.and_then(Sending::into_whole),
        };
        if let Some(body) = body {
            request.body = body;
        }
        failed(cut).at(Progress::Unsent)
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if !self.handed_on {
            give_up(&self.shared, self.key, self.id);
        }
    }
}

fn upload(state: &mut State<Client>, key: u32, sending: Sending) {
    state.at(key).side.upload = Some(sending);
    state.side.uploads.push(key);
}

fn put_head(
    state: &mut State<Client>,
    id: u32,
    ends: bool,
    length: Option<u64>,
    request: &Request,
) {
    let max = state.remote.max_payload;
    let encrypted = state.side.encrypted;
    let encoder = &mut state.encoder;
    frame::put_headers(state.out.buffer(), id, ends, max, |out| {
        encoder.begin(out);
        encoder.method(out, &request.method);
        encoder.scheme(out, encrypted);
        if let Some(authority) = &request.authority {
            encoder.field(out, b":authority", authority.as_str().as_bytes());
        }
        encoder.field(out, b":path", request.target.as_str().as_bytes());
        // The body may be another than the one that came.
        fields::put(encoder, out, &request.headers, LeaveOut::LengthAndHost);
        if let Some(length @ 1..) = length {
            fields::put_length(encoder, out, length);
        }
    });
}

pub(super) fn failed(cut: Cut) -> Error {
    match cut {
        Cut::Malformed(why) => Error::new(
            UPSTREAM_PROTOCOL_ERROR,
            "the upstream breaks the rules of HTTP/2",
        )
        .because(why),
        Cut::Reset(Code::PROTOCOL_ERROR) => Error::new(
            UPSTREAM_PROTOCOL_ERROR,
            "the upstream breaks the rules of HTTP/2",
        )
        .because("it reset the request with PROTOCOL_ERROR"),
        Cut::Reset(code) => {
            let error = Error::new(UPSTREAM_RESET, "the upstream reset the request")
                .because(format!("RST_STREAM with code {}", code.0));
            match code {
                // All others speak of this connection alone.
                Code::CANCEL | Code::ENHANCE_YOUR_CALM => error.with_stream_code(code.0),
                _ => error,
            }
        }
        Cut::Unseen => Error::new(UPSTREAM_RESET, "the upstream closed the connection"),
        Cut::Lost => Error::new(UPSTREAM_RESET, "the connection to the upstream was lost"),
    }
}
