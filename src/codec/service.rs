//! What answers the requests of a connection, whichever protocol it speaks.

use bytes::Bytes;

use crate::http::error::{CALLER_GONE, Error};
use crate::http::headers::Headers;
use crate::http::message::{Context, Request, Response, Upgraded};
use crate::net::io::Io;

/// Answers the requests of one caller's connection.
pub trait Service {
    /// What is known of a request beside its bytes, when its head is here. The codec adds the way of interim answers.
    fn context(&self, headers: &Headers) -> Context;

    /// Answers a request. Dropping the future ends what is under way for it.
    fn answer(&self, request: Box<Request>) -> impl Future<Output = Box<Response>>;

    /// The answer to a request whose head was refused. `error` has an outline of that head.
    fn refuse(&self, error: Error) -> Box<Response>;

    /// A request whose head was refused in a way that lets nobody answer it.
    fn refuse_silently(&self, error: Error);

    /// The caller's connection has switched protocols, as `upgraded` has on the side of the upstream. Completes at
    /// the end of the tunnel between them. `early` are bytes that the caller sent behind its request.
    fn tunnel(&self, caller: &Io, early: Bytes, upgraded: Upgraded) -> impl Future<Output = ()>;
}

/// The socket of a caller failed.
pub(super) fn gone(error: std::io::Error) -> Error {
    Error::new(CALLER_GONE, "the connection to the caller broke").because(error)
}
