//! How long it takes to read heads and bodies from bytes, and to write them.
//!
//! `cargo bench --bench codec`. The messages are what browsers, SDKs and servers usually send; nothing is read from a
//! socket.

#![expect(
    clippy::unwrap_used,
    reason = "a benchmark on what is known to be good"
)]

use bytes::{Bytes, BytesMut};
use divan::Bencher;
use http::{HeaderMap, Method, StatusCode};
use outrigger::codec::h1::chunked::{self, Decoded, Decoder};
use outrigger::codec::h1::head::{self, Limits};
use outrigger::codec::h2::hpack::decode::Block;
use outrigger::codec::h2::hpack::{decode, encode};

const LIMITS: Limits = Limits::new(64 << 10, 100);

/// As curl asks.
const SHORT: &str = "GET /orders/42 HTTP/1.1\r\nHost: localhost:15001\r\nUser-Agent: curl/8.14.1\r\nAccept: */*\r\n\r\n";
/// As an SDK with tracing asks.
const LONG: &str = "POST /api/v1/orders?expand=items&currency=EUR HTTP/1.1\r\nHost: orders.internal.example:8080\r\n\
    User-Agent: example-sdk/4.21.0 (linux; x86_64) runtime/21\r\nAccept: application/json\r\n\
    Accept-Encoding: gzip, deflate, br\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: 512\r\n\
    X-Request-Id: 7f6b1f8e-4a57-4f4c-9a53-1c9f5d1c2b3a\r\n\
    Traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n\
    Authorization: Bearer 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\r\n\
    Cookie: session=5f2d9a7c1be04c0f; theme=dark; region=eu-central\r\nConnection: keep-alive\r\n\r\n";
const ANSWER: &str = "HTTP/1.1 200 OK\r\nServer: example\r\nDate: Wed, 21 Oct 2026 07:28:00 GMT\r\n\
    Content-Type: application/json\r\nContent-Length: 1024\r\nCache-Control: no-store\r\nConnection: keep-alive\r\n\r\n";

fn main() {
    divan::main();
}

#[divan::bench(args = [SHORT, LONG])]
fn request(bencher: Bencher, text: &str) {
    bencher
        .counter(divan::counter::BytesCount::of_str(text))
        .with_inputs(|| BytesMut::from(text))
        .bench_values(|mut buffer| head::take_request(&mut buffer, LIMITS).unwrap().unwrap());
}

#[divan::bench]
fn response(bencher: Bencher) {
    bencher
        .counter(divan::counter::BytesCount::of_str(ANSWER))
        .with_inputs(|| BytesMut::from(ANSWER))
        .bench_values(|mut buffer| {
            head::take_response(&mut buffer, LIMITS, &Method::GET)
                .unwrap()
                .unwrap()
        });
}

#[divan::bench]
fn write_response(bencher: Bencher) {
    let read = head::take_response(&mut BytesMut::from(ANSWER), LIMITS, &Method::GET);
    let headers = read.unwrap().unwrap().headers;
    bencher
        .with_inputs(|| Vec::with_capacity(2 << 10))
        .bench_values(|mut out| {
            head::put_status(&mut out, StatusCode::OK);
            head::put_fields(&mut out, divan::black_box(&headers), true);
            out
        });
}

/// A body of 64 KiB in chunks of so many bytes.
#[divan::bench(args = [100, 4096])]
fn chunks(bencher: Bencher, size: usize) {
    let chunk = vec![b'x'; size];
    let mut body = Vec::new();
    for _ in 0..(64 << 10) / size {
        chunked::put_size(&mut body, size);
        body.extend_from_slice(&chunk);
        body.extend_from_slice(b"\r\n");
    }
    chunked::put_end(&mut body, None::<&HeaderMap>);
    let body = Bytes::from(body);
    bencher
        .counter(divan::counter::BytesCount::new(body.len()))
        .with_inputs(|| BytesMut::from(&body[..]))
        .bench_values(|mut buffer| {
            let mut decoder = Decoder::default();
            let mut pieces = 0;
            while let Decoded::Data(_) = decoder.decode(&mut buffer).unwrap() {
                pieces += 1;
            }
            assert!(decoder.is_done());
            pieces
        });
}

/// The fields of a request that a connection repeats.
#[divan::bench]
fn hpack_encode(bencher: Bencher) {
    let mut encoder = encode::Encoder::default();
    bencher
        .with_inputs(|| Vec::with_capacity(2 << 10))
        .bench_local_values(|mut block| {
            write_fields(&mut encoder, &mut block);
            block
        });
}

#[divan::bench]
fn hpack_decode(bencher: Bencher) {
    let mut encoder = encode::Encoder::default();
    let mut decoder = decode::Decoder::default();
    let mut fields = Block::default();
    let mut first = Vec::new();
    write_fields(&mut encoder, &mut first);
    decoder.decode(&first, &mut fields).unwrap();
    let mut block = Vec::new();
    write_fields(&mut encoder, &mut block);
    bencher.bench_local(|| {
        fields.clear(64 << 10);
        decoder
            .decode(divan::black_box(&block), &mut fields)
            .unwrap();
    });
}

fn write_fields(encoder: &mut encode::Encoder, block: &mut Vec<u8>) {
    encoder.begin(block);
    encoder.method(block, &Method::POST);
    encoder.scheme(block, false);
    for (name, value) in [
        (":path", "/pkg.Orders/Get"),
        (":authority", "orders.internal.example"),
        ("content-type", "application/grpc"),
        ("user-agent", "grpc-example/1.80.0"),
        ("te", "trailers"),
        ("grpc-timeout", "998m"),
        ("x-request-id", "7f6b1f8e-4a57-4f4c-9a53-1c9f5d1c2b3a"),
    ] {
        encoder.field(block, name.as_bytes(), value.as_bytes());
    }
}
