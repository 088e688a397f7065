//! Frames as they arrive, and the rules that are the same for both sides.

use std::ops::Range;

use bytes::BytesMut;

use super::budget::Budget;
use super::ended::Broken;
use super::flow::GrantedAgain;
use super::frame::{self, ACK, Code, END_STREAM, Fault, Head};
use super::hpack::decode::{Block, Decoder};
use super::incoming::Cut;
use super::input::Input;
use super::shared::{Side, State};
use crate::http::headers::Headers;

mod blocks;
mod control;
mod turn;

use blocks::Unfinished;
pub use blocks::{FAR_TOO_LARGE, UNREADABLE};
pub use turn::Arrived;

/// Frames that cost us something and bring nothing (pings, settings, priorities, empty frames, windows that grow):
/// in a row, and each second. Whoever sends messages may send some with each.
const IDLE_TALK: u32 = 10_000;
const IDLE_TALK_PER_SECOND: u32 = 1_000;
const IDLE_TALK_PER_MESSAGE: u32 = 4;
/// Resets by which the peer takes back work (CVE-2023-44487), as nghttp2 and Node.js have them.
const RESETS: u32 = 1_000;
const RESETS_PER_SECOND: u32 = 33;
/// Resets that the peer provokes from us (CVE-2025-8671).
const PROVOKED: u32 = 256;
const PROVOKED_PER_SECOND: u32 = 10;
/// Frames that are taken in one turn before others get theirs.
const FRAMES_A_TURN: usize = 512;

/// What differs between the sides.
pub trait Role {
    type Side: Side;

    /// Looks at what stands before the frames; says whether they may begin.
    fn greet(&mut self, input: &mut Input) -> Result<bool, Broken>;

    /// A header block.
    fn headers(
        &mut self,
        state: &mut State<Self::Side>,
        stream: u32,
        ends: bool,
        block: &mut Block,
    ) -> Result<(), Fault>;

    /// A frame about a stream that is not open. It may be late, or about one that never was.
    fn unknown(&self, stream: u32, kind: u8) -> Result<(), Fault>;

    /// Whether a peer that resets a stream takes back work that it has just caused (CVE-2023-44487).
    fn takes_back_work(&self, side: &<Self::Side as Side>::Stream) -> bool;

    /// Whether content may come on a stream now.
    fn takes_content(&self, side: &<Self::Side as Side>::Stream) -> bool;

    /// A stream ends before its time.
    fn cut(&mut self, state: &mut State<Self::Side>, key: u32, cut: Cut);

    /// A stream, open or not, was reset by us: what the peer has sent for it already is still to come.
    fn reset(&mut self, stream: u32);

    /// A stream was received to its end.
    fn received(&mut self, state: &mut State<Self::Side>, key: u32);

    fn goaway(&mut self, state: &mut State<Self::Side>, last_stream: u32, code: Code);

    fn pong(&mut self);
}

/// The longest list of fields, whatever is asked for: its lines, and those of a cookie once more where its crumbs are
/// joined, are no more than [`Headers`] can hold.
const MAX_LIST: usize = Headers::MOST_RECEIVED / 2;

/// What only the connection's task needs of the incoming side.
pub struct Reading {
    input: Input,
    /// Frames are left from the last turn.
    more: bool,
    /// The socket may hold more.
    unread: bool,
    max_waiting: usize,
    decoder: Decoder,
    block: Block,
    /// Bytes of a list of fields.
    max_list: usize,
    unfinished: Option<Unfinished>,
    /// The first frame has come, which must be SETTINGS.
    begun: bool,
    idle_talk: Budget,
    granted: GrantedAgain,
    resets: Budget,
    provoked: Budget,
}

impl Reading {
    /// While more than `max_waiting` bytes wait to be written, nothing is read: a peer must take what it provokes.
    pub fn new(early: BytesMut, max_list: usize, max_waiting: usize) -> Self {
        Reading {
            more: !early.is_empty(),
            unread: false,
            max_waiting,
            input: Input::new(early),
            decoder: Decoder::default(),
            block: Block::default(),
            max_list: max_list.min(MAX_LIST),
            unfinished: None,
            begun: false,
            idle_talk: Budget::new(IDLE_TALK, IDLE_TALK_PER_SECOND),
            granted: GrantedAgain::default(),
            resets: Budget::new(RESETS, RESETS_PER_SECOND),
            provoked: Budget::new(PROVOKED, PROVOKED_PER_SECOND),
        }
    }

    /// Whether a head has begun and its end is awaited.
    pub fn awaits_head(&self) -> bool {
        if self.unfinished.is_some() {
            return true;
        }
        match self.input.head() {
            Some(head) => head.kind != frame::DATA,
            None => !self.input.rest().is_empty(),
        }
    }

