//! How bytes move, and how long they may take: connections, names, buffers, time limits, and the end of it all.

pub mod backoff;
pub mod buffer;
pub mod dial;
pub mod drain;
pub mod io;
pub mod pipe;
pub mod resolve;
mod spare;
pub mod timer;
pub mod write_queue;
