//! The chunked coding: no panic, the same verdict however the bytes are cut, and what was read can be written and
//! read again. The first byte of the input says how it is cut.
#![no_main]

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use libfuzzer_sys::fuzz_target;
use outrigger::codec::h1::chunked::{Decoded, Decoder, put_end, put_size};

fuzz_target!(|input: &[u8]| {
    let Some((step, wire)) = input.split_first() else {
        return;
    };
    let whole = decode(wire.chunks(wire.len().max(1)));
    let cut = decode(wire.chunks(usize::from(*step).max(1)));
    match (whole, cut) {
        (None, None) => {}
        (Some(whole), Some(cut)) => {
            assert_eq!(join(&cut.0), join(&whole.0));
            assert_eq!(cut.1, whole.1);
            write_and_read(&whole.0, &whole.1);
        }
        (whole, cut) => panic!("{whole:?} or {cut:?}"),
    }
});

type Body = (Vec<Bytes>, HeaderMap);

/// The body, as far as it has come; `None` when it is refused.
fn decode<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Option<Body> {
    let mut decoder = Decoder::default();
    let mut buffer = BytesMut::new();
    let (mut data, mut trailers) = (Vec::new(), HeaderMap::new());
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            match decoder.decode(&mut buffer) {
                Ok(Decoded::Data(piece)) => {
                    decoder.try_end(&mut buffer);
                    data.push(piece);
                }
                Ok(Decoded::Trailers(map)) => trailers = map,
                Ok(Decoded::End | Decoded::Partial) => break,
                Err(_) => return None,
            }
        }
    }
    Some((data, trailers))
}

fn write_and_read(data: &[Bytes], trailers: &HeaderMap) {
    let mut wire = Vec::new();
    for piece in data {
        put_size(&mut wire, piece.len());
        wire.extend_from_slice(piece);
        wire.extend_from_slice(b"\r\n");
    }
    put_end(&mut wire, Some(trailers));
    let (again, same) = decode(std::iter::once(&wire[..])).expect("what we write is read");
    assert_eq!(join(&again), join(data));
    assert_eq!(same, *trailers);
}

fn join(data: &[Bytes]) -> Vec<u8> {
    data.concat()
}
