//! The thread of a connection.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::{Builder, JoinHandle};

use super::file::{File, Way};
use crate::database::pool::Pooled;

/// What is to be done on a connection.
pub(super) type Job = Box<dyn FnOnce(&mut File) + Send>;

/// A connection, as others have it: the way to its thread, which ends when this is dropped.
pub(super) struct Conn {
    jobs: Sender<Job>,
    thread: JoinHandle<()>,
}

impl Conn {
    /// A thread, which opens the file when it is first needed.
    ///
    /// # Errors
    /// When the kernel gives none.
    pub fn start(way: &Arc<Way>) -> io::Result<Self> {
        let (jobs, given) = channel::<Job>();
        let mut file = File::new(way.clone());
        let thread = Builder::new().name("sqlite".to_owned()).spawn(move || {
            while let Ok(job) = given.recv() {
                job(&mut file);
            }
        })?;
        Ok(Conn { jobs, thread })
    }

    /// Has it done behind what was given before. False when the thread has ended.
    pub fn give(&self, job: Job) -> bool {
        self.jobs.send(job).is_ok()
    }
}

impl Pooled for Conn {
    fn is_fit(&mut self) -> bool {
        !self.thread.is_finished()
    }

    fn moved(self) -> Option<Self> {
        Some(self)
    }

    /// Its thread ends behind what it does.
    fn close(self) {}
}
