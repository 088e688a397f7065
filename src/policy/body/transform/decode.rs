//! `Content-Encoding` undone, in memory that is bounded by the limit of the result.

use std::io::{self, Read};

use bytes::Bytes;
use http::header;

use crate::http::headers::Headers;

/// A coding of `Content-Encoding` (RFC 9110, section 8.4.1; RFC 7932; RFC 8878).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

/// More than this is no honest message.
const MAX_CODINGS: usize = 3;

/// RFC 9659, section 3: the largest window that a decoder of HTTP content has to have.
const ZSTD_WINDOW: u64 = 8 << 20;

/// Why a body could not be decoded.
#[derive(Debug, PartialEq)]
pub enum Undecodable {
    /// It would be larger than the limit.
    TooLarge,
    /// It is not what its coding says.
    Broken(Coding),
}

impl Coding {
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "gzip" | "x-gzip" => Some(Coding::Gzip),
            "deflate" => Some(Coding::Deflate),
            "br" => Some(Coding::Brotli),
            "zstd" => Some(Coding::Zstd),
            _ => None,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Coding::Gzip => "gzip",
            Coding::Deflate => "deflate",
            Coding::Brotli => "br",
            Coding::Zstd => "zstd",
        }
    }
}

/// The codings of a message, in the order in which they were applied.
///
/// # Errors
/// The name of one that is not known here, or of one too many.
pub fn codings(headers: &Headers) -> Result<Vec<Coding>, String> {
    let mut found = Vec::new();
    for value in headers.get_all(&header::CONTENT_ENCODING) {
        let value = String::from_utf8_lossy(value).to_ascii_lowercase();
        let names = value.split(',').map(str::trim);
        for name in names.filter(|name| !name.is_empty() && *name != "identity") {
            match Coding::named(name) {
                Some(coding) if found.len() < MAX_CODINGS => found.push(coding),
                _ => return Err(name.chars().take(80).collect()),
            }
        }
    }
    Ok(found)
}

/// How many bytes an encoded body may have whose content has at most `limit`: what does not compress gets a little
/// longer.
pub fn encoded_limit(limit: usize, codings: &[Coding]) -> usize {
    match codings {
        [] => limit,
        _ => limit.saturating_add(limit / 64).saturating_add(1024),
    }
}

/// Undoes every coding, the last one first. No content at all is no content, though no coding makes that: a server
/// that says `Content-Encoding` with `Content-Length: 0` means so.
///
/// # Errors
/// The result of one of them would have more than `limit` bytes, or one is broken.
pub fn decode(body: Bytes, codings: &[Coding], limit: usize) -> Result<Bytes, Undecodable> {
    if body.is_empty() {
        return Ok(body);
    }
    codings.iter().rev().try_fold(body, |body, coding| {
        undo(*coding, &body, limit).map(Bytes::from)
    })
}

fn undo(coding: Coding, body: &[u8], limit: usize) -> Result<Vec<u8>, Undecodable> {
    let broken = |_: io::Error| Undecodable::Broken(coding);
    let mut rest = body;
    let mut out = Vec::new();
    match coding {
        Coding::Gzip => take(
            flate2::bufread::MultiGzDecoder::new(&mut rest),
            &mut out,
            limit,
        ),
        // "deflate" is the zlib format; some senders leave its wrapper out.
        Coding::Deflate if is_zlib(body) => take(
            flate2::bufread::ZlibDecoder::new(&mut rest),
            &mut out,
            limit,
        ),
        Coding::Deflate => take(
            flate2::bufread::DeflateDecoder::new(&mut rest),
            &mut out,
            limit,
        ),
        Coding::Brotli => take(
            brotli_decompressor::Decompressor::new(&mut rest, BUFFER),
            &mut out,
            limit,
        ),
        Coding::Zstd => zstd(&mut rest, &mut out, limit),
    }
    .map_err(broken)?;
    if out.len() > limit {
        return Err(Undecodable::TooLarge);
    }
    if rest.is_empty() {
        Ok(out)
    } else {
        Err(Undecodable::Broken(coding))
    }
}

const BUFFER: usize = 4096;

/// Reads all there is, and no more than one byte beyond the limit.
fn take(decoder: impl Read, out: &mut Vec<u8>, limit: usize) -> io::Result<()> {
    let room = (limit - out.len().min(limit)) as u64 + 1;
    decoder.take(room).read_to_end(out).map(|_| ())
}

/// One frame after the other (RFC 8878, section 3).
fn zstd(rest: &mut &[u8], out: &mut Vec<u8>, limit: usize) -> io::Result<()> {
    use ruzstd::decoding::StreamingDecoder;
    loop {
        let decoder = StreamingDecoder::new_with_max_window_size(&mut *rest, ZSTD_WINDOW);
        take(decoder.map_err(io::Error::other)?, out, limit)?;
        if rest.is_empty() || out.len() > limit {
            return Ok(());
        }
    }
}

