//! The upstream: it gives every request the same answer.

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::traffic::{Protocol, Request};

/// Ends when this drops.
pub struct Origin {
    pub port: u16,
    accepting: JoinHandle<()>,
}

impl Origin {
    pub async fn start(protocol: Protocol, request: Request) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let accepting = tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                socket.set_nodelay(true).unwrap();
                tokio::spawn(async move {
                    match protocol {
                        Protocol::Http1 => http1(socket, request).await,
                        Protocol::Http2 => http2(socket, request).await,
                    }
                });
            }
        });
        Origin { port, accepting }
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Until the proxy closes.
async fn http1(mut socket: TcpStream, request: Request) {
    let mut answer = format!(
        "HTTP/1.1 200 OK\r\nServer: origin\r\nDate: Mon, 01 Jun 2026 12:00:00 GMT\r\n\
         Content-Type: application/octet-stream\r\nContent-Length: {}\r\n\r\n",
        request.answered
    )
    .into_bytes();
    answer.resize(answer.len() + request.answered, b'y');
    let mut read = BytesMut::with_capacity(64 << 10);
    while let Ok(1..) = socket.read_buf(&mut read).await {
        let head = read.windows(4).position(|end| end == b"\r\n\r\n");
        if head.is_some_and(|head| read.len() >= head + 4 + request.sent) {
            read.clear();
            if socket.write_all(&answer).await.is_err() {
                return;
            }
        }
    }
}

/// Until the proxy closes.
async fn http2(socket: TcpStream, request: Request) {
    let Ok(mut connection) = h2::server::handshake(socket).await else {
        return;
    };
    while let Some(Ok((asked, mut respond))) = connection.accept().await {
        tokio::spawn(async move {
            let mut asked = asked.into_body();
            while let Some(Ok(piece)) = asked.data().await {
                let _ = asked.flow_control().release_capacity(piece.len());
            }
            let mut head = Response::builder().header("server", "origin");
            if request.grpc {
                head = head.header("content-type", "application/grpc");
            }
            let Ok(mut body) = respond.send_response(head.body(()).unwrap(), false) else {
                return;
            };
            let _ = body.send_data(Bytes::from(vec![b'y'; request.answered]), !request.grpc);
            if request.grpc {
                let mut trailers = HeaderMap::new();
                trailers.insert("grpc-status", HeaderValue::from_static("0"));
                let _ = body.send_trailers(trailers);
            }
        });
    }
}
