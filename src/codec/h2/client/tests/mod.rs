//! A client on one end of a socket pair, and a test that plays the upstream on the other.

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http_body_util::BodyExt;

use super::*;
use crate::codec::h2::frame::{self, Code};
use crate::codec::h2::testing::*;
use crate::http::body::Body;
use crate::http::error::{INTERNAL, Progress, UPSTREAM_PROTOCOL_ERROR};
use crate::testing::request;

mod ends;
mod exchanges;
mod interim;
mod limits;
mod oracle;

/// A connection, and an upstream that has greeted.
pub(super) async fn connected(settings: &[u8]) -> (Connection, Far) {
    let (io, mut far) = pair();
    let connection = Connection::new(io);
    far.skip_preface().await;
    far.send(settings).await;
    (connection, far)
}

pub(super) fn plain() -> Vec<u8> {
    frame(frame::SETTINGS, 0, 0, &[])
}

pub(super) fn asking(method: &str, body: Body) -> Box<Request> {
    let mut request = request(method, "/a?b");
    request.authority = Some("shop.example".parse().unwrap());
    request.body = body;
    request
}

/// An exchange in the background; its request comes back with its outcome.
pub(super) fn ask(
    connection: &Connection,
    mut request: Box<Request>,
) -> tokio::task::JoinHandle<(Result<Response, Error>, Box<Request>)> {
    let mut connection = connection.clone();
    tokio::spawn(async move {
        let outcome = connection.exchange(&mut request, || ()).await;
        (outcome.map(|response| *response), request)
    })
}

/// A body whose pieces the test sends.
pub(super) fn fed() -> (
    tokio::sync::mpsc::UnboundedSender<Result<Bytes, Error>>,
    Body,
) {
    let (pieces, mut receiver) = tokio::sync::mpsc::unbounded_channel();
    let stream = futures_util::stream::poll_fn(move |cx| {
        let piece = std::task::ready!(receiver.poll_recv(cx));
        std::task::Poll::Ready(
            piece.map(|piece: Result<Bytes, Error>| piece.map(http_body::Frame::data)),
        )
    });
    (
        pieces,
        Body::stream(http_body_util::StreamBody::new(stream)),
    )
}

pub(super) async fn settled(far: &mut Far) {
    far.send(ping(b"12345678")).await;
    while far.news().await != Event::Ping(frame::ACK, b"12345678".to_vec()) {}
}
