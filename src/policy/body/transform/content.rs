//! The content of a message: read whole, its encoding undone when somebody works on it.

use bytes::Bytes;
use http::header;

use super::collect::{Unread, collect, peek};
use super::decode::{Coding, Undecodable, codings, decode, encoded_limit};
use super::refusal::Refused;
use crate::http::body::Body;
use crate::http::headers::Headers;

/// A body that was read whole.
pub struct Content {
    encoded: Bytes,
    codings: Vec<Coding>,
}

/// How many times as large JSON usually is without its encoding.
const COMPRESSED: usize = 8;

impl Content {
    /// Reads a body whose content may have `limit` bytes, and leaves it empty. Its trailers are passed over.
    ///
    /// # Errors
    /// It is larger, as far as that shows before it is decoded; it has an unknown encoding; or its source failed.
    pub async fn read(
        headers: &mut Headers,
        body: &mut Body,
        limit: usize,
    ) -> Result<Self, Unread> {
        let codings = match codings(headers) {
            Ok(codings) => codings,
            // Whatever the coding is, of no content there is nothing to undo.
            Err(name) => match peek(body, 0).await.map_err(Unread::Failed)? {
                Some(_) => Vec::new(),
                None => return Err(Unread::Refused(Refused::UnknownCoding(name))),
            },
        };
        let encoded = collect(body, encoded_limit(limit, &codings)).await?;
        headers.remove(&header::TRAILER);
        Ok(Content { encoded, codings })
    }

    /// The bytes as they came.
    pub fn encoded(&self) -> Bytes {
        self.encoded.clone()
    }

    /// How many bytes there are to work on, as far as it shows before they are decoded.
    pub fn size(&self) -> usize {
        if self.codings.is_empty() {
            self.encoded.len()
        } else {
            self.encoded.len().saturating_mul(COMPRESSED)
        }
    }

    /// # Errors
    /// There are more than `limit` bytes, or they are not what the encoding says.
    pub fn decode(self, limit: usize) -> Result<Bytes, Refused> {
        decode(self.encoded, &self.codings, limit).map_err(|why| match why {
            Undecodable::TooLarge => Refused::TooLarge,
            Undecodable::Broken(coding) => Refused::NotDecoded(coding),
        })
    }
}
