//! What a caller's connection is held to, whichever protocol it speaks.

use std::time::Duration;

/// Limits of a caller's connection; see `[listeners.NAME]` for their meaning.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    pub max_header_bytes: u32,
    pub max_headers: usize,
    /// How long the head of a request may take, from its first byte to its end.
    pub header_timeout: Duration,
    /// How long a caller may pause in a request body, until its answer begins. Not for gRPC over HTTP/2, whose
    /// callers may send nothing for hours.
    pub body_timeout: Duration,
    pub idle_timeout: Duration,
    /// Of HTTP/2 alone: HTTP/1 has one exchange at a time.
    pub max_concurrent_streams: u32,
}
