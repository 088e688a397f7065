//! The task of a connection to an upstream: it owns the socket, hands out what arrives, and sends request bodies.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::BytesMut;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::side::{Client, Upstreams};
use crate::codec::h2::ended::{Broken, Ended};
use crate::codec::h2::frame::{self, Code, PREFACE};
use crate::codec::h2::incoming::Cut;
use crate::codec::h2::reading::{Arrived, Reading};
use crate::codec::h2::ready::{self, Ready, Turn};
use crate::codec::h2::sending::{Sending, Sent};
use crate::codec::h2::shared::Shared;
use crate::codec::h2::stall::SocketStall;
use crate::http::error::{Error, INTERNAL};
use crate::net::io::Io;
use crate::net::timer::Deadline;

/// Bodies that are served in one turn before other tasks get theirs.
const BODIES_A_TURN: usize = 64;
/// While so much waits to be written, nothing is read: an upstream must take what it provokes.
const MAX_WAITING: usize = 1 << 20;
/// A connection with open streams that hears nothing for this long is asked with PING whether its upstream lives:
/// the network may have lost it silently. gRPC servers close connections whose pings come more often than every five
/// minutes.
const QUIET: Duration = Duration::from_secs(310);
/// How long the answer to that PING may take.
const PONG: Duration = Duration::from_secs(20);

pub(super) struct Task {
    io: Io,
    shared: Arc<Shared<Client>>,
    room: Arc<Notify>,
    reading: Reading,
    upstreams: Upstreams,
    uploads: Vec<Upload>,
    /// Streams that are gone, and streams with bodies to be sent, in turn.
    doomed: Vec<u32>,
    queue: VecDeque<u32>,
    /// Bodies that wait for the connection's window.
    starved: Vec<u32>,
    woken: VecDeque<u32>,
    keep_alive: KeepAlive,
    stall: SocketStall,
}

/// The place of a request's body.
struct Upload {
    id: u32,
    sending: Option<Sending>,
    queued: bool,
    ready: ready::Slot,
}

impl Task {
    pub fn new(io: Io, shared: Arc<Shared<Client>>, room: Arc<Notify>, max_list: usize) -> Self {
        let mut preface = PREFACE.to_vec();
        {
            let mut state = shared.state();
            let out = state.out.buffer();
            preface.append(out);
            *out = preface;
        }
        Task {
            io,
            shared,
            room,
            reading: Reading::new(BytesMut::new(), max_list, MAX_WAITING),
            upstreams: Upstreams,
            uploads: Vec::new(),
            doomed: Vec::new(),
            queue: VecDeque::new(),
            starved: Vec::new(),
            woken: VecDeque::new(),
            keep_alive: KeepAlive::default(),
            stall: SocketStall::default(),
        }
    }

