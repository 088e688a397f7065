//! What was read of a body that may have to be sent again from its start.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Frame, SizeHint};

use super::Body;
use crate::http::error::Error;

/// Bytes that are kept; a body of which more was read is not made whole again. `retry.max_body` has the same default.
const MOST: usize = 64 << 10;

/// The pieces that were read of a body, as long as they are few. They are shared with whoever sends them, not copied.
pub struct Kept {
    /// Apart, as most bodies that are small come in one piece.
    first: Option<Piece>,
    more: Vec<Piece>,
    bytes: usize,
    /// Something was read, if only the end.
    begun: bool,
    /// Not all that was read is here.
    lost: bool,
}

enum Piece {
    Data(Bytes),
    Trailers(Box<HeaderMap>),
}

impl Kept {
    /// Nothing was read yet.
    pub fn nothing() -> Self {
        Kept {
            first: None,
            more: Vec::new(),
            bytes: 0,
            begun: false,
            lost: false,
        }
    }

    /// Nothing is kept.
    pub fn not_at_all() -> Self {
        Kept {
            lost: true,
            ..Kept::nothing()
        }
    }

    /// Whether the body can be made whole again.
    pub fn is_whole(&self) -> bool {
        !self.lost
    }

    /// Whether it could still be made whole if another piece were read, unless that is a large one.
    pub fn has_room(&self) -> bool {
        !self.lost && self.bytes < MOST
    }

    /// Keeps what was read. A first piece was here whole, and is kept whatever its size.
    pub fn note_data(&mut self, data: &Bytes) {
        self.begun = true;
        if self.lost {
            return;
        }
        if self.first.is_some() && self.bytes + data.len() > MOST {
            return self.let_go();
        }
        self.bytes += data.len();
        self.push(Piece::Data(data.clone()));
    }

    pub fn note_trailers(&mut self, trailers: &HeaderMap) {
        self.begun = true;
        if !self.lost {
            self.push(Piece::Trailers(Box::new(trailers.clone())));
        }
    }

    /// The end was read.
    pub fn note_end(&mut self) {
        self.begun = true;
    }

    /// The body need not be whole again.
    pub fn let_go(&mut self) {
        *self = Kept::not_at_all();
    }

    /// The body from its start: what was read of it, and its `rest`. None when some of it is lost.
    pub fn whole_with(self, rest: Body) -> Option<Body> {
        if self.lost {
            return None;
        }
        if !self.begun {
            return Some(rest);
        }
        let pieces = self.first.into_iter().chain(self.more).collect();
        Some(Body::stream(Whole {
            pieces,
            rest,
            begun: false,
        }))
    }

    fn push(&mut self, piece: Piece) {
        match &mut self.first {
            Some(_) => self.more.push(piece),
            none => *none = Some(piece),
        }
    }
}

/// A body of which some was read and is read again.
struct Whole {
    pieces: VecDeque<Piece>,
    rest: Body,
    /// Something is read again. Until then a body is no empty one, even if nothing but its end comes.
    begun: bool,
}

impl http_body::Body for Whole {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        self.begun = true;
        match self.pieces.pop_front() {
            Some(Piece::Data(data)) => Poll::Ready(Some(Ok(Frame::data(data)))),
            Some(Piece::Trailers(trailers)) => Poll::Ready(Some(Ok(Frame::trailers(*trailers)))),
            None if self.rest.is_end_stream() => Poll::Ready(None),
            None => Poll::Ready(ready!(Pin::new(&mut self.rest).poll_frame(cx))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.begun && self.pieces.is_empty() && self.rest.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let kept: u64 = self.pieces.iter().map(Piece::size).sum();
        let rest = self.rest.size_hint();
        let mut hint = SizeHint::new();
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper + kept);
        }
        hint.set_lower(rest.lower() + kept);
        hint
    }
}

impl Piece {
    fn size(&self) -> u64 {
        match self {
            Piece::Data(data) => data.len() as u64,
            Piece::Trailers(_) => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body::Body as _;
    use http_body_util::{BodyExt, StreamBody};

    fn streaming(pieces: &[&'static [u8]]) -> Body {
        let frames: Vec<_> = pieces
            .iter()
            .map(|piece| Ok(Frame::data(Bytes::from_static(piece))))
            .collect();
        Body::stream(StreamBody::new(futures_util::stream::iter(frames)))
    }

    async fn read(body: &mut Body, kept: &mut Kept) {
        match body.frame().await {
            None => kept.note_end(),
            Some(frame) => match frame.unwrap().into_data() {
                Ok(data) => kept.note_data(&data),
                Err(frame) => kept.note_trailers(&frame.into_trailers().unwrap()),
            },
        }
    }

    #[tokio::test]
    async fn what_was_read_and_what_was_not_are_one_body_again() {
        for pieces in 0..=4 {
            let mut body = streaming(&[b"ab", b"cd", b"ef"]);
            let mut kept = Kept::nothing();
            for _ in 0..pieces {
                read(&mut body, &mut kept).await;
            }
            let whole = kept.whole_with(body).unwrap();
            let bytes = whole.collect().await.unwrap().to_bytes();
            assert_eq!(bytes, "abcdef", "{pieces}");
        }
    }

    #[tokio::test]
    async fn trailers_come_again() {
        let trailers = HeaderMap::from_iter([(http::header::ETAG, "a".parse().unwrap())]);
        let frames = [
            Ok(Frame::data(Bytes::from("ab"))),
            Ok(Frame::trailers(trailers.clone())),
        ];
        let mut body = Body::stream(StreamBody::new(futures_util::stream::iter(frames)));
        let mut kept = Kept::nothing();
        for _ in 0..2 {
            read(&mut body, &mut kept).await;
        }
        let again = kept.whole_with(body).unwrap().collect().await.unwrap();
        assert_eq!(again.trailers(), Some(&trailers));
        assert_eq!(again.to_bytes(), "ab");
    }

    /// Its end came apart from its head once, and does so again.
    #[tokio::test]
    async fn a_body_of_nothing_but_its_end_is_one_again() {
        let mut body = streaming(&[]);
        let mut kept = Kept::nothing();
        read(&mut body, &mut kept).await;
        let mut again = kept.whole_with(body).unwrap();
        assert!(!again.is_end_stream());
        assert!(again.frame().await.is_none());
        assert!(again.is_end_stream());
    }

    #[tokio::test]
    async fn no_more_is_kept_than_the_limit_but_for_a_first_piece() {
        static LARGE: &[u8] = &[b'x'; MOST + 1];
        let mut kept = Kept::nothing();
        let mut body = streaming(&[LARGE, b"y"]);
        read(&mut body, &mut kept).await;
        assert!(kept.is_whole() && !kept.has_room());
        read(&mut body, &mut kept).await;
        assert!(!kept.is_whole() && kept.whole_with(body).is_none());

        let mut kept = Kept::nothing();
        let mut body = streaming(&[b"y", &LARGE[1..]]);
        read(&mut body, &mut kept).await;
        assert!(kept.has_room());
        read(&mut body, &mut kept).await;
        assert!(kept.first.is_none() && kept.more.is_empty());
        assert!(kept.whole_with(body).is_none());
    }
}
