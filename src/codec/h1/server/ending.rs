//! How a connection goes on, or ends, when a request's body was not wanted.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http_body::Body as _;

use super::{Connection, Next};
use crate::http::message::Response;
use crate::net::timer;

/// How long, and how many bytes, a caller may go on sending what nobody wants, before the connection closes. Many
/// read their answer only when they have sent everything, so the bytes are many.
const LINGER_TIME: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 16 << 20;
/// A remainder of an unwanted body that is read to keep the connection.
const DISCARDED: u64 = 64 << 10;
/// The same where the head of the answer has promised to keep it.
const DISCARDED_BY_PROMISE: u64 = LINGER_BYTES as u64;

impl Connection {
    /// Ends the connection, unless it has ended.
    pub(super) async fn end(&mut self) {
        if std::mem::replace(&mut self.next, Next::Nothing) == Next::End {
            self.close().await;
        }
    }

    /// Ends the connection so that the last answer arrives: closing while the caller still sends would make the
    /// kernel reset the connection, and the caller might lose the answer (RFC 9112, section 9.6).
    async fn close(&mut self) {
        self.shared.state().disown_body();
        if !self.is_settled() {
            if self.shared.io.shutdown_write().is_ok() {
                Box::pin(self.linger()).await;
            }
            return;
        }
        match Arc::get_mut(&mut self.shared) {
            // It ends when it is dropped.
            Some(shared) => shared.io.say_goodbye(),
            // Whoever still holds a body that was read to its end must not hold up the end of the stream.
            None => drop(self.shared.io.shutdown_write()),
        }
    }

    /// Reads what nobody wants, for a while.
    async fn linger(&mut self) {
        let mut left = LINGER_BYTES;
        self.deadline.set(timer::now() + LINGER_TIME);
        poll_fn(|cx| {
            let mut state = self.shared.state();
            loop {
                left = left.saturating_sub(state.reader.buffer.len());
                state.reader.buffer.clear();
                if left == 0 {
                    return Poll::Ready(());
                }
                match state.reader.poll_fill(&self.shared.io, cx) {
                    Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(()),
                    Poll::Ready(Ok(_)) => {}
                    Poll::Pending => return self.deadline.poll_passed(cx),
                }
            }
        })
        .await;
    }

    /// Whether everything that the caller has sent was taken, as far as it has arrived.
    fn is_settled(&self) -> bool {
        let reader = &self.shared.state().reader;
        if self.refused || !reader.body_done() || !reader.buffer.is_empty() {
            return false;
        }
        let waiting = if self.has_all() {
            self.shared.io.try_peek()
        } else {
            self.shared.io.peek()
        };
        !matches!(waiting, Ok(1..))
    }

    /// Whether nothing can follow the last request, so that what the event loop has heard of is all there is.
    ///
    /// Who asked for the end must not send more (RFC 9112, section 9.6). A caller that pipelines all the same has
    /// nearly always sent it by the time its answer is there, and then the event loop knows. Only what arrives
    /// within the turn that ends the connection may reset it, and cost that caller an answer of which it had said
    /// that it was the last. Over TLS a caller may keep to the rule and still send: that its stream ends here.
    fn has_all(&self) -> bool {
        self.exchange.is_last && !self.shared.io.is_encrypted()
    }

    /// Whether the connection can be used again behind an answer that comes before the end of its request's body. If
    /// not, the head has to say so (RFC 9112, section 9.6).
    pub(super) async fn can_go_on_behind(&mut self, response: &Response) -> bool {
        // A body without a byte, though its end may come from a stream, takes no time in which more could be read.
        if response.body.is_stream() && response.body.size_hint().exact() != Some(0) {
            // The upstream may read on while it answers. If it refuses, it most likely does not.
            return response.status.is_success() || self.has_short_rest();
        }
        self.shared.state().disown_body();
        if self.shared.state().reader.body_left().is_none() {
            // The end of a chunked body may be here. The event loop hears of it in its next turn.
            let mut discarded = 0;
            tokio::task::yield_now().await;
            poll_fn(|cx| {
                let _as_far_as_it_is_here = self.poll_discard(cx, &mut discarded, DISCARDED);
                Poll::Ready(())
            })
            .await;
        }
        self.has_short_rest()
    }

    /// Whether the request was read to the end of its body.
    pub(super) fn is_read(&self) -> bool {
        self.shared.state().reader.body_done()
    }

    /// Whether so little is left of the request's body that it is read to keep the connection.
    fn has_short_rest(&self) -> bool {
        let reader = &self.shared.state().reader;
        reader.body_done() || reader.body_left().is_some_and(|left| left <= DISCARDED)
    }

    /// Reads the rest of a body that nobody wants, unless it is too long or stalls; says whether it is all read.
    pub(super) async fn discard_body(&mut self) -> bool {
        self.shared.state().disown_body();
        let mut discarded = 0;
        let mut seen = None;
        let all_read = poll_fn(|cx| {
            match self.poll_discard(cx, &mut discarded, DISCARDED_BY_PROMISE) {
                Poll::Pending => {}
                done => return done,
            }
            if seen != Some(discarded) {
                seen = Some(discarded);
                self.deadline.set(timer::now() + self.settings.body_timeout);
            }
            self.deadline.poll_passed(cx).map(|()| false)
        })
        .await;
        self.deadline.clear();
        all_read
    }

    /// Reads what is here of a body that nobody wants, up to `most` bytes; says whether that was its end.
    fn poll_discard(&self, cx: &mut Context<'_>, discarded: &mut u64, most: u64) -> Poll<bool> {
        let mut state = self.shared.state();
        while *discarded < most {
            match ready!(state.reader.poll_body(&self.shared.io, cx)) {
                None => return Poll::Ready(true),
                Some(Ok(frame)) => {
                    *discarded += frame.data_ref().map_or(0, |data| data.len() as u64);
                }
                Some(Err(_)) => {
                    state.body_failed = true;
                    return Poll::Ready(false);
                }
            }
        }
        Poll::Ready(state.reader.body_done())
    }
}
