//! Answers on their way to the caller.

use std::future::poll_fn;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use http_body::{Body as _, SizeHint};

use super::{Connection, Next};
use crate::codec::h1::framing::Framing;
use crate::codec::h1::head;
use crate::codec::h1::outgoing::WrongLength;
use crate::codec::h1::taking::Taken;
use crate::codec::service::gone;
use crate::http::body::Body;
use crate::http::error::{CALLER_GONE, Error, INTERNAL};
use crate::http::headers::Headers;
use crate::http::message::Response;
use crate::http::semantics::no_body;
use crate::net::io::Io;
use crate::net::timer;

/// How long a caller may take none of the answer.
const WRITE_STALL: Duration = Duration::from_secs(300);

impl Connection {
    /// Writes an answer. If the connection ends with it, that is left to [`Connection::next`], with which the last bytes
    /// of the answer leave.
    ///
    /// # Errors
    /// The caller is gone, or the answer's body failed before its end; nothing follows on the connection.
    pub async fn respond(
        &mut self,
        response: impl Into<Box<Response>>,
        keep_alive: bool,
    ) -> Result<(), Error> {
        self.next = Next::Nothing;
        let mut response = response.into();
        let mut keep_alive = keep_alive && self.exchange.keep_alive;
        let request_read = self.is_read();
        if keep_alive && !request_read {
            keep_alive = Box::pin(self.can_go_on_behind(&response)).await;
        }
        let framing = self.put_head(
            response.status,
            &response.headers,
            Content::Body(response.body.size_hint()),
            keep_alive,
        );
        self.out.start_body(framing);
        let mut ended = framing == Framing::None;
        let sent = poll_fn(|cx| self.poll_send(cx, &mut response.body, &mut ended)).await;
        if let Err(error) = sent {
            if framing == Framing::UntilClose {
                // Nothing but a reset tells this caller that the body is not whole.
                let _ = socket2::SockRef::from(&self.shared.io).set_linger(Some(Duration::ZERO));
            }
            return Err(error);
        }
        // What is left was not to be sent, as after HEAD.
        response.body.withhold();
        let goes_on = self.exchange.keep_alive
            && (request_read || self.is_read() || Box::pin(self.discard_body()).await);
        self.next = if goes_on { Next::Request } else { Next::End };
        Ok(())
    }

    /// Writes the head that ends HTTP on this connection, a 101 or the answer to CONNECT, and lends the socket, with
    /// bytes that the caller sent behind its request.
    ///
    /// # Errors
    /// The caller is gone; or the request's body was not read to its end: then nothing is written.
    pub async fn switch(
        &mut self,
        status: StatusCode,
        headers: &Headers,
        protocol: Option<&HeaderValue>,
    ) -> Result<(&Io, Bytes), Error> {
        self.next = Next::Nothing;
        let early = self.shared.state().end_reading().ok_or_else(in_use)?;
        self.put_head(status, headers, Content::Tunnel(protocol), true);
        poll_fn(|cx| match self.out.poll_flush(&self.shared.io, cx) {
            Poll::Ready(flushed) => Poll::Ready(flushed.map_err(gone)),
            Poll::Pending => self.poll_write_stall(cx),
        })
        .await?;
        Ok((&self.shared.io, early))
    }

