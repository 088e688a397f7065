//! The side that callers speak to.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::time::Instant;

use super::answer::{Streams, UnderWay, to_http};
use super::io::Coalescing;
use super::request;
use crate::body::Body;
use crate::error::Error;
use crate::io::Io;
use crate::message::{Response, is_grpc};
use crate::timer::Deadline;

pub use super::request::RequestHead;

/// Limits of one connection; see `[listeners.NAME]` for their meaning.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    pub max_concurrent_streams: u32,
    pub max_header_bytes: u32,
    pub max_headers: usize,
    /// How long a caller may pause in a request body, until its answer begins. Not for gRPC, whose callers may
    /// send nothing for hours.
    pub body_timeout: Duration,
    pub idle_timeout: Duration,
    /// How long an idle caller that was told to go may stay.
    pub close_timeout: Duration,
}

/// What all streams of a connection may send before it is read; above one stream's, or one that is not read stalls
/// its siblings.
const CONNECTION_WINDOW: u32 = 1 << 20;
/// Resets that a caller may have pending before the connection is closed on it (CVE-2023-44487).
const MAX_PENDING_RESETS: usize = 20;
/// Resets that a caller may provoke from us (CVE-2025-8671).
const MAX_PROVOKED_RESETS: usize = 256;
/// How long a caller may take none of what is ready for it, on any stream (CVE-2019-9517).
const WRITE_STALL: Duration = Duration::from_secs(300);

/// Serves a connection to its end. `draining` is asked whenever the task is woken; once it says yes, callers are
/// told with GOAWAY, and what is under way finishes.
///
/// # Errors
/// What broke the connection.
pub async fn serve<F, A>(
    io: Io,
    early: Bytes,
    settings: Settings,
    draining: impl Fn() -> bool,
    answer: F,
) -> Result<(), hyper::Error>
where
    F: Fn(Result<RequestHead, Error>, Body) -> A,
    A: Future<Output = Response> + Send + 'static,
{
    let streams = Arc::new(Streams::default());
    let service = service_fn(|request: http::Request<Incoming>| {
        let under_way = UnderWay::new(&streams);
        let (head, incoming) = request.into_parts();
        let to_head = head.method == Method::HEAD;
        let answered = Arc::new(AtomicBool::new(false));
        let limit = match head.headers.get(http::header::CONTENT_TYPE) {
            Some(kind) if is_grpc(kind.as_bytes()) => None,
            _ => Some(settings.body_timeout),
        };
        let body = request::body(incoming, limit, &answered);
        let answering = answer(request::check(head, settings.max_headers), body);
        async move {
            let response = answering.await;
            answered.store(true, Ordering::Relaxed);
            Ok::<_, Infallible>(to_http(response, to_head, under_way))
        }
    });
    let mut connection = pin!(
        http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .initial_stream_window_size(super::STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_send_buf_size(super::SEND_BUFFER)
            .max_concurrent_streams(settings.max_concurrent_streams)
            .max_header_list_size(settings.max_header_bytes)
            .max_pending_accept_reset_streams(MAX_PENDING_RESETS)
            .max_local_error_reset_streams(MAX_PROVOKED_RESETS)
            .serve_connection(TokioIo::new(Coalescing::new(io, early)), service)
    );
    let mut limit = Deadline::new();
    let mut phase = Phase::Serving;
    let mut stall = Stall::default();
    poll_fn(|cx| {
        if let Poll::Ready(end) = connection.as_mut().poll(cx) {
            return Poll::Ready(end);
        }
        if stall.poll(cx, streams.waiting()).is_ready() {
            return Poll::Ready(Ok(()));
        }
        if streams.are_active() {
            limit.clear();
        } else if phase == Phase::Serving && !limit.is_set() {
            limit.set(Instant::now() + settings.idle_timeout);
        }
        let passed = limit.poll_passed(cx).is_ready();
        match phase {
            Phase::Serving if passed || draining() => {
                connection.as_mut().graceful_shutdown();
                phase = if passed {
                    Phase::Leaving
                } else {
                    Phase::Draining
                };
                if passed {
                    limit.set(Instant::now() + settings.close_timeout);
                }
                // Both GOAWAY and the new limit want a poll of their own.
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Phase::Leaving if passed => Poll::Ready(Ok(())),
            _ => Poll::Pending,
        }
    })
    .await
}

/// How far a connection is from its end.
#[derive(PartialEq, Eq)]
enum Phase {
    Serving,
    /// Told to go for being idle: a caller that does not is left.
    Leaving,
    /// Told to go by the drain, which has a limit of its own.
    Draining,
}

/// Watches a caller who takes nothing.
#[derive(Default)]
struct Stall {
    taken: u64,
    limit: Deadline,
}

impl Stall {
    /// Completes when answers have waited for too long; `waiting` is [`Streams::waiting`].
    fn poll(&mut self, cx: &mut Context<'_>, waiting: Option<u64>) -> Poll<()> {
        let Some(taken) = waiting else {
            self.limit.clear();
            return Poll::Pending;
        };
        if !self.limit.is_set() || taken != self.taken {
            self.taken = taken;
            self.limit.set(Instant::now() + WRITE_STALL);
        }
        self.limit.poll_passed(cx)
    }
}

#[cfg(test)]
mod tests;
