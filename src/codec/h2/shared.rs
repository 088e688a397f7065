//! What the task of a connection shares with the bodies and exchanges of its streams, behind a lock that nobody
//! contends for: they all run on one worker.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::HeaderMap;
use slab::Slab;

use super::fields;
use super::flow::{self, ReceiveWindow, SendWindow};
use super::frame::{self, Code, DATA, END_STREAM};
use super::hpack::encode::Encoder;
use super::incoming::{Cut, Incoming};
use super::output::Output;
use super::ready::Ready;
use super::settings::{Local, Remote};

/// What one side keeps with each stream, and with the connection.
pub trait Side: Send + 'static {
    type Stream: Send;
    type Connection: Send + Default;
}

pub struct Shared<S: Side> {
    state: Mutex<State<S>>,
    pub ready: Arc<Ready>,
}

impl<S: Side> Shared<S> {
    pub fn new(local: &Local) -> Self {
        Shared {
            state: Mutex::new(State::new(local)),
            ready: Arc::default(),
        }
    }

    pub fn state(&self) -> MutexGuard<'_, State<S>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One stream, found by its key and known by its identifier: keys are used again.
pub struct Stream<S: Side> {
    pub id: u32,
    pub incoming: Incoming,
    /// What we may send on it.
    pub window: SendWindow,
    /// We have sent its end.
    pub sent: bool,
    pub side: S::Stream,
}

pub struct State<S: Side> {
    pub out: Output,
    pub encoder: Encoder,
    pub remote: Remote,
    /// The peer has told its settings.
    pub settled: bool,
    pub send_window: SendWindow,
    pub receive_window: ReceiveWindow,
    /// The window of each stream.
    stream_window: u32,
    streams: Slab<Stream<S>>,
    /// Identifiers and keys of streams that are open, in order.
    open: Vec<(u32, u32)>,
    /// Frames of content that were sent since somebody looked.
    pub frames_sent: u32,
    /// Bytes of content that were ever sent.
    pub content_sent: u64,
    /// Keys of streams whose window to send has grown.
    pub unblocked: Vec<u32>,
    /// Keys of streams whose peer is to be granted more.
    due: Vec<u32>,
    /// Keys of streams that are gone: what the task holds for them is to be dropped.
    pub doomed: Vec<u32>,
    /// The connection's task has ended.
    pub over: bool,
    pub side: S::Connection,
}

impl<S: Side> State<S> {
    fn new(local: &Local) -> Self {
        let mut out = Output::default();
        local.put(out.buffer());
        State {
            out,
            encoder: Encoder::default(),
            remote: Remote::default(),
            settled: false,
            send_window: SendWindow::new(flow::INITIAL),
            receive_window: ReceiveWindow::new(local.connection_window),
            stream_window: local.initial_window,
            streams: Slab::new(),
            open: Vec::new(),
            frames_sent: 0,
            content_sent: 0,
            unblocked: Vec::new(),
            due: Vec::new(),
            doomed: Vec::new(),
            over: false,
            side: S::Connection::default(),
        }
    }

    /// Adds a stream, whose identifier is above all others; its key.
    pub fn open(&mut self, id: u32, side: S::Stream) -> u32 {
        let key = self.streams.insert(Stream {
            id,
            incoming: Incoming::new(self.stream_window),
            window: SendWindow::new(self.remote.initial_window),
            sent: false,
            side,
        }) as u32;
        self.open.push((id, key));
        key
    }

    /// The key of an open stream.
    pub fn find(&self, id: u32) -> Option<u32> {
        // Most frames are about one of the newest streams, or the only one.
        match self.open.last() {
            Some((last, key)) if *last == id => Some(*key),
            _ => {
                let place = self.open.binary_search_by_key(&id, |(id, _)| *id).ok()?;
                Some(self.open[place].1)
            }
        }
    }

    pub fn get(&mut self, key: u32, id: u32) -> Option<&mut Stream<S>> {
        self.streams
            .get_mut(key as usize)
            .filter(|stream| stream.id == id)
    }

    pub fn contains(&self, key: u32) -> bool {
        self.streams.contains(key as usize)
    }

    /// A stream of which it is known that it is there.
    pub fn at(&mut self, key: u32) -> &mut Stream<S> {
        &mut self.streams[key as usize]
    }

    /// Streams that are open.
    pub fn open_streams(&self) -> usize {
        self.open.len()
    }

    /// All streams that are open, by identifier and key.
    pub fn opened(&self) -> &[(u32, u32)] {
        &self.open
    }

    /// Whether any stream is there, if only to be read to its end.
    pub fn has_streams(&self) -> bool {
        !self.streams.is_empty()
    }

    /// The stream is closed for both sides: frames about it are late from here on.
    pub fn close(&mut self, id: u32) {
        if let Ok(place) = self.open.binary_search_by_key(&id, |(id, _)| *id) {
            self.open.remove(place);
        }
    }

    /// Forgets a stream, and grants the connection what nobody will read.
    pub fn remove(&mut self, key: u32) -> Option<Stream<S>> {
        let mut stream = self.streams.try_remove(key as usize)?;
        self.close(stream.id);
        stream.incoming.wake();
        self.receive_window.read(stream.incoming.unread());
        self.doomed.push(key);
        Some(stream)
    }

