//! The chunked coding (RFC 9112, section 7.1).

use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::framing::Ambiguous;
use crate::http::headers::is_our_word;

/// Bytes of chunk extensions in one body: ignored, so there is no reason to send many.
const MAX_EXTENSIONS: usize = 16 << 10;
/// Bytes of one chunk-size line without its extensions, leading zeros included.
const MAX_SIZE_DIGITS: usize = 16;
/// Bytes and fields of a trailer section.
const MAX_TRAILERS: usize = 16 << 10;
const MAX_TRAILER_FIELDS: usize = 64;

const CONTROL_CHARACTER: Ambiguous = "a control character in a chunk extension";

/// Decodes a chunked body, strictly: sizes are hexadecimal digits only, lines end with CRLF.
#[derive(Debug, Default)]
pub struct Decoder {
    state: State,
    extensions: usize,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    /// At the start of a chunk-size line.
    #[default]
    Size,
    /// In a chunk's data, with so many bytes to come.
    Data(u64),
    /// At the CRLF behind a chunk's data.
    DataEnd,
    Trailers,
    Done,
}

/// What the decoder made of the buffer.
#[derive(Debug)]
pub enum Decoded {
    Data(Bytes),
    Trailers(HeaderMap),
    /// The end, without trailers.
    End,
    /// More bytes are needed.
    Partial,
}

impl Decoder {
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Takes what it can from `buffer`. Once it has ended it takes nothing more.
    pub fn decode(&mut self, buffer: &mut BytesMut) -> Result<Decoded, Ambiguous> {
        loop {
            match self.state {
                State::Size => match self.size_line(buffer)? {
                    None => return Ok(Decoded::Partial),
                    Some(0) => self.state = State::Trailers,
                    Some(size) => self.state = State::Data(size),
                },
                State::Data(left) => {
                    if buffer.is_empty() {
                        return Ok(Decoded::Partial);
                    }
                    let take = left.min(buffer.len() as u64);
                    self.state = match left - take {
                        0 => State::DataEnd,
                        left => State::Data(left),
                    };
                    let data = buffer.split_to(take as usize).freeze();
                    // Take the line behind the data in the same turn, so that the end of a body is seen with its last piece.
                    if self.state == State::DataEnd {
                        self.data_end(buffer)?;
                    }
                    return Ok(Decoded::Data(data));
                }
                State::DataEnd => {
                    if !self.data_end(buffer)? {
                        return Ok(Decoded::Partial);
                    }
                }
                State::Trailers => return self.trailers(buffer),
                State::Done => return Ok(Decoded::End),
            }
        }
    }

    /// After a last piece of data: whether the end follows at once in `buffer`; then it is taken.
    pub fn try_end(&mut self, buffer: &mut BytesMut) -> bool {
        if self.state == State::Size && buffer.starts_with(b"0\r\n\r\n") {
            buffer.advance(5);
            self.state = State::Done;
        }
        self.is_done()
    }

    fn data_end(&mut self, buffer: &mut BytesMut) -> Result<bool, Ambiguous> {
        match &buffer[..] {
            [b'\r', b'\n', ..] => {
                buffer.advance(2);
                self.state = State::Size;
                Ok(true)
            }
            [] | [b'\r'] => Ok(false),
            _ => Err("a chunk is longer than its size says"),
        }
    }

    fn size_line(&mut self, buffer: &mut BytesMut) -> Result<Option<u64>, Ambiguous> {
        let digits = buffer.iter().take_while(|b| b.is_ascii_hexdigit()).count();
        if digits > MAX_SIZE_DIGITS {
            return Err("a chunk size is too large");
        }
        let Some(next) = buffer.get(digits) else {
            return Ok(None);
        };
        if digits == 0 || !matches!(next, b'\r' | b';' | b' ' | b'\t') {
            return Err("a chunk size is not a hexadecimal number");
        }
        let Some(end) = memchr::memchr(b'\n', &buffer[digits..]) else {
            // A CR may be the first half of the line's end only where the bytes end.
            if memchr::memchr(b'\r', &buffer[digits..buffer.len() - 1]).is_some() {
                return Err(CONTROL_CHARACTER);
            }
            // The CR of the line's end is among them.
            if self.extensions + buffer.len() - digits > MAX_EXTENSIONS + 1 {
                return Err("chunk extensions are too long");
            }
            return Ok(None);
        };
        let extension = match buffer[digits..digits + end].strip_suffix(b"\r") {
            Some(extension) => extension,
            None => return Err("a chunk-size line that ends without CR"),
        };
        self.extensions += extension.len();
        if self.extensions > MAX_EXTENSIONS {
            return Err("chunk extensions are too long");
        }
        check_extension(extension)?;
        let size = buffer[..digits].iter().fold(0u64, |sum, digit| {
            // At most 16 digits, so nothing is shifted out.
            sum << 4 | u64::from((*digit as char).to_digit(16).unwrap_or_default())
        });
        if size > i64::MAX as u64 {
            return Err("a chunk size is too large");
        }
        buffer.advance(digits + end + 1);
        Ok(Some(size))
    }

