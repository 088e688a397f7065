//! Callers, each with a connection of its own, that take turns: one request at a time.
//!
//! How many requests a busy proxy finds at one turn of its event loop is chance, and changes what each costs. One at a
//! time costs more than many at once, but always the same.

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::traffic::Request;

/// Connections, of which one is busy.
const CALLERS: usize = 8;

/// What a program of today sends along.
const FIELDS: [(&str, &str); 4] = [
    ("user-agent", "bench/1.0"),
    ("accept", "*/*"),
    ("accept-encoding", "gzip, deflate, br"),
    ("x-trace", "4bf92f3577b34da6a3ce929d0e0e4736"),
];

pub async fn http1(port: u16, request: Request, requests: u64) {
    let mut sockets = Vec::new();
    for _ in 0..CALLERS {
        sockets.push(connect(port).await);
    }
    let wire = wire(request);
    let mut read = BytesMut::with_capacity(128 << 10);
    for turn in 0..requests {
        let socket = &mut sockets[turn as usize % CALLERS];
        socket.write_all(&wire).await.unwrap();
        answer(socket, &mut read, request.answered).await;
    }
}

async fn connect(port: u16) -> TcpStream {
    let socket = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    socket.set_nodelay(true).unwrap();
    socket
}

fn wire(request: Request) -> Vec<u8> {
    let method = if request.sent > 0 { "POST" } else { "GET" };
    let mut text = format!("{method} /bench/items/42?page=7 HTTP/1.1\r\nHost: bench.example\r\n");
    for (name, value) in FIELDS {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    if request.sent > 0 {
        text.push_str(&format!("Content-Length: {}\r\n", request.sent));
    }
    text.push_str("\r\n");
    let mut wire = text.into_bytes();
    wire.resize(wire.len() + request.sent, b'x');
    wire
}

/// Reads a head, and content of that length.
async fn answer(socket: &mut TcpStream, read: &mut BytesMut, length: usize) {
    read.clear();
    let mut whole = None;
    while whole.is_none_or(|whole| read.len() < whole) {
        assert!(
            socket.read_buf(read).await.unwrap() > 0,
            "the answer is cut"
        );
        if whole.is_none()
            && let Some(head) = read.windows(4).position(|end| end == b"\r\n\r\n")
        {
            let answer = String::from_utf8_lossy(&read[..head]);
            assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
            whole = Some(head + 4 + length);
        }
    }
}

pub async fn http2(port: u16, request: Request, requests: u64) {
    let (mut senders, mut connections) = (Vec::new(), Vec::new());
    for _ in 0..CALLERS {
        let (sender, connection) = h2::client::handshake(connect(port).await).await.unwrap();
        senders.push(sender);
        connections.push(tokio::spawn(connection));
    }
    for turn in 0..requests {
        stream(senders[turn as usize % CALLERS].clone(), request).await;
    }
    for connection in connections {
        connection.abort();
    }
}

async fn stream(send: h2::client::SendRequest<Bytes>, request: Request) {
    let mut head = http::Request::builder()
        .uri("http://bench.example/bench/items/42?page=7")
        .method(if request.sent > 0 { "POST" } else { "GET" });
    for (name, value) in FIELDS {
        head = head.header(name, value);
    }
    if request.grpc {
        head = head
            .header("content-type", "application/grpc")
            .header("te", "trailers");
    }
    let mut send = send.ready().await.unwrap();
    let whole = request.sent == 0;
    let (answer, mut body) = send.send_request(head.body(()).unwrap(), whole).unwrap();
    if !whole {
        body.send_data(vec![b'x'; request.sent].into(), true)
            .unwrap();
    }
    let mut answer = answer.await.unwrap().into_body();
    let mut length = 0;
    while let Some(piece) = answer.data().await {
        let piece = piece.unwrap();
        length += piece.len();
        answer.flow_control().release_capacity(piece.len()).unwrap();
    }
    assert_eq!(length, request.answered);
    assert_eq!(answer.trailers().await.unwrap().is_some(), request.grpc);
}