    fn put_head(
        &mut self,
        status: StatusCode,
        headers: &Headers,
        content: Content<'_>,
        keep_alive: bool,
    ) -> Framing {
        let interim = {
            let mut state = self.shared.state();
            state.interim_over = true;
            state.answered = true;
            // Whoever waits for a 100 may send its body or not: the bytes that follow could be either.
            self.exchange.keep_alive &= keep_alive && !state.awaits_continue && !state.body_failed;
            std::mem::take(&mut state.interim)
        };
        let bodyless = no_body::ends_with_head(self.exchange.is_head, status);
        let framing = match &content {
            Content::Tunnel(_) => Framing::None,
            Content::Body(_) if bodyless => Framing::None,
            Content::Body(size) => match size.exact() {
                Some(0) => Framing::None,
                Some(length) => Framing::Length(length),
                None if self.exchange.http_10 => Framing::UntilClose,
                None => Framing::Chunked,
            },
        };
        self.exchange.keep_alive &= framing != Framing::UntilClose;

        let out = self.out.start();
        out.extend_from_slice(&interim);
        head::put_status(out, status);
        match content {
            Content::Tunnel(protocol) => {
                head::put_fields(out, headers, false);
                if let Some(protocol) = protocol {
                    head::put_field(out, b"connection", b"upgrade");
                    head::put_field(out, b"upgrade", protocol.as_bytes());
                }
            }
            Content::Body(size) => {
                let tells_length = match framing {
                    // As it came, which is nearly always as it is.
                    Framing::Length(length) => headers.tell_length(length),
                    // What a HEAD or a 304 says of the length is about a body that is not sent.
                    _ => bodyless && no_body::may_tell_length(status),
                };
                head::put_fields(out, headers, tells_length);
                match (framing, size.exact()) {
                    (Framing::Length(_), _) if tells_length => {}
                    (Framing::Length(length), _) => head::put_length(out, length),
                    (Framing::Chunked, _) => {
                        head::put_field(out, b"transfer-encoding", b"chunked");
                    }
                    (Framing::None, _) if !bodyless => head::put_length(out, 0),
                    // The body of a GET is here, and only the method keeps it from being sent.
                    (Framing::None, Some(length @ 1..))
                        if tells_length && !headers.contains(&header::CONTENT_LENGTH) =>
                    {
                        head::put_length(out, length);
                    }
                    (Framing::None | Framing::UntilClose, _) => {}
                }
                if !self.exchange.keep_alive {
                    head::put_field(out, b"connection", b"close");
                } else if self.exchange.http_10 {
                    head::put_field(out, b"connection", b"keep-alive");
                }
            }
        }
        out.extend_from_slice(b"\r\n");
        framing
    }

    fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        body: &mut Body,
        ended: &mut bool,
    ) -> Poll<Result<(), Error>> {
        self.out.begin_turn();
        loop {
            ready!(self.out.poll_turn(cx));
            if let Err(error) = self.gather(cx, body, ended) {
                // What has arrived of the answer goes out before the cut.
                let _ = self.out.poll_flush(&self.shared.io, cx);
                return Poll::Ready(Err(error));
            }
            if !self.out.is_empty() {
                let flushed = if *ended && !self.exchange.keep_alive {
                    self.out.poll_flush_last(&self.shared.io, cx)
                } else {
                    self.out.poll_flush(&self.shared.io, cx)
                };
                match flushed {
                    Poll::Ready(flushed) => {
                        flushed.map_err(gone)?;
                        self.deadline.clear();
                        continue;
                    }
                    Poll::Pending => return self.poll_write_stall(cx),
                }
            }
            if *ended {
                return Poll::Ready(Ok(()));
            }
            ready!(self.poll_gone(cx));
            return Poll::Ready(Err(Error::new(
                CALLER_GONE,
                "the caller closed the connection",
            )));
        }
    }

    /// Takes what the body has ready, as long as there is room.
    fn gather(
        &mut self,
        cx: &mut Context<'_>,
        body: &mut Body,
        ended: &mut bool,
    ) -> Result<(), Error> {
        while !*ended && self.out.has_room() {
            let Poll::Ready(taken) = self.out.poll_take(cx, &self.shared.io, body, true) else {
                return Ok(());
            };
            let taken = match taken? {
                Taken::Trailers(_) if !self.exchange.wants_trailers => Taken::End,
                taken => taken,
            };
            let put = self.out.put(taken, body.is_end_stream());
            *ended = put.map_err(wrong_length)?;
        }
        Ok(())
    }

    /// Called when the kernel takes no more for now.
    fn poll_write_stall(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let total = self.out.total();
        if !self.deadline.is_set() || self.stalled_at != total {
            self.stalled_at = total;
            self.deadline.set(timer::now() + WRITE_STALL);
        }
        ready!(self.deadline.poll_passed(cx));
        Poll::Ready(Err(Error::new(
            CALLER_GONE,
            "the caller takes nothing of the answer",
        )))
    }
}

/// What follows a head.
enum Content<'a> {
    Body(SizeHint),
    /// Raw bytes, of the next protocol if it has a name.
    Tunnel(Option<&'a HeaderValue>),
}

fn wrong_length(_: WrongLength) -> Error {
    Error::new(
        INTERNAL,
        "the answer is not as long as its head says; it was cut",
    )
}

fn in_use() -> Error {
    Error::new(INTERNAL, "the request is still being read")
}
