//! How a connection goes on, or ends, when a request's body was not wanted.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use super::Connection;
use crate::h1::reader::Piece;
use crate::timer;

/// How long, and how many bytes, a caller may go on sending what nobody wants, before the connection closes. Many
/// read their answer only when they have sent everything, so the bytes are many.
const LINGER_TIME: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 16 << 20;
/// A remainder of an unwanted body that is read to keep the connection.
const DISCARDED: u64 = 64 << 10;

impl Connection {
    /// Ends the connection so that the last answer arrives: closing while the caller still sends would make the
    /// kernel reset the connection, and the caller might lose the answer (RFC 9112, section 9.6).
    pub async fn close(self) {
        self.shared.state().disown_body();
        if !self.is_settled() {
            if self.shared.io.shutdown_write().is_ok() {
                Box::pin(self.linger()).await;
            }
        } else if Arc::strong_count(&self.shared) > 1 {
            // Whoever still holds a body that was read to its end must not hold up the end of the stream.
            let _ = self.shared.io.shutdown_write();
        } else {
            self.shared.io.say_goodbye();
        }
    }

    /// Reads what nobody wants, for a while.
    async fn linger(mut self) {
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

    /// Ends a connection on which nothing is under way.
    pub fn leave(self) {
        self.shared.io.say_goodbye();
    }

    /// Whether everything that the caller has sent was taken, as far as it has arrived.
    fn is_settled(&self) -> bool {
        let reader = &self.shared.state().reader;
        if self.refused || !reader.body_done() || !reader.buffer.is_empty() {
            return false;
        }
        let waiting = match self.has_all() {
            true => self.shared.io.try_peek(),
            false => self.shared.io.peek(),
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

    /// Reads the rest of a body that nobody wants, if it is short; says whether it is all read.
    pub(super) async fn discard_body(&mut self) -> bool {
        {
            let mut state = self.shared.state();
            if state.reader.body_done() {
                return true;
            }
            state.disown_body();
            let left = state.reader.body_left();
            if left.is_some_and(|left| left > DISCARDED) {
                return false;
            }
        }
        let mut discarded = 0;
        self.deadline.set(timer::now() + LINGER_TIME);
        let all_read = poll_fn(|cx| {
            let mut state = self.shared.state();
            while discarded < DISCARDED {
                match state.reader.poll_body(&self.shared.io, cx) {
                    Poll::Ready(None) => return Poll::Ready(true),
                    Poll::Ready(Some(Ok(Piece::Data(data)))) => discarded += data.len() as u64,
                    Poll::Ready(Some(Ok(Piece::Trailers(_)))) => {}
                    Poll::Ready(Some(Err(_))) => return Poll::Ready(false),
                    Poll::Pending => return self.deadline.poll_passed(cx).map(|()| false),
                }
            }
            Poll::Ready(false)
        })
        .await;
        self.deadline.clear();
        all_read
    }
}