    fn trailers(&mut self, buffer: &mut BytesMut) -> Result<Decoded, Ambiguous> {
        if buffer.starts_with(b"\r\n") {
            buffer.advance(2);
            self.state = State::Done;
            return Ok(Decoded::End);
        }
        let mut fields = [httparse::EMPTY_HEADER; MAX_TRAILER_FIELDS];
        let (end, fields) = match httparse::parse_headers(buffer, &mut fields) {
            Ok(httparse::Status::Complete((end, _))) if end > MAX_TRAILERS => {
                return Err("the trailer section is too long");
            }
            Ok(httparse::Status::Complete(parsed)) => parsed,
            Ok(httparse::Status::Partial) if buffer.len() > MAX_TRAILERS => {
                return Err("the trailer section is too long");
            }
            Ok(httparse::Status::Partial) => return Ok(Decoded::Partial),
            Err(_) => return Err("a malformed trailer section"),
        };
        if super::head::has_bare_lf(&buffer[..end]) {
            return Err("a trailer line that ends without CR");
        }
        let mut trailers = HeaderMap::with_capacity(fields.len());
        for field in fields {
            let (Ok(name), Ok(value)) = (
                HeaderName::from_bytes(field.name.as_bytes()),
                HeaderValue::from_bytes(field.value),
            ) else {
                return Err("a malformed trailer section");
            };
            if may_trail(&name) {
                trailers.append(name, value);
            }
        }
        buffer.advance(end);
        self.state = State::Done;
        Ok(if trailers.is_empty() {
            Decoded::End
        } else {
            Decoded::Trailers(trailers)
        })
    }
}

/// An extension must begin with `;` and hold nothing that a lax reader takes for the end of the line.
fn check_extension(extension: &[u8]) -> Result<(), Ambiguous> {
    if extension
        .iter()
        .any(|b| b.is_ascii_control() && *b != b'\t')
    {
        return Err(CONTROL_CHARACTER);
    }
    match extension.trim_ascii_start().first() {
        None if extension.is_empty() => Ok(()),
        Some(b';') => Ok(()),
        _ => Err("something other than an extension behind a chunk size"),
    }
}

/// Fields that steer framing, routing or authentication have no business behind the body (RFC 9110, section
/// 6.5.1): dropped. So are those that only this proxy says.
fn may_trail(name: &HeaderName) -> bool {
    use http::header::*;
    !is_our_word(name.as_str())
        && !matches!(
            *name,
            AUTHORIZATION
                | CONNECTION
                | CONTENT_ENCODING
                | CONTENT_LENGTH
                | CONTENT_RANGE
                | CONTENT_TYPE
                | COOKIE
                | EXPECT
                | HOST
                | PROXY_AUTHORIZATION
                | SET_COOKIE
                | TE
                | TRAILER
                | TRANSFER_ENCODING
                | UPGRADE
        )
}

/// Writes the line before `len` bytes of data.
pub fn put_size(out: &mut Vec<u8>, len: usize) {
    let digits = (usize::BITS - len.leading_zeros()).div_ceil(4).max(1);
    for digit in (0..digits).rev() {
        let nibble = (len >> (4 * digit)) & 15;
        out.push(b"0123456789abcdef"[nibble]);
    }
    out.extend_from_slice(b"\r\n");
}