    /// Takes in the frames that are there; says whether there may be more.
    ///
    /// # Errors
    /// Why the connection must end.
    fn handle<R: Role>(
        &mut self,
        state: &mut State<R::Side>,
        role: &mut R,
    ) -> Result<bool, Broken> {
        let sent = std::mem::take(&mut state.frames_sent);
        self.idle_talk
            .earn(sent.saturating_mul(IDLE_TALK_PER_MESSAGE));
        for _ in 0..FRAMES_A_TURN {
            let stream = match self.input.next_frame() {
                Ok(Some(head)) => match self.frame(head, state, role) {
                    Ok(()) => continue,
                    Err(fault) => (fault, head.stream),
                },
                Ok(None) => return Ok(false),
                Err(fault) => (fault, 0),
            };
            match stream {
                (Fault::Connection(code, why), _) => return Err(Broken(code, why)),
                (Fault::Stream(code, why), stream) => {
                    self.reset(state, role, stream, code, why)?;
                }
            }
        }
        Ok(true)
    }

    fn reset<R: Role>(
        &mut self,
        state: &mut State<R::Side>,
        role: &mut R,
        stream: u32,
        code: Code,
        why: &'static str,
    ) -> Result<(), Broken> {
        if !self.provoked.spend() {
            return Err(CALM);
        }
        frame::put_reset(state.out.buffer(), stream, code);
        role.reset(stream);
        if let Some(key) = state.find(stream) {
            role.cut(state, key, Cut::Malformed(why));
        }
        Ok(())
    }

    fn frame<R: Role>(
        &mut self,
        head: Head,
        state: &mut State<R::Side>,
        role: &mut R,
    ) -> Result<(), Fault> {
        if !std::mem::replace(&mut self.begun, true)
            && (head.kind != frame::SETTINGS || head.has(ACK))
        {
            return Err(Fault::protocol("a connection that begins without SETTINGS"));
        }
        if self.unfinished.is_some() && head.kind != frame::CONTINUATION {
            return Err(Fault::protocol("a frame within a header block"));
        }
        match head.kind {
            frame::DATA => self.data(head, state, role),
            frame::HEADERS => self.headers(head, state, role),
            frame::CONTINUATION => self.continuation(head, state, role),
            frame::PRIORITY => self.priority(head),
            frame::RST_STREAM => self.rst_stream(head, state, role),
            frame::SETTINGS => self.settings(head, state),
            frame::PING => self.ping(head, state, role),
            frame::GOAWAY => self.goaway(head, state, role),
            frame::WINDOW_UPDATE => self.window_update(head, state, role),
            frame::PUSH_PROMISE => Err(Fault::protocol("a push, which nobody may send")),
            // RFC 9113, section 5.5: what is unknown is ignored.
            _ => self.talk(),
        }
    }

    /// Counts a frame that brings nothing.
    fn talk(&mut self) -> Result<(), Fault> {
        if self.idle_talk.spend() {
            Ok(())
        } else {
            Err(Fault::Connection(CALM.0, CALM.1))
        }
    }

    fn data<R: Role>(
        &mut self,
        head: Head,
        state: &mut State<R::Side>,
        role: &mut R,
    ) -> Result<(), Fault> {
        if head.stream == 0 {
            return Err(Fault::protocol("DATA of no stream"));
        }
        let content = frame::unpadded(head, self.input.payload())?;
        let length = head.length as u32;
        if !state.receive_window.receive(length) {
            return Err(WINDOW_EXCEEDED);
        }
        if content.is_empty() && !head.has(END_STREAM) {
            self.talk()?;
        } else {
            self.idle_talk.earn(IDLE_TALK_PER_MESSAGE);
        }
        let padding = length - content.len() as u32;
        let taken = self.content(head, content, state, role);
        // What nobody will read is granted again at once.
        state.receive_window.read(match taken {
            Ok(true) => padding,
            Ok(false) | Err(_) => length,
        });
        taken.map(|_| ())
    }

    /// Takes in content; says whether it is kept to be read.
    fn content<R: Role>(
        &mut self,
        head: Head,
        content: Range<usize>,
        state: &mut State<R::Side>,
        role: &mut R,
    ) -> Result<bool, Fault> {
        let Some(key) = state.find(head.stream) else {
            role.unknown(head.stream, frame::DATA)?;
            return Ok(false);
        };
        let stream = state.at(key);
        let incoming = &mut stream.incoming;
        if incoming.ended {
            return Err(ENDED);
        }
        if !incoming.window.receive(head.length as u32) {
            return Err(Fault::Stream(
                Code::FLOW_CONTROL_ERROR,
                "more content than the window allows",
            ));
        }
        if !role.takes_content(&stream.side) {
            return Err(Fault::malformed("content before its head"));
        }
        let padding = head.length - content.len();
        if padding > 0 {
            incoming.window.read(padding as u32);
        }
        let mut kept = true;
        if !content.is_empty() {
            kept = incoming.push(self.input.take(content))?;
        }
        if head.has(END_STREAM) {
            incoming.end(None)?;
            incoming.wake();
            role.received(state, key);
        } else {
            incoming.wake();
        }
        Ok(kept)
    }
}

const CALM: Broken = Broken(
    Code::ENHANCE_YOUR_CALM,
    "too many frames that cost more than they bring",
);
const WINDOW_EXCEEDED: Fault = Fault::Connection(
    Code::FLOW_CONTROL_ERROR,
    "more content than the connection's window allows",
);
const ENDED: Fault = Fault::Stream(Code::STREAM_CLOSED, "content behind its end");