/// RFC 1950, section 2.2: the method, and a check that makes the first two bytes a multiple of 31.
fn is_zlib(body: &[u8]) -> bool {
    matches!(body, [method, flags, ..]
        if method & 0x0f == 8 && (u16::from(*method) << 8 | u16::from(*flags)) % 31 == 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Write;

    /// `{"name":"ann","secret":1}`, and 8 MiB of the digit 0, both as Node's `zlib.brotliCompressSync` has them.
    const BROTLI: &str = "0b0c807b226e616d65223a22616e6e222c22736563726574223a317d03";
    const BROTLI_BOMB: &str = "9bffff7ff82560e2b14020f7fe0f";

    fn bytes(hex: &str) -> Bytes {
        let digits = hex.as_bytes().chunks(2);
        digits
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    }

    fn encoded(coding: Coding, text: &[u8]) -> Bytes {
        let level = flate2::Compression::default();
        match coding {
            Coding::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
                encoder.write_all(text).unwrap();
                encoder.finish().unwrap().into()
            }
            Coding::Deflate => {
                let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), level);
                encoder.write_all(text).unwrap();
                encoder.finish().unwrap().into()
            }
            Coding::Zstd => {
                let level = ruzstd::encoding::CompressionLevel::Fastest;
                ruzstd::encoding::compress_to_vec(text, level).into()
            }
            Coding::Brotli => bytes(BROTLI),
        }
    }

    const TEXT: &[u8] = br#"{"name":"ann","secret":1}"#;
    const ALL: [Coding; 4] = [Coding::Gzip, Coding::Deflate, Coding::Brotli, Coding::Zstd];

    #[test]
    fn every_coding_is_undone_up_to_the_limit() {
        for coding in ALL {
            let body = encoded(coding, TEXT);
            assert_eq!(
                decode(body.clone(), &[coding], TEXT.len()).unwrap(),
                TEXT,
                "{coding:?}"
            );
            let error = decode(body, &[coding], TEXT.len() - 1).unwrap_err();
            assert_eq!(error, Undecodable::TooLarge, "{coding:?}");
        }
        let raw = bytes("ab56ca4bcc4d55b2524acccb53d2512a4e4d2e4a2d51b232ac0500");
        assert_eq!(decode(raw, &[Coding::Deflate], 100).unwrap(), TEXT);
        let twice = encoded(Coding::Zstd, &encoded(Coding::Gzip, TEXT));
        assert_eq!(
            decode(twice, &[Coding::Gzip, Coding::Zstd], 100).unwrap(),
            TEXT
        );
    }

    #[test]
    fn members_and_frames_follow_each_other() {
        for coding in [Coding::Gzip, Coding::Zstd] {
            let body = [encoded(coding, b"[1,"), encoded(coding, b"2]")].concat();
            assert_eq!(decode(body.into(), &[coding], 100).unwrap(), "[1,2]");
        }
    }

    #[test]
    fn a_bomb_is_refused_at_the_limit() {
        let zeros = vec![b'0'; 8 << 20];
        for coding in ALL {
            let body = match coding {
                Coding::Brotli => bytes(BROTLI_BOMB),
                coding => encoded(coding, &zeros),
            };
            assert!(body.len() < 10_000);
            assert_eq!(decode(body, &[coding], 1 << 16), Err(Undecodable::TooLarge));
        }
    }

    #[test]
    fn what_is_cut_or_goes_on_is_broken() {
        for coding in ALL {
            let body = encoded(coding, TEXT);
            assert_eq!(decode(Bytes::new(), &[coding], 100).unwrap(), "");
            for cut in 1..body.len() {
                assert!(
                    decode(body.slice(..cut), &[coding], 100).is_err(),
                    "{coding:?} {cut}"
                );
            }
            // The brotli library passes over what follows the end of its stream.
            if coding == Coding::Brotli {
                continue;
            }
            let longer = [&body[..], b"xyz"].concat();
            assert!(decode(longer.into(), &[coding], 100).is_err(), "{coding:?}");
        }
    }

    #[test]
    fn a_window_beyond_what_http_allows_is_refused() {
        // RFC 8878, section 3.1.1.1.2: a window descriptor of 2^30 bytes.
        let frame = bytes("28b52ffd00a0010000");
        assert_eq!(
            decode(frame, &[Coding::Zstd], 100),
            Err(Undecodable::Broken(Coding::Zstd))
        );
    }

    #[test]
    fn codings_are_read_from_every_field() {
        let headers = |values: &[&str]| {
            let mut headers = Headers::new();
            for value in values {
                headers.append(&header::CONTENT_ENCODING, &value.parse().unwrap());
            }
            headers
        };
        for (values, expected) in [
            (&[][..], Ok(vec![])),
            (&["identity"], Ok(vec![])),
            (&["X-GZip, br"], Ok(vec![Coding::Gzip, Coding::Brotli])),
            (&["gzip", "zstd"], Ok(vec![Coding::Gzip, Coding::Zstd])),
            (&["gzip, dcb"], Err("dcb".to_owned())),
            (&["gzip,gzip,gzip,gzip"], Err("gzip".to_owned())),
        ] {
            assert_eq!(codings(&headers(values)), expected, "{values:?}");
        }
    }

    proptest! {
        #[test]
        fn no_input_panics(body in prop::collection::vec(any::<u8>(), 0..64), which in 0..4usize, head in 0..32usize) {
            let coding = ALL[which];
            let good = encoded(coding, TEXT);
            let mixed = [&good[..head.min(good.len())], &body].concat();
            let _ = decode(mixed.into(), &[coding], 100);
        }
    }
}