/// Writes the end of a chunked body.
pub fn put_end(out: &mut Vec<u8>, trailers: Option<&HeaderMap>) {
    out.extend_from_slice(b"0\r\n");
    for (name, value) in trailers.into_iter().flatten() {
        if may_trail(name) {
            super::head::put_field(out, name.as_str().as_bytes(), value.as_bytes());
        }
    }
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Feeds `pieces` one after another; the data, the trailers, and what was left over.
    fn decode(pieces: &[&[u8]]) -> Result<(Vec<u8>, HeaderMap, bool, Vec<u8>), Ambiguous> {
        let mut decoder = Decoder::default();
        let mut buffer = BytesMut::new();
        let (mut data, mut trailers) = (Vec::new(), HeaderMap::new());
        for piece in pieces {
            buffer.extend_from_slice(piece);
            loop {
                match decoder.decode(&mut buffer)? {
                    Decoded::Data(bytes) => data.extend_from_slice(&bytes),
                    Decoded::Trailers(map) => trailers = map,
                    Decoded::End | Decoded::Partial => break,
                }
            }
        }
        Ok((data, trailers, decoder.is_done(), buffer.to_vec()))
    }

    #[test]
    fn decodes_data_extensions_and_trailers() {
        let (data, trailers, done, rest) = decode(&[
            b"3;a=b\r\nabc\r\n000A\r\n0123456789\r\n0\r\nx-sum: 7\r\nhost: evil\r\n\r\nGET",
        ])
        .unwrap();
        assert_eq!(data, b"abc0123456789");
        assert_eq!(trailers.len(), 1, "host must not come as a trailer");
        assert_eq!(trailers["x-sum"], "7");
        assert!(done);
        assert_eq!(rest, b"GET");
    }

    #[test]
    fn refuses_what_could_be_read_in_two_ways() {
        for bad in [
            &b"\r\n"[..],
            b"x\r\n",
            b"-1\r\n",
            b"+1\r\n",
            b"0x1\r\n",
            b"1\n",
            b"1\r\nab\r\n",
            b"1\r\na\n",
            b"1 \r\na\r\n",
            b"1 2\r\na\r\n",
            b"1\r;\r\n",
            b"1;a\rb\r\n",
            b"1;a\nb\r\n",
            b"1;\x00\r\n",
            b"11111111111111111\r\n",
            b"ffffffffffffffff\r\n",
            b"0\r\nx: 1\n\r\n",
            b"0\r\nx : 1\r\n\r\n",
            b"0\r\n x: 1\r\n\r\n",
        ] {
            assert!(decode(&[bad]).is_err(), "{}", bad.escape_ascii());
        }
    }

    #[test]
    fn bounds_extensions_and_trailers() {
        let mut long = b"1;".to_vec();
        long.resize(MAX_EXTENSIONS + 3, b'a');
        assert!(decode(&[&long]).is_err());
        for length in [MAX_EXTENSIONS, MAX_EXTENSIONS + 1] {
            let line = [b"1", &*vec![b';'; length], b"\r\n"].concat();
            for at in [line.len() - 1, line.len() - 2] {
                let cut = decode(&[&line[..at], &line[at..]]);
                assert_eq!(cut.is_ok(), length == MAX_EXTENSIONS, "{length} {at}");
            }
            assert_eq!(decode(&[&line]).is_ok(), length == MAX_EXTENSIONS);
        }
        let many = b"1;aaaaaaaaaaaaaaaa\r\nx\r\n".repeat(MAX_EXTENSIONS / 16);
        assert!(decode(&[&many]).is_err());
        let mut trailer = b"0\r\nx: ".to_vec();
        trailer.resize(MAX_TRAILERS + 10, b'a');
        assert!(decode(&[&trailer]).is_err());
        trailer.extend_from_slice(b"\r\n\r\n");
        assert!(decode(&[&trailer]).is_err(), "however it arrives");
    }

    proptest! {
        /// However the bytes are cut, the same body comes out of what was put in.
        #[test]
        fn round_trip_at_every_cut(chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..5),
                                   cuts in prop::collection::vec(0..300usize, 0..8)) {
            let mut wire = Vec::new();
            for chunk in &chunks {
                put_size(&mut wire, chunk.len());
                wire.extend_from_slice(chunk);
                wire.extend_from_slice(b"\r\n");
            }
            put_end(&mut wire, None);
            let mut cuts: Vec<usize> = cuts.into_iter().map(|c| c.min(wire.len())).collect();
            cuts.extend([0, wire.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|w| &wire[w[0]..w[1]]).collect();
            let (data, _, done, rest) = decode(&pieces).unwrap();
            prop_assert_eq!(data, chunks.concat());
            prop_assert!(done && rest.is_empty());
        }

        /// Byte by byte gives the same verdict as all at once.
        #[test]
        fn verdict_does_not_depend_on_cuts(wire in prop::collection::vec(
                prop::sample::select(b"0123afF;x:\r\n \t".to_vec()), 0..40)) {
            let whole = decode(&[&wire]);
            let bytes: Vec<&[u8]> = wire.chunks(1).collect();
            let cut = decode(&bytes);
            match (whole, cut) {
                (Ok(a), Ok(b)) => prop_assert_eq!(a, b),
                (a, b) => prop_assert_eq!(a.is_err(), b.is_err()),
            }
        }
    }
}