    /// Resets a stream and forgets it.
    pub fn reset(&mut self, key: u32, id: u32, code: Code) {
        if self.get(key, id).is_some() {
            self.remove(key);
            frame::put_reset(self.out.buffer(), id, code);
        }
    }

    /// Content of a stream was read; says whether the peer is to be told.
    pub fn read(&mut self, key: u32, length: u32) -> bool {
        let stream = &mut self.streams[key as usize];
        let mut due = self.receive_window.read(length);
        let was_due = stream.incoming.window.is_due();
        if stream.incoming.window.read(length) && !was_due && !stream.incoming.ended {
            self.due.push(key);
            due = true;
        }
        due
    }

    /// The whole content of a stream, when it is here and has no trailers.
    pub fn take_whole(&mut self, key: u32) -> Option<Bytes> {
        let whole = self.streams[key as usize].incoming.take_whole()?;
        self.receive_window.read(whole.len() as u32);
        Some(whole)
    }

    /// Nobody will read what comes on a stream.
    pub fn disown(&mut self, key: u32, id: u32) {
        if let Some(stream) = self.get(key, id) {
            let unread = stream.incoming.disown();
            self.receive_window.read(unread);
        }
    }

    /// Grants the peer what was read.
    pub fn put_window_updates(&mut self) {
        for key in self.due.drain(..) {
            if let Some(stream) = self.streams.get_mut(key as usize)
                && stream.incoming.window.is_due()
                && !stream.incoming.ended
            {
                let increment = stream.incoming.window.grant();
                frame::put_window_update(self.out.buffer(), stream.id, increment);
            }
        }
        if self.receive_window.is_due() {
            let increment = self.receive_window.grant();
            frame::put_window_update(self.out.buffer(), 0, increment);
        }
    }

    /// What may be sent on a stream now; 0 while one of the windows is closed.
    pub fn may_send(&self, key: u32) -> usize {
        let stream = &self.streams[key as usize];
        stream
            .window
            .available()
            .min(self.send_window.available())
            .min(self.remote.max_payload)
    }

    /// Writes one frame of `content`, as far as the windows allow; with `last`, all of it ends the stream.
    pub fn put_data(&mut self, key: u32, content: &mut Bytes, last: bool) -> usize {
        let length = content.len().min(self.may_send(key));
        if length == 0 && !content.is_empty() {
            return 0;
        }
        let piece = if length == content.len() {
            std::mem::take(content)
        } else {
            content.split_to(length)
        };
        let ends = last && content.is_empty();
        let stream = &mut self.streams[key as usize];
        stream.window.consume(length);
        stream.sent |= ends;
        let id = stream.id;
        self.count_content(length);
        let flags = if ends { END_STREAM } else { 0 };
        frame::put_head(self.out.buffer(), DATA, flags, id, length);
        self.out.push(piece);
        length
    }

    /// Writes content that is here whole, and the end of the stream, if one frame takes it and the windows allow.
    pub fn put_whole(&mut self, key: u32, content: &[u8]) -> bool {
        if content.len() > self.may_send(key) {
            return false;
        }
        let stream = &mut self.streams[key as usize];
        stream.window.consume(content.len());
        stream.sent = true;
        let id = stream.id;
        self.count_content(content.len());
        let out = self.out.buffer();
        frame::put(out, DATA, END_STREAM, id, content);
        true
    }

    /// Counts one frame of content.
    fn count_content(&mut self, length: usize) {
        self.send_window.consume(length);
        self.frames_sent = self.frames_sent.saturating_add(1);
        self.content_sent += length as u64;
    }

    pub fn put_trailers(&mut self, key: u32, trailers: &HeaderMap) {
        let stream = &mut self.streams[key as usize];
        stream.sent = true;
        let max = self.remote.max_payload;
        let encoder = &mut self.encoder;
        frame::put_headers(self.out.buffer(), stream.id, true, max, |out| {
            encoder.begin(out);
            fields::put_trailers(encoder, out, trailers);
        });
    }

    /// A stream cannot go on, and will be read to what has arrived of it.
    pub fn fail(&mut self, key: u32, cut: Cut) {
        let stream = &mut self.streams[key as usize];
        let id = stream.id;
        stream.sent = true;
        stream.incoming.fail(cut);
        self.doomed.push(key);
        self.close(id);
    }

    /// The connection has ended, and all its streams with it.
    pub fn end(&mut self, cut: impl Fn(&Stream<S>) -> Cut) {
        self.over = true;
        self.open.clear();
        for (_, stream) in &mut self.streams {
            let cut = cut(stream);
            stream.incoming.fail(cut);
        }
    }

    /// Streams that may send again; those of `starved` once the connection's window is open.
    pub fn take_unblocked(&mut self, starved: &mut Vec<u32>) -> Vec<u32> {
        let mut keys = std::mem::take(&mut self.unblocked);
        if self.send_window.available() > 0 {
            keys.append(starved);
        }
        keys
    }

    /// Gives back what a connection without streams need not keep.
    pub fn trim(&mut self) {
        if self.streams.is_empty() {
            self.streams = Slab::new();
            self.open = Vec::new();
        }
    }

    /// Changes what may be sent on every stream, as the peer's setting did; says whether each is still a window.
    pub fn change_windows(&mut self, by: i64) -> bool {
        let mut sound = true;
        for (_, key) in &self.open {
            let stream = &mut self.streams[*key as usize];
            sound &= stream.window.change(by);
            self.unblocked.push(*key);
        }
        sound
    }
}