    /// One turn. Completes when the connection is at its end.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Ended>> {
        let turn = Ready::run(self, |task| &task.shared.ready, cx, Self::turn);
        if let Poll::Ready(ended) = &turn {
            if ended.is_ok() {
                self.io.say_goodbye();
            }
            let broken = match ended {
                Err(Ended::Broken(broken)) => Some(*broken),
                Err(Ended::Io(_)) | Ok(()) => None,
            };
            let mut state = self.shared.state();
            if let Some(Broken(code, why)) = broken {
                frame::put_goaway_because(state.out.buffer(), 0, code, why);
                let _as_far_as_it_goes = state.out.poll_flush(&self.io, cx);
            }
            let written = state.out.total();
            state.end(|stream| match broken {
                _ if stream.side.at >= written => Cut::Unseen,
                Some(Broken(_, why)) => Cut::Malformed(why),
                None => Cut::Lost,
            });
            drop(state);
            for key in 0..self.uploads.len() as u32 {
                self.give_back(key);
            }
            self.room.notify_waiters();
        }
        turn
    }

    fn turn(&mut self, cx: &mut Context<'_>, turn: &Turn) -> Poll<Result<(), Ended>> {
        let upstreams = &mut self.upstreams;
        match self.reading.read(cx, &self.io, &self.shared, upstreams)? {
            Arrived::Nothing => {}
            Arrived::Bytes => self.keep_alive.heard = true,
            Arrived::End => return Poll::Ready(Ok(())),
        }
        self.take_uploads();
        self.shared.ready.take(turn, &mut self.woken);
        while let Some(key) = self.woken.pop_front() {
            self.queue(key);
        }
        self.send();
        if self.end(cx)? {
            return Poll::Ready(Ok(()));
        }
        if self.reading.has_more(&self.shared, !self.queue.is_empty()) {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }

    /// Drops the bodies of streams that are gone, and takes over those of new ones.
    fn take_uploads(&mut self) {
        let mut state = self.shared.state();
        std::mem::swap(&mut self.doomed, &mut state.doomed);
        let fresh = std::mem::take(&mut state.side.uploads);
        let seen = std::mem::take(&mut state.side.seen);
        drop(state);
        for key in seen {
            self.let_go(key);
        }
        for key in std::mem::take(&mut self.doomed) {
            self.give_back(key);
        }
        for key in fresh {
            while self.uploads.len() <= key as usize {
                let key = self.uploads.len() as u32;
                self.uploads.push(Upload {
                    id: 0,
                    sending: None,
                    queued: false,
                    ready: Ready::slot(&self.shared.ready, key),
                });
            }
            let mut state = self.shared.state();
            if !state.contains(key) {
                continue;
            }
            let stream = state.at(key);
            if stream.incoming.cut().is_some() {
                // It has failed meanwhile: its body stays with its exchange.
                continue;
            }
            let upload = &mut self.uploads[key as usize];
            upload.id = stream.id;
            upload.sending = stream.side.upload.take();
            drop(state);
            self.queue(key);
        }
    }

    /// Gives a body back to its exchange, which may send it elsewhere.
    fn give_back(&mut self, key: u32) {
        let Some(upload) = self.uploads.get_mut(key as usize) else {
            return;
        };
        upload.queued = false;
        // Dropped where no lock is held, if nobody takes it.
        let Some(sending) = upload.sending.take() else {
            return;
        };
        if let Some(stream) = self.shared.state().get(key, upload.id) {
            stream.side.upload = Some(sending);
        }
    }

    /// The upstream has begun to answer: what was sent is kept no longer.
    fn let_go(&mut self, key: u32) {
        let Some(upload) = self.uploads.get_mut(key as usize) else {
            return;
        };
        if let Some(sending) = &mut upload.sending {
            sending.let_go();
            return;
        }
        let mut state = self.shared.state();
        let stream = state.get(key, upload.id).filter(|stream| stream.sent);
        let sent = stream.and_then(|stream| stream.side.upload.take());
        drop(state);
        drop(sent);
    }

    /// Puts a body in line to be sent.
    fn queue(&mut self, key: u32) {
        if let Some(upload) = self.uploads.get_mut(key as usize)
            && upload.sending.is_some()
            && !std::mem::replace(&mut upload.queued, true)
        {
            self.queue.push_back(key);
        }
    }

    /// Sends what bodies have ready, each in turn.
    fn send(&mut self) {
        let ready = self.shared.state().take_unblocked(&mut self.starved);
        for key in ready {
            self.queue(key);
        }
        for _ in 0..BODIES_A_TURN {
            let Some(key) = self.queue.pop_front() else {
                break;
            };
            let upload = &mut self.uploads[key as usize];
            if !std::mem::take(&mut upload.queued) {
                continue;
            }
            let Some(sending) = &mut upload.sending else {
                continue;
            };
            let mut cx = upload.ready.context();
            match sending.poll_send(&mut cx, &self.shared, key, upload.id) {
                Sent::All => {
                    let sent = upload.sending.take().filter(Sending::is_whole);
                    let mut state = self.shared.state();
                    match state.get(key, upload.id) {
                        Some(stream) if stream.incoming.ended => state.close(upload.id),
                        // It may be refused though all of it was sent.
                        Some(stream) if sent.is_some() => stream.side.upload = sent,
                        _ => {}
                    }
                }
                Sent::Waits | Sent::Blocked => {}
                Sent::AllBlocked => self.starved.push(key),
                Sent::Share => self.queue(key),
                Sent::Full => {
                    upload.queued = true;
                    self.queue.push_front(key);
                    break;
                }
                Sent::Gone => upload.sending = None,
                Sent::Failed(error) => self.fail(key, error),
                Sent::WrongLength => self.fail(key, wrong_length()),
            }
        }
    }

    /// A request's body has failed, and its exchange with it.
    fn fail(&mut self, key: u32, error: Error) {
        let upload = &mut self.uploads[key as usize];
        let sending = upload.sending.take();
        let mut state = self.shared.state();
        if let Some(stream) = state.get(key, upload.id) {
            stream.side.fault = Some(error);
            let id = stream.id;
            state.fail(key, Cut::Lost);
            frame::put_reset(state.out.buffer(), id, Code::CANCEL);
        }
        drop(state);
        drop(sending);
    }

    /// Writes what is gathered, and looks whether the connection is at its end.
    fn end(&mut self, cx: &mut Context<'_>) -> Result<bool, Ended> {
        let mut state = self.shared.state();
        let has_streams = state.has_streams();
        let over = (state.side.released || state.side.going_away)
            && !has_streams
            && state.side.waiting == 0;
        if over {
            frame::put_goaway(state.out.buffer(), 0, Code::NO_ERROR);
        }
        match self.keep_alive.poll(cx, has_streams) {
            Liveness::Alive => {}
            Liveness::Unsure => frame::put(state.out.buffer(), frame::PING, 0, 0, &[0; 8]),
            Liveness::Dead => return Err(silent()),
        }
        state.put_window_updates();
        if state.side.waiting > 0 {
            let limit = state.remote.max_concurrent_streams as usize;
            let free = limit.saturating_sub(state.open_streams());
            let told = if state.side.going_away {
                state.side.waiting
            } else {
                free.min(state.side.waiting)
            };
            for _ in 0..told {
                self.room.notify_one();
            }
        }
        if state.out.is_empty() || state.out.poll_flush(&self.io, cx)?.is_ready() {
            self.stall.flushed();
            return Ok(over);
        }
        let taken = state.out.total();
        match self.stall.poll(cx, taken) {
            Poll::Pending => Ok(over),
            Poll::Ready(()) => Err(silent()),
        }
    }
}

