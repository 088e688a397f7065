//! What a failure says about the upstream: the same to all who draw conclusions from failures, before the head of an
//! answer and behind it. Each [`Reason`](super::error::Reason) says its own.

/// What went wrong between us and an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// There was no endpoint to connect to.
    NoEndpoint,
    /// There was no connection, or none that could be trusted.
    Connect,
    /// The connection broke, or what came over it was no HTTP.
    Reset,
    /// A limit of the route on time was over.
    Timeout,
}
