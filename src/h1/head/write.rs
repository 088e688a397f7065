//! Heads and their parts, written.

use http::StatusCode;

use crate::headers::Headers;

/// Writes one field line.
pub fn put_field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Writes a field whose value is a number.
pub fn put_length(out: &mut Vec<u8>, length: u64) {
    out.extend_from_slice(b"content-length: ");
    put_number(out, length);
    out.extend_from_slice(b"\r\n");
}

/// Writes every field but those that the codec makes itself: framing and connection options.
pub fn put_fields(out: &mut Vec<u8>, headers: &Headers, keep_length: bool) {
    for (name, value) in headers.iter() {
        let made_here = match name.len() {
            7 => name.eq_ignore_ascii_case(b"upgrade"),
            10 => {
                name.eq_ignore_ascii_case(b"connection") || name.eq_ignore_ascii_case(b"keep-alive")
            }
            14 => !keep_length && name.eq_ignore_ascii_case(b"content-length"),
            17 => name.eq_ignore_ascii_case(b"transfer-encoding"),
            _ => false,
        };
        if !made_here {
            put_field(out, name, value);
        }
    }
}

/// Writes a status line.
pub fn put_status(out: &mut Vec<u8>, status: StatusCode) {
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(status.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(status.canonical_reason().unwrap_or_default().as_bytes());
    out.extend_from_slice(b"\r\n");
}

fn put_number(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}
