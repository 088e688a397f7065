//! The side that speaks to upstreams: many exchanges at once on one connection.
//!
//! An exchange writes its request's head, and what is there of its body, into what the connection's task will write
//! next, and waits to be woken. The task owns the socket and sends bodies that take longer.

mod body;
mod side;
mod stream;
mod task;

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::{Method, Version};
use tokio::sync::Notify;
use tokio::time::Instant;

use self::body::{ResponseBody, UnderWay};
use self::side::{Client, is_used_up};
use self::stream::Exchange;
use self::task::Task;
use super::arriving::Arriving;
use super::settings::Local;
use super::shared::Shared;
use crate::http::boxed::boxed;
use crate::http::error::{BAD_REQUEST, Error, UPGRADE_UNSUPPORTED, UPSTREAM_RESET};
use crate::http::message::{Request, Response};
use crate::http::semantics::no_body;
use crate::net::io::Io;

/// Exchanges at once on one connection, before another is opened: the limit that servers commonly set.
pub const BUSY: usize = 100;
/// What all streams of a connection may send before it is read. Callers of many connections meet here, so that as
/// many as share one may leave their answers unread and not stall the others.
const CONNECTION_WINDOW: u32 = BUSY as u32 * super::STREAM_WINDOW;
/// Bytes of an answer's head.
const MAX_HEADER_LIST: u32 = 256 << 10;

const NO_UPGRADE: &str = "the upstream is spoken to over HTTP/2, where no connection can be upgraded, as for WebSocket; \
     its `protocol` has to be \"http1\" or \"auto\" for that";

/// A connection to an upstream; clones share it.
#[derive(Clone)]
pub struct Connection {
    handle: Arc<Handle>,
    in_flight: Arc<AtomicUsize>,
    pub made: Instant,
}

/// Those who may open streams. When the last is gone, the connection ends with its last stream.
struct Handle {
    shared: Arc<Shared<Client>>,
    /// Told when a stream may be opened.
    room: Arc<Notify>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.state().side.released = true;
        self.shared.ready.wake();
    }
}

impl Connection {
    /// Takes over a connected socket, with a task of its own.
    pub fn new(io: Io) -> Self {
        let local = Local {
            max_concurrent_streams: None,
            initial_window: super::STREAM_WINDOW,
            max_header_list: MAX_HEADER_LIST,
            connection_window: CONNECTION_WINDOW,
        };
        let shared = Arc::new(Shared::<Client>::new(&local));
        shared.state().side.encrypted = io.is_encrypted();
        let room = Arc::new(Notify::new());
        let mut task = Task::new(io, shared.clone(), room.clone(), MAX_HEADER_LIST as usize);
        tokio::spawn(async move {
            if let Err(error) = poll_fn(|cx| task.poll(cx)).await {
                tracing::debug!(%error, "an HTTP/2 connection to an upstream broke");
            }
        });
        Connection {
            handle: Arc::new(Handle { shared, room }),
            in_flight: Arc::default(),
            made: Instant::now(),
        }
    }

    /// Whether it takes no more exchanges.
    pub fn is_closed(&self) -> bool {
        let state = self.handle.shared.state();
        state.over || state.side.going_away || is_used_up(state.side.next_stream)
    }

    /// Exchanges under way.
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Whether another exchange had better go elsewhere.
    pub fn is_busy(&self) -> bool {
        let limit = self.handle.shared.state().remote.max_concurrent_streams;
        self.in_flight() >= BUSY.min(limit as usize)
    }

    /// Sends a request. On failure `request` has its body back if nothing was sent. `began` is called when there is a
    /// stream for it.
    ///
    /// # Errors
    /// `upstream_reset`, `upstream_protocol_error`, those of the request's own body, and `bad_request` and
    /// `upgrade_unsupported` for what cannot go over HTTP/2.
    pub async fn exchange(
        &mut self,
        request: &mut Request,
        began: impl FnOnce(),
    ) -> Result<Box<Response>, Error> {
        if request.authority.is_none() {
            return Err(refuse("a request without Host cannot go over HTTP/2"));
        }
        if request.method == Method::CONNECT {
            return Err(refuse("CONNECT to an HTTP/2 upstream is not built yet"));
        }
        if request.upgrade.is_some() {
            return Err(Error::new(UPGRADE_UNSUPPORTED, NO_UPGRADE));
        }
        let under_way = UnderWay::new(&self.in_flight);
        while !self.has_room()? {
            let waiting = Waiting::new(&self.handle.shared);
            let told = self.handle.room.notified();
            if self.has_room()? {
                break;
            }
            told.await;
            drop(waiting);
        }
        began();
        let mut exchange = Exchange::begin(&self.handle.shared, request);
        let head = poll_fn(|cx| exchange.poll_head(cx, request)).await?;
        let bodyless = no_body::ends_with_head(request.method == Method::HEAD, head.status);
        let left = if bodyless { Some(0) } else { head.length };
        let arriving = Arriving::new(exchange.key, exchange.id, left);
        let body = ResponseBody::new(&self.handle.shared, arriving, under_way);
        exchange.hand_on(head.status.is_success());
        Ok(boxed(|| Response {
            status: head.status,
            version: Version::HTTP_2,
            headers: head.headers,
            body: body.into_body(head.ends || bodyless),
            upgrade: None,
            served_by: None,
            refused: None,
            deadline: None,
        }))
    }

    /// Whether a stream may be opened now.
    fn has_room(&self) -> Result<bool, Error> {
        let state = self.handle.shared.state();
        if state.over || state.side.going_away || is_used_up(state.side.next_stream) {
            return Err(Error::new(
                UPSTREAM_RESET,
                "the upstream closed the connection",
            ));
        }
        Ok(state.open_streams() < state.remote.max_concurrent_streams as usize)
    }
}

/// Counts a request that waits for room.
struct Waiting<'a>(&'a Shared<Client>);

impl<'a> Waiting<'a> {
    fn new(shared: &'a Shared<Client>) -> Self {
        shared.state().side.waiting += 1;
        Waiting(shared)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.state().side.waiting -= 1;
    }
}

fn refuse(why: &'static str) -> Error {
    Error::new(BAD_REQUEST, why)
}

#[cfg(test)]
mod tests;
