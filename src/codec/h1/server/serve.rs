//! The requests of a connection, one by one, and how it ends behind the last.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;

use bytes::BytesMut;
use http::Version;

use super::Connection;
use crate::codec::h1::head::RequestHead;
use crate::codec::{Service, Settings};
use crate::http::body::Body;
use crate::http::boxed::boxed;
use crate::http::error::{CALLER_GONE, Error, REQUEST_TIMEOUT};
use crate::http::message::{Request, Response, Upgraded};
use crate::net::io::Io;

/// Serves a connection to its end.
///
/// # Errors
/// Why an answer was cut, unless the caller itself gave it up.
pub async fn serve(
    io: Io,
    early: BytesMut,
    settings: Settings,
    draining: impl Fn() -> bool,
    service: impl Service,
) -> Result<(), Error> {
    let mut connection = Connection::new(io, early, settings);
    let receive = |head: RequestHead, body: Body| {
        boxed(|| Request {
            context: service.context(&head.headers),
            method: head.method,
            authority: head.authority,
            target: head.target,
            version: head.version,
            headers: head.headers,
            body,
            upgrade: head.upgrade,
        })
    };
    loop {
        let response = match connection.next(&draining, receive).await {
            Ok(None) => return Ok(()),
            Ok(Some(mut request)) => {
                // An HTTP/1.0 caller cannot read interim answers (RFC 9110, section 15.2).
                if request.version == Version::HTTP_11 {
                    request.context.interim = Some(connection.interim());
                }
                let answering = pin!(service.answer(request));
                let Some(mut response) = connection.attend(answering).await else {
                    return Ok(());
                };
                if response.refused == Some(CALLER_GONE) {
                    return Ok(());
                }
                if let Some(upgraded) = response.upgrade.take() {
                    Box::pin(switch(connection, response, *upgraded, &service)).await;
                    return Ok(());
                }
                response
            }
            Err(error) => service.refuse(error),
        };
        match connection.respond(response, !draining()).await {
            Ok(()) => {}
            Err(error) if matches!(error.reason(), CALLER_GONE | REQUEST_TIMEOUT) => {
                return Ok(());
            }
            Err(error) => return Err(error),
        }
    }
}

/// Gives a connection one answer, whatever it asks, and ends it.
pub async fn refuse(io: Io, early: BytesMut, settings: Settings, answer: Box<Response>) {
    let mut connection = Connection::new(io, early, settings);
    let _caller_gone = connection.respond(answer, false).await;
    connection.end().await;
}

/// Writes the head of an answer that ends HTTP on this connection, and stays with the tunnel that follows.
async fn switch(
    mut connection: Connection,
    mut response: Box<Response>,
    upgraded: Upgraded,
    service: &impl Service,
) {
    let protocol = upgraded.protocol.as_ref();
    let switched = connection
        .switch(response.status, &response.headers, protocol)
        .await;
    let Ok((io, early)) = switched else {
        return;
    };
    // Of the answer only its body is needed any more: what rides in it, such as the count of requests in flight, lives
    // to the end of the tunnel.
    let _guards = std::mem::replace(&mut response.body, Body::empty());
    drop(response);
    service.tunnel(io, early, upgraded).await;
}

impl Connection {
    /// Does `work` for the request under way; `None` when the caller is gone before it is done. It comes pinned, as moving
    /// it would copy some hundred bytes for each request.
    pub(in crate::codec::h1) async fn attend<T>(
        &mut self,
        mut work: Pin<&mut impl Future<Output = T>>,
    ) -> Option<T> {
        poll_fn(|cx| match work.as_mut().poll(cx) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            // Dropping the work ends it.
            Poll::Pending => self.poll_gone(cx).map(|()| None),
        })
        .await
    }
}
