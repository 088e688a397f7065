//! HTTP/2 (RFC 9113), framed by `hyper` and `h2`; here it meets our own messages and sockets.
//!
//! - [`io`]: a socket that is written once per turn of the event loop.
//! - [`server`]: the side that callers speak to; `request` and `answer` are what passes there.
//! - [`client`]: the side that speaks to upstreams.

mod answer;
pub mod client;
pub mod io;
mod request;
pub mod server;

/// What one stream may send before it is read: enough for a fast transfer on a local network.
const STREAM_WINDOW: u32 = 256 << 10;
/// Bytes that one stream may hold for sending.
const SEND_BUFFER: usize = 64 << 10;
