//! What a path leads to, opened for reading.

use std::io::{self, IoSliceMut};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use rustix::fs::{FileType, Mode, OFlags, fstat};
use rustix::io::{ReadWriteFlags, pread, preadv2};

use super::failure;
use super::root::{PATIENCE, Root};
use super::state::{Care, Clock, State};
use crate::http::error::Error;
use crate::http::semantics::conditional::Validators;
use crate::http::semantics::range::Part;

/// Up to so many bytes of a file are read in one go, and the answer is whole before its head is sent.
pub(super) const AT_ONCE: u64 = 64 << 10;

/// A FIFO is not waited for, and no terminal becomes ours.
const READ: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOCTTY);

/// A file or directory that is open for reading.
#[derive(Debug)]
pub(super) struct Found {
    pub file: OwnedFd,
    pub kind: FileType,
    pub state: State,
    /// Read before the file was looked at.
    clock: Clock,
    is_local: bool,
}

impl Found {
    /// What is at `path`. A path whose names the kernel has in memory is opened at once, others on a thread that waits.
    ///
    /// # Errors
    /// Why it is not served.
    pub async fn at(root: &Arc<Root>, path: &[u8]) -> Result<Self, Error> {
        let clock = Clock::read();
        let found = match root.find_at_once(path, READ) {
            Some(opened) => opened.and_then(|file| Found::new(file, clock, root)),
            None => {
                let (path, beside) = (path.to_vec(), root.clone());
                let open = move || {
                    let clock = Clock::read();
                    let file = beside.find(&path, READ, Mode::empty())?;
                    Found::new(file, clock, &beside)
                };
                root.run(PATIENCE, open).await?
            }
        };
        found.map_err(failure::of_looking)
    }

    fn new(file: OwnedFd, clock: Clock, root: &Root) -> io::Result<Self> {
        let stat = fstat(&file)?;
        Ok(Found {
            kind: FileType::from_raw_mode(stat.st_mode),
            state: State::of(&stat),
            file,
            clock,
            is_local: root.is_local(),
        })
    }

    /// By what callers know its content.
    pub fn validators(&self) -> Validators {
        let care = if self.state.size <= AT_ONCE {
            Care::AtOnce
        } else {
            Care::InPieces
        };
        self.state.validators(self.clock, care, self.is_local)
    }

    /// Whether it is as it was when it was opened.
    pub fn is_unchanged(&self) -> io::Result<bool> {
        Ok(State::of(&fstat(&self.file)?) == self.state)
    }

    /// Reads all of a short part; fewer bytes when the file ends before. It may wait for the disk.
    pub fn read(&self, part: Part) -> io::Result<Bytes> {
        let mut content = Vec::with_capacity(part.length as usize);
        while content.len() < part.length as usize {
            let offset = part.start + content.len() as u64;
            match pread(
                &self.file,
                rustix::buffer::spare_capacity(&mut content),
                offset,
            ) {
                Ok(0) => break,
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        content.truncate(part.length as usize);
        Ok(content.into())
    }

    /// Whether the kernel seems to have all of a part in memory: it has its first byte and its last one.
    pub fn is_in_memory(&self, part: Part) -> bool {
        let last = part.start + part.length.saturating_sub(1);
        [part.start, last].into_iter().all(|place| {
            let mut byte = [0];
            let mut slices = [IoSliceMut::new(&mut byte)];
            preadv2(&self.file, &mut slices, place, ReadWriteFlags::NOWAIT) == Ok(1)
        })
    }

    /// Reads what the kernel has in memory of the start of a part, into `buffer`, which is as long as the part at the most.
    /// None: the disk must be asked.
    pub fn read_at_once(&self, start: u64, mut buffer: BytesMut) -> Option<Bytes> {
        let mut slices = [IoSliceMut::new(&mut buffer)];
        let read = preadv2(&self.file, &mut slices, start, ReadWriteFlags::NOWAIT);
        // File systems that do not know the flag say so; the end of the file is found by the reading that may wait.
        let count = read.ok().filter(|count| *count > 0)?;
        buffer.truncate(count);
        Some(buffer.freeze())
    }
}
