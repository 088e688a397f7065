//! A pipe of the kernel's, through which bytes pass from one socket to another without a copy (splice(2)).
//!
//! Each worker keeps a few for the next long body. One is in use only while bytes lie in it, so a slow sender
//! holds none, and a slow reader one with no more in it than a buffer would have.

use std::cell::RefCell;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::pipe::{
    PipeFlags, SpliceFlags, fcntl_getpipe_size, fcntl_setpipe_size, pipe_with, splice,
};

use crate::net::spare::LowWaterMark;
use crate::process::descriptors;

/// Bytes that one pipe takes: with four times the kernel's default, a body of 1 MiB costs two thirds.
const SIZE: usize = 256 << 10;
/// The kernel gives a user who has many pipes small ones; below this, copying is faster.
const LEAST: usize = 64 << 10;
/// Pipes that one worker has at most: the kernel counts their pages against its user. Whoever finds none copies.
const LIVE: usize = 64;
/// Pipes that a worker keeps for the next body.
const KEPT: usize = 16;

/// Bytes on their way from one socket to another. It has a pipe only while they are there.
#[derive(Debug, Default)]
pub struct Pipe {
    ends: Option<Ends>,
    held: u64,
}

#[derive(Debug)]
struct Ends {
    reading: OwnedFd,
    writing: OwnedFd,
}

#[derive(Default)]
struct Spare {
    pipes: Vec<Ends>,
    /// Pipes that exist, those in use among them.
    live: usize,
    low_water: LowWaterMark,
}

thread_local! {
    static SPARE: RefCell<Spare> = RefCell::default();
}

impl Pipe {
    /// Bytes that lie in it.
    pub fn held(&self) -> u64 {
        self.held
    }

    /// Takes up to `most` bytes that wait in `socket`; 0 is the end of its stream. To be called on an empty pipe.
    ///
    /// # Errors
    /// `WouldBlock`: nothing waits. `OutOfMemory`: this worker has no pipe to spare. Else what is wrong with the socket.
    pub fn fill(&mut self, socket: impl AsFd, most: u64) -> io::Result<u64> {
        debug_assert_eq!(
            self.held, 0,
            "whether the pipe or the socket would block cannot be told apart"
        );
        self.fill_by(|pipe, room| splice(socket, None, pipe, None, most.min(room) as usize, FLAGS))
    }

    /// Takes up to `most` bytes of `file`, from `start` on; 0 is its end. To be called on an empty pipe. What lies in it are
    /// the file's own pages: a change in place still changes them. It waits for the disk where they are not in memory.
    ///
    /// # Errors
    /// `OutOfMemory`: this worker has no pipe to spare. Else what is wrong with the file.
    pub fn fill_from_file(&mut self, file: impl AsFd, start: u64, most: u64) -> io::Result<u64> {
        let mut start = start;
        self.fill_by(|pipe, room| {
            let most = most.min(room) as usize;
            splice(file, Some(&mut start), pipe, None, most, FLAGS)
        })
    }

    /// Has `splice` put bytes into a pipe that has room for so many.
    fn fill_by(
        &mut self,
        splice: impl FnOnce(&OwnedFd, u64) -> rustix::io::Result<usize>,
    ) -> io::Result<u64> {
        let ends = match self.ends.take().or_else(take) {
            Some(ends) => self.ends.insert(ends),
            None => return Err(io::ErrorKind::OutOfMemory.into()),
        };
        match splice(&ends.writing, SIZE as u64) {
            Ok(count @ 1..) => {
                self.held = count as u64;
                Ok(self.held)
            }
            none => {
                self.release();
                none.map(|_| 0).map_err(io::Error::from)
            }
        }
    }

    /// Hands on to `socket` what it takes.
    ///
    /// # Errors
    /// `WouldBlock`: it takes nothing now. Else what is wrong with the socket.
    pub fn drain(&mut self, socket: impl AsFd) -> io::Result<u64> {
        let Some(ends) = &self.ends else {
            return Ok(0);
        };
        let moved = splice(&ends.reading, None, socket, None, self.held as usize, FLAGS)? as u64;
        self.held -= moved;
        if self.held == 0 {
            self.release();
        }
        Ok(moved)
    }

    /// Gives the empty pipe back to the worker.
    fn release(&mut self) {
        if let Some(ends) = self.ends.take() {
            give(ends);
        }
    }
}

const FLAGS: SpliceFlags = SpliceFlags::NONBLOCK.union(SpliceFlags::MOVE);

impl Drop for Pipe {
    fn drop(&mut self) {
        // With bytes of a body that was cut in it, a pipe is of no use to another.
        if self.held > 0 && self.ends.take().is_some() {
            with_spare(|spare| spare.live = spare.live.saturating_sub(1));
        }
        self.release();
    }
}

fn take() -> Option<Ends> {
    with_spare(|spare| {
        if let Some(ends) = spare.pipes.pop() {
            spare.low_water.left(spare.pipes.len());
            return Some(ends);
        }
        if spare.live >= LIVE {
            return None;
        }
        let ends = make().ok()?;
        spare.live += 1;
        Some(ends)
    })
    .flatten()
}