fn silent() -> Ended {
    Ended::Io(io::ErrorKind::TimedOut.into())
}

fn wrong_length() -> Error {
    Error::new(
        INTERNAL,
        "the request's body is not as long as its head says",
    )
}

/// Finds out whether a quiet upstream lives.
///
/// The clock is read once a look: an upstream is asked between one and two times [`QUIET`] after it was heard last.
#[derive(Default)]
struct KeepAlive {
    look: Deadline,
    /// Something was heard since the last look.
    heard: bool,
    asked: bool,
}

enum Liveness {
    Alive,
    /// It is to be asked.
    Unsure,
    Dead,
}

impl KeepAlive {
    fn poll(&mut self, cx: &mut Context<'_>, has_streams: bool) -> Liveness {
        if has_streams && !self.look.is_set() {
            self.heard = true;
            self.look.set(Instant::now() + QUIET);
        }
        if self.look.poll_passed(cx).is_pending() {
            return Liveness::Alive;
        }
        let heard = std::mem::take(&mut self.heard);
        let asked = std::mem::replace(&mut self.asked, has_streams && !heard);
        if asked && !heard {
            return Liveness::Dead;
        }
        if has_streams {
            self.look
                .set(Instant::now() + if heard { QUIET } else { PONG });
            let _armed = self.look.poll_passed(cx);
        }
        if self.asked {
            Liveness::Unsure
        } else {
            Liveness::Alive
        }
    }
}
