//! Heads and their parts, written.

use http::StatusCode;

use crate::http::headers::{Headers, length};
use crate::http::semantics::connection;

/// Writes one field line.
pub fn put_field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Writes `Content-Length`.
pub fn put_length(out: &mut Vec<u8>, length: u64) {
    out.extend_from_slice(b"content-length: ");
    out.extend_from_slice(length::write(length, &mut [0; 20]));
    out.extend_from_slice(b"\r\n");
}

/// Writes every field but those that the codec makes itself, wherever a message goes: framing and connection options.
pub fn put_fields(out: &mut Vec<u8>, headers: &Headers, keep_length: bool) {
    let except = if keep_length {
        &connection::CONNECTION
    } else {
        &connection::AND_LENGTH
    };
    headers.put_lines(out, except);
}

/// Writes a status line.
pub fn put_status(out: &mut Vec<u8>, status: StatusCode) {
    match status {
        StatusCode::OK => out.extend_from_slice(b"HTTP/1.1 200 OK\r\n"),
        status => {
            out.extend_from_slice(b"HTTP/1.1 ");
            out.extend_from_slice(status.as_str().as_bytes());
            out.push(b' ');
            out.extend_from_slice(status.canonical_reason().unwrap_or_default().as_bytes());
            out.extend_from_slice(b"\r\n");
        }
    }
}