fn make() -> io::Result<Ends> {
    let (reading, writing) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
    if !descriptors::is_for_upstreams(&writing) {
        return Err(descriptors::lack());
    }
    if fcntl_setpipe_size(&writing, SIZE).is_err() && fcntl_getpipe_size(&writing)? < LEAST {
        return Err(io::ErrorKind::OutOfMemory.into());
    }
    Ok(Ends { reading, writing })
}

fn give(ends: Ends) {
    with_spare(|spare| {
        if spare.pipes.len() < KEPT {
            spare.pipes.push(ends)
        } else {
            spare.live = spare.live.saturating_sub(1)
        }
    });
}

/// Closes what this worker had no use for since the last time.
pub fn trim() {
    with_spare(|spare| {
        let unused = spare.low_water.unused(spare.pipes.len());
        spare.pipes.truncate(spare.pipes.len() - unused);
        spare.live = spare.live.saturating_sub(unused);
    });
}

/// Does `with` this thread's spare pipes; nothing when the thread is ending and has none any more.
fn with_spare<T>(with: impl FnOnce(&mut Spare) -> T) -> Option<T> {
    SPARE.try_with(|spare| with(&mut spare.borrow_mut())).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{ErrorKind, Read, Write};
    use std::net::{TcpListener, TcpStream};

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let far = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let near = listener.accept().unwrap().0;
        near.set_nonblocking(true).unwrap();
        (near, far)
    }

    /// Fills `pipe` once there is something to fill it with.
    fn fill(pipe: &mut Pipe, from: &TcpStream, most: u64) -> io::Result<u64> {
        loop {
            match pipe.fill(from, most) {
                Err(e) if e.kind() == ErrorKind::WouldBlock => std::thread::yield_now(),
                filled => return filled,
            }
        }
    }

    fn counts() -> (usize, usize) {
        with_spare(|spare| (spare.live, spare.pipes.len())).unwrap()
    }

    #[test]
    fn bytes_pass_in_order_and_no_more_than_asked_for() {
        let (from, mut sender) = pair();
        let (to, mut receiver) = pair();
        sender.write_all(b"abcdef").unwrap();
        let mut pipe = Pipe::default();
        let mut moved = 0;
        while moved < 4 {
            moved += fill(&mut pipe, &from, 4 - moved).unwrap();
            while pipe.held() > 0 {
                pipe.drain(&to).unwrap();
            }
        }
        let mut read = [0; 4];
        receiver.read_exact(&mut read).unwrap();
        assert_eq!(&read, b"abcd");
        drop(sender);
        assert_eq!(fill(&mut pipe, &from, 10).unwrap(), 2);
        pipe.drain(&to).unwrap();
        assert_eq!(fill(&mut pipe, &from, 10).unwrap(), 0, "the end");
    }

    #[test]
    fn a_file_is_taken_from_where_it_is_wanted() {
        let (to, mut receiver) = pair();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"0123456789").unwrap();
        let mut pipe = Pipe::default();
        for (start, most, expected) in [(2, 3, &b"234"[..]), (8, 10, b"89")] {
            let moved = pipe.fill_from_file(&file, start, most).unwrap();
            assert_eq!(moved, expected.len() as u64);
            pipe.drain(&to).unwrap();
            let mut read = vec![0; expected.len()];
            receiver.read_exact(&mut read).unwrap();
            assert_eq!(read, expected);
        }
        assert_eq!(pipe.fill_from_file(&file, 10, 10).unwrap(), 0, "the end");
        assert_eq!(counts(), (1, 1));
    }

    #[test]
    fn a_pipe_is_held_only_while_bytes_are_in_it() {
        let (from, mut sender) = pair();
        let (to, _receiver) = pair();
        let mut pipe = Pipe::default();
        let error = pipe.fill(&from, 10).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        assert_eq!(counts(), (1, 1));
        sender.write_all(b"abc").unwrap();
        fill(&mut pipe, &from, 10).unwrap();
        assert_eq!(counts(), (1, 0));
        pipe.drain(&to).unwrap();
        assert_eq!(counts(), (1, 1));
    }

    #[test]
    fn a_pipe_with_bytes_of_one_body_is_not_used_for_another() {
        let (from, mut sender) = pair();
        let mut pipe = Pipe::default();
        sender.write_all(b"abc").unwrap();
        fill(&mut pipe, &from, 10).unwrap();
        drop(pipe);
        assert_eq!(counts(), (0, 0));
    }

    #[test]
    fn there_are_only_so_many_and_few_are_kept() {
        let (from, mut sender) = pair();
        sender.write_all(&[b'x'; LIVE + 1]).unwrap();
        let mut pipes: Vec<Pipe> = (0..LIVE).map(|_| Pipe::default()).collect();
        for pipe in &mut pipes {
            fill(pipe, &from, 1).unwrap();
        }
        let error = Pipe::default().fill(&from, 1).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::OutOfMemory);
        let (to, _receiver) = pair();
        for pipe in &mut pipes {
            pipe.drain(&to).unwrap();
        }
        assert_eq!(counts(), (KEPT, KEPT));
        // In use until now.
        trim();
        assert_eq!(counts(), (KEPT, KEPT));
        fill(&mut pipes[0], &from, 1).unwrap();
        trim();
        assert_eq!(counts(), (1, 0), "all but the one in use");
    }
}
