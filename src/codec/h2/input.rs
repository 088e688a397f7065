//! A socket's incoming side, cut into frames.

use std::io;
use std::ops::Range;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};

use super::frame::{Code, Fault, HEAD, Head, MAX_PAYLOAD};
use crate::net::buffer;
use crate::net::io::Io;

/// Content from this size on is handed out as it lies in the buffer, and keeps it; what is smaller is copied, so
/// that crumbs keep no buffers.
const TAKEN: usize = 4 << 10;

#[derive(Default)]
pub struct Input {
    buffer: BytesMut,
    /// Where the next frame begins.
    at: usize,
    /// The payload of the frame that was found last.
    payload: Range<usize>,
    /// The buffer has grown for a body.
    grown: bool,
}

/// Content of a frame.
pub enum Content<'a> {
    /// To be copied.
    Small(&'a [u8]),
    Large(Bytes),
}

impl Input {
    /// `early` are bytes that have arrived already.
    pub fn new(early: BytesMut) -> Self {
        Input {
            buffer: early,
            at: 0,
            payload: 0..0,
            grown: false,
        }
    }

    /// Bytes of no whole frame yet.
    pub fn rest(&self) -> &[u8] {
        &self.buffer[self.at..]
    }

    /// Leaves bytes out, of those in [`Input::rest`].
    pub fn skip(&mut self, length: usize) {
        self.at += length;
    }

    /// Reads once from the socket; 0 is its end.
    pub fn poll_fill(&mut self, io: &Io, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.rest().is_empty() && self.buffer.capacity() < buffer::SMALL {
            // Wait without a buffer: this may be an idle connection.
            ready!(io.poll_read_ready(cx))?;
        }
        self.make_room();
        io.poll_read(cx, &mut self.buffer)
    }

    /// The next frame, when it is there whole.
    ///
    /// # Errors
    /// It is longer than we take.
    pub fn next_frame(&mut self) -> Result<Option<Head>, Fault> {
        let Some(head) = self.head() else {
            return Ok(None);
        };
        if head.length > MAX_PAYLOAD {
            return Err(Fault::Connection(
                Code::FRAME_SIZE_ERROR,
                "a frame longer than is taken here",
            ));
        }
        let start = self.at + HEAD;
        if self.buffer.len() - start < head.length {
            return Ok(None);
        }
        self.payload = start..start + head.length;
        self.at = self.payload.end;
        Ok(Some(head))
    }

    /// The head of the next frame, whole or not.
    pub fn head(&self) -> Option<Head> {
        self.rest().first_chunk().map(Head::parse)
    }

    /// The payload of the frame that was found last.
    pub fn payload(&self) -> &[u8] {
        &self.buffer[self.payload.clone()]
    }

    /// A part of the payload of the frame that was found last, which is gone afterwards.
    pub fn take(&mut self, content: Range<usize>) -> Content<'_> {
        let start = self.payload.start + content.start;
        let end = self.payload.start + content.end;
        if end - start < TAKEN {
            return Content::Small(&self.buffer[start..end]);
        }
        self.at -= end;
        self.payload = 0..0;
        self.buffer.advance(start);
        Content::Large(self.buffer.split_to(end - start).freeze())
    }

    /// Gives the buffer back to the worker, when nothing is in it.
    pub fn release(&mut self) {
        if self.rest().is_empty() {
            self.at = 0;
            self.buffer.clear();
            let buffer = std::mem::take(&mut self.buffer);
            if !std::mem::take(&mut self.grown) {
                buffer::give_read(buffer);
            }
        }
    }

    /// Room for the next read: for what is missing of a frame, and for much if the last read filled all there was.
    fn make_room(&mut self) {
        if self.buffer.capacity() == 0 {
            self.buffer = buffer::take_read();
            return;
        }
        let full = self.buffer.len() == self.buffer.capacity();
        let missing = match self.head() {
            Some(head) => HEAD + head.length.min(MAX_PAYLOAD) - self.rest().len(),
            None => HEAD,
        };
        let room = self.buffer.capacity() - self.buffer.len();
        if room >= missing && room > 0 {
            return;
        }
        self.buffer.advance(self.at);
        self.at = 0;
        self.payload = 0..0;
        self.grown = true;
        self.buffer.reserve(if full {
            buffer::LARGE
        } else {
            missing.max(buffer::SMALL)
        });
    }
}

impl Drop for Input {
    fn drop(&mut self) {
        self.release();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::h2::frame::{self, DATA};

    fn frames(mut input: Input) -> Vec<(Head, Vec<u8>)> {
        let mut found = Vec::new();
        while let Some(head) = input.next_frame().unwrap() {
            let all = 0..input.payload().len();
            found.push((
                head,
                match input.take(all) {
                    Content::Small(bytes) => bytes.to_vec(),
                    Content::Large(bytes) => bytes.to_vec(),
                },
            ));
        }
        assert!(input.rest().is_empty());
        found
    }

    #[test]
    fn large_content_is_taken_out_and_small_content_stays() {
        let mut wire = Vec::new();
        for length in [0, 5, TAKEN, 3, MAX_PAYLOAD, TAKEN - 1] {
            frame::put(&mut wire, DATA, 0, 1, &vec![length as u8; length]);
        }
        let found = frames(Input::new(BytesMut::from(&wire[..])));
        let lengths: Vec<usize> = found.iter().map(|(_, content)| content.len()).collect();
        assert_eq!(lengths, [0, 5, TAKEN, 3, MAX_PAYLOAD, TAKEN - 1]);
        for (head, content) in found {
            assert_eq!(head.length, content.len());
            assert!(content.iter().all(|byte| *byte == head.length as u8));
        }
    }

    #[test]
    fn a_frame_is_found_once_it_is_whole() {
        let mut wire = Vec::new();
        frame::put(&mut wire, DATA, 0, 7, b"hello");
        for cut in 0..wire.len() {
            let mut input = Input::new(BytesMut::from(&wire[..cut]));
            assert_eq!(input.next_frame(), Ok(None), "{cut}");
        }
        let mut long = Vec::new();
        frame::put_head(&mut long, DATA, 0, 7, MAX_PAYLOAD + 1);
        assert!(Input::new(BytesMut::from(&long[..])).next_frame().is_err());
    }

    /// Frames that do not fit the buffer's end, whatever was read before.
    #[tokio::test]
    async fn every_frame_finds_room() {
        let (near, far) = tokio::net::UnixStream::pair().unwrap();
        let far = Io::Unix(far);
        let io = Io::Unix(near);
        let mut input = Input::default();
        let mut read = 0;
        let mut wire = Vec::new();
        for number in 0..200usize {
            frame::put(
                &mut wire,
                DATA,
                0,
                1,
                &vec![number as u8; number * 733 % MAX_PAYLOAD],
            );
        }
        let mut rest = &wire[..];
        while read < 200 {
            if let Ok(sent) = far.try_write(&rest[..rest.len().min(5_000)]) {
                rest = &rest[sent..];
            }
            std::future::poll_fn(|cx| input.poll_fill(&io, cx))
                .await
                .unwrap();
            while let Some(head) = input.next_frame().unwrap() {
                assert_eq!(head.length, read * 733 % MAX_PAYLOAD);
                let all = 0..head.length;
                let sound = match input.take(all) {
                    Content::Small(bytes) => bytes.iter().all(|byte| *byte == read as u8),
                    Content::Large(bytes) => bytes.iter().all(|byte| *byte == read as u8),
                };
                assert!(sound);
                read += 1;
            }
            input.release();
        }
    }
}
