//! What of a request decides which route takes it.

use http::Method;

use crate::http::headers::Headers;

/// What the search looks at.
#[derive(Clone, Copy, Debug)]
pub struct Lookup<'a> {
    /// Name of the listener that accepted the request.
    pub listener: &'a str,
    /// The host that the caller asked for; a port is ignored.
    pub host: Option<&'a str>,
    pub method: &'a Method,
    /// As [`normalise`](crate::http::path::normalise) gives it. `*` (of `OPTIONS *`) is matched as `/`, and so is
    /// the path of `CONNECT`, which has none.
    pub path: &'a str,
    /// What [`normalise`](crate::http::path::normalise) said of the path.
    pub encoded_separators: bool,
    pub query: Option<&'a str>,
    pub headers: &'a Headers,
}
