//! Both halves over real sockets, against peers that speak raw bytes.

mod client;
mod client_ends;
mod client_sending;
mod differential;
mod moved;
mod server;
mod server_bodies;
mod server_early;
mod server_ends;
mod server_time;
mod splits;
mod wire;

use std::future::poll_fn;
use std::io::Read;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};
use http_body_util::BodyExt;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};

use super::head::RequestHead;
use super::server::Connection;
use crate::codec::Settings;
use crate::http::body::Body;
use crate::http::error::Error;
use crate::http::headers::Headers;
use crate::http::message::{Context, Request, RequestId, Response};
use crate::http::peer::{Peer, PeerAddress};
use crate::net::io::Io;

const SETTINGS: Settings = Settings {
    max_header_bytes: 60 << 10,
    max_headers: 100,
    header_timeout: Duration::from_secs(10),
    idle_timeout: Duration::from_secs(3600),
    body_timeout: Duration::from_secs(60),
    max_concurrent_streams: 100,
};

/// The far end of a connection, in raw bytes.
struct Far<S>(S);

/// A pair of connected unix sockets.
fn unix() -> (Io, Far<UnixStream>) {
    let (near, far) = UnixStream::pair().unwrap();
    (Io::Unix(near), Far(far))
}

/// A connection over TCP loopback, where closing with unread bytes resets.
async fn tcp() -> (Io, Far<TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (far, near) = tokio::join!(TcpStream::connect(address), listener.accept());
    (Io::Tcp(near.unwrap().0), Far(far.unwrap()))
}

impl<S: AsyncRead + AsyncWrite + AsFd + Unpin> Far<S> {
    async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).await.unwrap();
    }

    /// Ends the sending direction.
    async fn finish(&mut self) {
        self.0.shutdown().await.unwrap();
    }

    /// Reads up to and with `mark`.
    async fn read_until(&mut self, mark: &str) -> String {
        let mut read = Vec::new();
        while !read.ends_with(mark.as_bytes()) {
            match self.0.read_u8().await {
                Ok(byte) => read.push(byte),
                Err(error) => panic!("{error} after {:?}", String::from_utf8_lossy(&read)),
            }
        }
        String::from_utf8(read).unwrap()
    }

    async fn read_head(&mut self) -> String {
        self.read_until("\r\n\r\n").await
    }

    /// Reads to the end of the stream, which must be a clean one.
    async fn read_to_end(&mut self) -> String {
        let mut read = Vec::new();
        self.0.read_to_end(&mut read).await.unwrap();
        String::from_utf8(read).unwrap()
    }

    /// What has arrived by now.
    fn read_now(&mut self) -> String {
        let mut read = vec![0; 1 << 20];
        let mut length = 0;
        while let Ok(some @ 1..) = (&*socket2::SockRef::from(&self.0)).read(&mut read[length..]) {
            length += some;
        }
        read.truncate(length);
        String::from_utf8(read).unwrap()
    }
}

fn connection(io: Io) -> Connection {
    Connection::new(io, BytesMut::new(), SETTINGS)
}

/// The next request, which must be there or come.
async fn next(connection: &mut Connection) -> (RequestHead, Body) {
    connection
        .next(|| false, |head, body| (head, body))
        .await
        .unwrap()
        .unwrap()
}

/// Drives `work` as the proxy drives a request: watching whether the caller is gone, which `None` means.
async fn attended<T>(connection: &mut Connection, work: impl Future<Output = T>) -> Option<T> {
    connection.attend(std::pin::pin!(work)).await
}

/// Writes an answer; says whether another request may follow.
async fn respond(
    connection: &mut Connection,
    response: impl Into<Box<Response>>,
    keep_alive: bool,
) -> Result<bool, Error> {
    connection.respond(response, keep_alive).await?;
    Ok(connection.goes_on())
}

/// Has the connection end behind its last answer.
async fn close(mut connection: Connection) {
    let next = connection.next(|| false, |_, _| ()).await;
    assert!(matches!(next, Ok(None)));
}

fn ok(body: impl Into<Bytes>) -> Response {
    Response::new(http::StatusCode::OK, Body::full(body))
}

/// A body of pieces that are there at once, its length not told.
fn pieces(pieces: &[&str]) -> Body {
    let mut frames = Vec::new();
    for piece in pieces {
        frames.push(Ok(http_body::Frame::data(Bytes::copy_from_slice(
            piece.as_bytes(),
        ))));
    }
    Body::stream(http_body_util::StreamBody::new(futures_util::stream::iter(
        frames,
    )))
}

/// A body fed by hand.
fn channel() -> (tokio::sync::mpsc::UnboundedSender<Item>, Body) {
    let (send, mut receive) = tokio::sync::mpsc::unbounded_channel();
    let stream = futures_util::stream::poll_fn(move |cx| receive.poll_recv(cx));
    (send, Body::stream(http_body_util::StreamBody::new(stream)))
}

type Item = Result<http_body::Frame<Bytes>, Error>;

fn data(bytes: impl Into<Bytes>) -> Item {
    Ok(http_body::Frame::data(bytes.into()))
}

async fn read_all(body: Body) -> Result<(Bytes, Option<HeaderMap>), Error> {
    let whole = body.collect().await?;
    let trailers = whole.trailers().cloned();
    Ok((whole.to_bytes(), trailers))
}

fn request(method: Method, target: &str, body: Body) -> Request {
    Request {
        method,
        authority: Some("upstream.test".parse().unwrap()),
        target: target.parse().unwrap(),
        version: Version::HTTP_11,
        headers: Headers::new(),
        body,
        upgrade: None,
        context: Context::new(
            Arc::new(Peer {
                address: PeerAddress::Unix,
                listener: "test".into(),
                encrypted: false,
                identity: None,
                source: None,
                original: None,
            }),
            "".into(),
            RequestId::new(),
            tokio::time::Instant::now(),
        ),
    }
}

fn field(name: &'static str, value: &'static str) -> (HeaderName, HeaderValue) {
    (
        HeaderName::from_static(name),
        HeaderValue::from_static(value),
    )
}
