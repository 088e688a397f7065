//! HTTP/2 (RFC 9113): our own, both halves.
//!
//! - [`frame`]: what goes over the wire; [`hpack`]: header compression; [`fields`]: header fields and trailers.
//! - [`settings`], [`flow`], [`budget`]: what the sides allow each other.
//! - [`input`] and [`output`]: a socket's two directions, each of one system call a turn.
//! - [`shared`]: what the task of a connection shares with what is under way on its streams; [`ready`] wakes it.
//! - [`reading`]: frames as they arrive; [`incoming`]: bodies that wait to be read, and [`arriving`]: who reads them;
//!   [`sending`]: bodies on their way.
//! - `stall`: a peer who takes nothing; [`ended`]: why a connection ends early.
//! - [`server`]: the side that callers speak to.
//! - [`client`]: the side that speaks to upstreams.

pub mod arriving;
pub mod budget;
pub mod client;
pub mod ended;
pub mod fields;
pub mod flow;
pub mod frame;
pub mod hpack;
pub mod incoming;
pub mod input;
pub mod output;
pub mod reading;
pub mod ready;
pub mod sending;
pub mod server;
pub mod settings;
pub mod shared;
mod stall;
#[cfg(test)]
mod testing;

/// What one stream may send before it is read: enough for a fast transfer on a local network.
const STREAM_WINDOW: u32 = 256 << 10;
