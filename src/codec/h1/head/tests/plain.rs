//! Plain heads read in one pass, beside the parser.

use proptest::prelude::*;

use super::*;
use crate::codec::h1::head::{parse_request, parse_response, scan};

const REQUEST: &str = "POST /a/b?c=%20d HTTP/1.1\r\nHost: a.example:8080\r\nx-empty:\r\nX-Spaced:  a b  \r\n\
                       Content-Length: 12\r\nconnection: close, te\r\nx-long: 0123456789abcdefghij\r\n\r\nbody";
const RESPONSE: &str = "HTTP/1.1 404 Not Found\r\nserver: x\r\nx-empty: \r\nTransfer-Encoding: chunked\r\n\
                        set-cookie: a=b\r\nset-cookie: c=d\r\n\r\n5\r\n";

/// Everything that either way of reading says of a head.
fn told(head: &RequestHead) -> String {
    let fields: Vec<_> = head.headers.iter().collect();
    format!("{head:?} {fields:?}")
}

fn told_of_response(head: &ResponseHead) -> String {
    let fields: Vec<_> = head.headers.iter().collect();
    format!("{head:?} {fields:?}")
}

fn agree_on_request(sent: &[u8]) {
    let Some(plain) = scan::request(sent, LIMITS) else {
        return;
    };
    let parsed = parse_request(sent, LIMITS).unwrap().unwrap();
    assert_eq!(plain.length, parsed.length);
    let received = bytes::Bytes::copy_from_slice(&sent[..plain.length]);
    let plain = plain.into_head(&mut received.clone());
    let parsed = parsed.into_head(&mut received.clone());
    let shown = |head: Result<Option<RequestHead>, Error>| match head {
        Ok(head) => told(&head.unwrap()),
        Err(error) => error.to_string(),
    };
    assert_eq!(shown(plain), shown(parsed));
}

fn agree_on_response(sent: &[u8]) {
    let Some(plain) = scan::response(sent, LIMITS) else {
        return;
    };
    let parsed = parse_response(sent, LIMITS).unwrap().unwrap();
    assert_eq!(plain.length, parsed.length);
    let received = bytes::Bytes::copy_from_slice(&sent[..plain.length]);
    let plain = plain.into_head(received.clone(), &Method::GET);
    let parsed = parsed.into_head(received, &Method::GET);
    let shown = |head: Result<ResponseHead, Error>| match head {
        Ok(head) => told_of_response(&head),
        Err(error) => error.to_string(),
    };
    assert_eq!(shown(plain), shown(parsed));
}

#[test]
fn usual_heads_are_read_in_one_pass() {
    assert!(scan::request(REQUEST.as_bytes(), LIMITS).is_some());
    assert!(scan::response(RESPONSE.as_bytes(), LIMITS).is_some());
    agree_on_request(REQUEST.as_bytes());
    agree_on_response(RESPONSE.as_bytes());
}

#[test]
fn all_else_is_left_to_the_parser() {
    for (from, to) in [
        ("HTTP/1.1\r\n", "HTTP/1.0\r\n"),
        ("POST", "pOST"),
        ("x-empty:", "x-empty :"),
        ("x-empty:", "x-empty:\t"),
        ("X-Spaced:  a b  \r\n", "X-Spaced: a b\n"),
        ("X-Spaced:  a b  \r\n", "X-Spaced: a\r b\r\n"),
        ("X-Spaced:  a b  \r\n", "X-Spaced: a\r\n b\r\n"),
        ("X-Spaced:  a b  \r\n", "X-Spaced: a\0b\r\n"),
        ("X-Spaced:", "Host:"),
        ("X-Spaced:", "transfer_encoding:"),
        ("\r\n\r\n", "\r\n\n"),
        ("\r\n\r\n", "\r\n"),
    ] {
        let sent = REQUEST.replacen(from, to, 1);
        assert_ne!(sent, REQUEST);
        assert!(scan::request(sent.as_bytes(), LIMITS).is_none(), "{sent:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    /// Bytes put in, taken out and changed at random, at and around what gives a head its form.
    #[test]
    fn what_is_read_in_one_pass_the_parser_reads_alike(
        changes in prop::collection::vec(
            (
                any::<prop::sample::Index>(),
                0..3usize,
                prop_oneof![
                    prop::sample::select(&b"\r\n\t :,;\0\x7f\x80\xff/#?%\"<>_-Hh10"[..]),
                    any::<u8>(),
                ],
            ),
            0..6,
        ),
        length in any::<prop::sample::Index>(),
        cut in prop::bool::weighted(0.2),
    ) {
        for base in [REQUEST, RESPONSE] {
            let mut sent = base.as_bytes().to_vec();
            for (at, what, byte) in &changes {
                let at = at.index(sent.len());
                match what {
                    0 => sent.insert(at, *byte),
                    1 => sent[at] = *byte,
                    _ => drop(sent.remove(at)),
                }
            }
            if cut {
                sent.truncate(length.index(sent.len()));
            }
            agree_on_request(&sent);
            agree_on_response(&sent);
        }
    }
}
