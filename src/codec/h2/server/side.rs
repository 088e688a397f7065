//! What a server keeps with its streams, and how it takes what callers send.

use std::collections::VecDeque;

use super::request::{self, Read};
use crate::codec::h2::ended::Broken;
use crate::codec::h2::fields;
use crate::codec::h2::frame::{self, Code, Fault, PREFACE};
use crate::codec::h2::hpack::decode::Block;
use crate::codec::h2::incoming::Cut;
use crate::codec::h2::input::Input;
use crate::codec::h2::reading::Role;
use crate::codec::h2::shared::{Side, State};
use crate::http::error::{BAD_REQUEST, Error};

/// Streams of which we remember that we closed them first.
const REMEMBERED: usize = 256;

const NO_PREFACE: &str =
    "HTTP/2 is spoken here, and what came does not begin as a connection of it does";

/// The server's side of [`Side`].
pub struct Server;

impl Side for Server {
    type Stream = Answering;
    type Connection = ();
}

/// What is known of a stream beside its body.
pub struct Answering {
    /// The answer has begun.
    pub answered: bool,
    /// The caller waits for `100 Continue`.
    pub awaits_continue: bool,
}

/// A request whose head is here.
pub(super) struct Fresh {
    pub key: u32,
    pub id: u32,
    /// It ends with its head.
    pub ends: bool,
    pub read: Read,
}

/// What callers send, on its way to the connection's task.
pub(super) struct Callers {
    max_streams: usize,
    max_headers: usize,
    /// The highest stream that was begun.
    pub last: u32,
    pub fresh: Vec<Fresh>,
    /// Heads that break the rules of their form, whose streams are reset.
    pub malformed: Vec<Error>,
    /// Streams that we closed before the caller had ended them.
    closed_first: VecDeque<u32>,
    /// The preface has come.
    pub greeted: bool,
    /// Streams are taken no more.
    pub told_to_go: bool,
    pub ponged: bool,
}

impl Callers {
    pub fn new(max_streams: u32, max_headers: usize) -> Self {
        Callers {
            max_streams: max_streams as usize,
            max_headers,
            last: 0,
            fresh: Vec::new(),
            malformed: Vec::new(),
            closed_first: VecDeque::new(),
            greeted: false,
            told_to_go: false,
            ponged: false,
        }
    }

    /// We close a stream before the caller has ended it: what it has sent by now is no mistake of its.
    pub fn closed_first(&mut self, stream: u32) {
        if self.closed_first.len() == REMEMBERED {
            self.closed_first.pop_front();
        }
        self.closed_first.push_back(stream);
    }

    fn noted(&mut self, fault: Fault, block: &Block) -> Fault {
        let error = Error::new(BAD_REQUEST, fault.why());
        self.malformed.push(error.of_head(request::outline(block)));
        fault
    }
}

impl Role for Callers {
    type Side = Server;

    fn greet(&mut self, input: &mut Input) -> Result<bool, Broken> {
        if !self.greeted {
            let rest = input.rest();
            if !PREFACE.starts_with(&rest[..rest.len().min(PREFACE.len())]) {
                return Err(Broken(Code::PROTOCOL_ERROR, NO_PREFACE));
            }
            if rest.len() < PREFACE.len() {
                return Ok(false);
            }
            input.skip(PREFACE.len());
            self.greeted = true;
        }
        Ok(true)
    }

    fn headers(
        &mut self,
        state: &mut State<Server>,
        stream: u32,
        ends: bool,
        block: &mut Block,
    ) -> Result<(), Fault> {
        if let Some(key) = state.find(stream) {
            return trailers(state, key, ends, block);
        }
        if stream.is_multiple_of(2) {
            return Err(Fault::protocol("a stream with the number of a server's"));
        }
        if stream <= self.last {
            return self.unknown(stream, frame::HEADERS);
        }
        self.last = stream;
        if self.told_to_go {
            // RFC 9113, section 6.8: it will be sent again elsewhere.
            return Ok(());
        }
        if state.open_streams() >= self.max_streams {
            return Err(Fault::Stream(
                Code::REFUSED_STREAM,
                "more streams at once than allowed",
            ));
        }
        let read = match request::read(block, self.max_headers) {
            Ok(read) => read,
            Err(fault) => return Err(self.noted(fault, block)),
        };
        if ends && read.length.is_some_and(|length| length > 0) {
            let fault = Fault::malformed("less content than announced");
            return Err(self.noted(fault, block));
        }
        let key = state.open(
            stream,
            Answering {
                answered: false,
                awaits_continue: read.expects_continue && !ends,
            },
        );
        let incoming = &mut state.at(key).incoming;
        incoming.ended = ends;
        incoming.left = read.length;
        self.fresh.push(Fresh {
            key,
            id: stream,
            ends,
            read,
        });
        Ok(())
    }

    fn unknown(&self, stream: u32, kind: u8) -> Result<(), Fault> {
        if stream > self.last || stream.is_multiple_of(2) {
            return Err(Fault::protocol("a frame of a stream that was never begun"));
        }
        let late = matches!(kind, frame::WINDOW_UPDATE | frame::RST_STREAM);
        if late || self.closed_first.contains(&stream) {
            Ok(())
        } else {
            Err(Fault::Connection(
                Code::STREAM_CLOSED,
                "a frame of a stream that has ended",
            ))
        }
    }

    fn takes_back_work(&self, side: &Answering) -> bool {
        // Whoever has waited for the answer gives up what is left of it.
        !side.answered
    }

    fn takes_content(&self, _: &Answering) -> bool {
        true
    }

    fn cut(&mut self, state: &mut State<Server>, key: u32, _: Cut) {
        // Whatever is under way for it ends with it.
        state.remove(key);
    }

    fn reset(&mut self, stream: u32) {
        self.closed_first(stream);
    }

    fn received(&mut self, _: &mut State<Server>, _: u32) {}

    fn goaway(&mut self, _: &mut State<Server>, _: u32, _: Code) {
        // A caller says that it takes no pushes, of which there are none. It closes when it is done.
    }

    fn pong(&mut self) {
        self.ponged = true;
    }
}

fn trailers(state: &mut State<Server>, key: u32, ends: bool, block: &Block) -> Result<(), Fault> {
    let incoming = &mut state.at(key).incoming;
    if incoming.ended {
        return Err(Fault::Stream(
            Code::STREAM_CLOSED,
            "a head behind the end of its stream",
        ));
    }
    if !ends {
        return Err(Fault::malformed("trailers that do not end their stream"));
    }
    incoming.end(Some(fields::trailers(block)?))?;
    incoming.wake();
    Ok(())
}
