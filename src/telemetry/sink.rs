//! A log's way out: lines are queued and written by a thread, so that a slow reader never slows a request.

use std::fs::File;
use std::io::{self, BufWriter};
use std::os::fd::AsFd;
use std::sync::mpsc;
use std::time::Duration;

use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};

/// The longest that the end of the process waits for a reader to take the lines that are left.
const PATIENCE: Duration = Duration::from_millis(1500);

/// A queue of lines and the thread that writes them. A full queue drops lines and counts them.
pub(super) struct Sink {
    writer: NonBlocking,
    guard: Option<WorkerGuard>,
}

impl Sink {
    /// Writes to the file behind `out`; at most `lines` wait.
    pub(super) fn new(out: impl AsFd, name: &str, lines: usize) -> io::Result<Self> {
        // Not through the standard library's handle: a thread stuck in a write would hold its lock.
        let file = File::from(out.as_fd().try_clone_to_owned()?);
        let (writer, guard) = NonBlockingBuilder::default()
            .lossy(true)
            .buffered_lines_limit(lines)
            .thread_name(name)
            // Lines that wait together go out together; the thread flushes when its queue is empty.
            .finish(BufWriter::new(file));
        Ok(Sink {
            writer,
            guard: Some(guard),
        })
    }

    pub(super) fn writer(&self) -> NonBlocking {
        self.writer.clone()
    }

    pub(super) fn dropped_lines(&self) -> u64 {
        self.writer.error_counter().dropped_lines() as u64
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        // The guard's own drop reports to stdout when its reader is stuck, and would then wait for that reader
        // for ever: so it drops on a thread that may be left behind.
        let guard = self.guard.take();
        let (done, flushed) = mpsc::channel::<()>();
        let flush = std::thread::Builder::new().spawn(move || {
            drop(guard);
            drop(done);
        });
        if flush.is_ok() {
            let _ = flushed.recv_timeout(PATIENCE);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::time::Instant;

    use super::*;

    #[test]
    fn lines_that_wait_are_written_when_it_drops() {
        let (mut reader, writer) = io::pipe().unwrap();
        let sink = Sink::new(&writer, "test", 64).unwrap();
        drop(writer);
        for _ in 0..50 {
            sink.writer().write_all(b"line\n").unwrap();
        }
        drop(sink);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text.lines().count(), 50);
    }

    #[test]
    fn a_reader_that_never_reads_costs_lines_and_not_time() {
        let (reader, writer) = io::pipe().unwrap();
        let sink = Sink::new(&writer, "test", 4).unwrap();
        let line = [b'x'; 64 << 10];
        let begin = Instant::now();
        for _ in 0..100 {
            sink.writer().write_all(&line).unwrap();
        }
        assert!(sink.dropped_lines() > 50);
        drop(sink);
        assert!(begin.elapsed() < PATIENCE * 4);
        drop(reader);
    }
}
