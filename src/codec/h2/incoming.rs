//! What has arrived of a message's body, and waits to be read.

use std::collections::VecDeque;
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::Frame;

use super::flow::ReceiveWindow;
use super::frame::{Code, Fault};
use super::input::Content;

/// Why a body has no end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// The peer reset the stream.
    Reset(Code),
    /// The peer broke the rules.
    Malformed(&'static str),
    /// The peer went away and has not looked at the stream.
    Unseen,
    /// The connection ended.
    Lost,
}

pub struct Incoming {
    pieces: VecDeque<Bytes>,
    /// Small content, gathered behind `pieces`.
    gathered: BytesMut,
    trailers: Option<HeaderMap>,
    pub ended: bool,
    cut: Option<Cut>,
    pub window: ReceiveWindow,
    /// Bytes that nobody has read.
    unread: u32,
    /// Nobody will read what comes.
    unwanted: bool,
    /// Bytes that are still to come, when the head told.
    pub left: Option<u64>,
    reader: Option<Waker>,
}

impl Incoming {
    pub fn new(window: u32) -> Self {
        Incoming {
            pieces: VecDeque::new(),
            gathered: BytesMut::new(),
            trailers: None,
            ended: false,
            cut: None,
            window: ReceiveWindow::new(window),
            unread: 0,
            unwanted: false,
            left: None,
            reader: None,
        }
    }

    pub fn unread(&self) -> u32 {
        self.unread
    }

    /// Whether nothing has come yet, and something may.
    pub fn is_awaited(&self) -> bool {
        self.unread == 0 && !self.ended && self.cut.is_none()
    }

    pub fn cut(&self) -> Option<Cut> {
        self.cut
    }

    /// Whether the end has come, and nothing before it is left to be read.
    pub fn is_over(&self) -> bool {
        self.ended && self.unread == 0 && self.trailers.is_none()
    }

    /// Drops what is there, and what comes; bytes that were waiting.
    pub fn disown(&mut self) -> u32 {
        self.unwanted = true;
        self.pieces.clear();
        self.gathered = BytesMut::new();
        self.trailers = None;
        std::mem::take(&mut self.unread)
    }

    /// Takes in content; says whether somebody will read it.
    ///
    /// # Errors
    /// There is more than the head said.
    pub fn push(&mut self, content: Content<'_>) -> Result<bool, Fault> {
        let length = match &content {
            Content::Small(bytes) => bytes.len(),
            Content::Large(bytes) => bytes.len(),
        };
        if let Some(left) = &mut self.left {
            *left = left
                .checked_sub(length as u64)
                .ok_or(Fault::malformed("more content than announced"))?;
        }
        if self.unwanted {
            return Ok(false);
        }
        self.unread += length as u32;
        match content {
            Content::Small(bytes) => self.gathered.extend_from_slice(bytes),
            Content::Large(bytes) => {
                if !self.gathered.is_empty() {
                    self.pieces
                        .push_back(std::mem::take(&mut self.gathered).freeze());
                }
                self.pieces.push_back(bytes);
            }
        }
        Ok(true)
    }

    /// Takes in the end.
    ///
    /// # Errors
    /// There is less content than the head said.
    pub fn end(&mut self, trailers: Option<HeaderMap>) -> Result<(), Fault> {
        if self.left.is_some_and(|left| left > 0) {
            return Err(Fault::malformed("less content than announced"));
        }
        self.trailers = trailers.filter(|_| !self.unwanted);
        self.ended = true;
        Ok(())
    }

    /// Takes in that there is no end.
    pub fn fail(&mut self, cut: Cut) {
        if !self.ended {
            self.cut.get_or_insert(cut);
        }
        self.wake();
    }

    /// Wakes whoever reads.
    pub fn wake(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }

    /// The whole body in one piece, if its end has come and is not behind trailers.
    pub fn take_whole(&mut self) -> Option<Bytes> {
        if !self.ended || self.trailers.is_some() {
            return None;
        }
        self.unread = 0;
        if self.pieces.is_empty() {
            return Some(std::mem::take(&mut self.gathered).freeze());
        }
        if self.pieces.len() == 1 && self.gathered.is_empty() {
            return self.pieces.pop_front();
        }
        self.pieces
            .push_back(std::mem::take(&mut self.gathered).freeze());
        let whole: Vec<u8> = self.pieces.drain(..).flatten().collect();
        Some(whole.into())
    }

    /// The next of it; `None` is its end.
    pub fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Frame<Bytes>>, Cut>> {
        if let Some(piece) = self.pieces.pop_front() {
            self.unread -= piece.len() as u32;
            return Poll::Ready(Ok(Some(Frame::data(piece))));
        }
        if !self.gathered.is_empty() {
            let piece = std::mem::take(&mut self.gathered).freeze();
            self.unread -= piece.len() as u32;
            return Poll::Ready(Ok(Some(Frame::data(piece))));
        }
        if let Some(trailers) = self.trailers.take() {
            return Poll::Ready(Ok(Some(Frame::trailers(trailers))));
        }
        if self.ended {
            return Poll::Ready(Ok(None));
        }
        if let Some(cut) = self.cut {
            return Poll::Ready(Err(cut));
        }
        self.listen(cx);
        Poll::Pending
    }

    /// Has this task woken when there is news.
    pub fn listen(&mut self, cx: &Context<'_>) {
        match &mut self.reader {
            Some(reader) => reader.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
    }
}
