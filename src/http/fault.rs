//! What a failure says about the upstream: one table for all who draw conclusions from failures, before the head of an
//! answer and behind it.

use super::error::{
    CONNECT_FAILED, CONNECT_TIMEOUT, DEADLINE_EXCEEDED, NO_HEALTHY_ENDPOINT, Reason, TLS_FAILED,
    UPSTREAM_PROTOCOL_ERROR, UPSTREAM_RESET, UPSTREAM_TIMEOUT,
};

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

impl Reason {
    /// None: it is the caller's doing or ours, and says nothing about the upstream.
    pub fn fault(self) -> Option<Fault> {
        match self {
            NO_HEALTHY_ENDPOINT => Some(Fault::NoEndpoint),
            CONNECT_FAILED | CONNECT_TIMEOUT | TLS_FAILED => Some(Fault::Connect),
            UPSTREAM_RESET | UPSTREAM_PROTOCOL_ERROR => Some(Fault::Reset),
            UPSTREAM_TIMEOUT | DEADLINE_EXCEEDED => Some(Fault::Timeout),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::error::{CALLER_GONE, INTERNAL, OVERLOADED, REQUEST_TIMEOUT};

    #[test]
    fn the_upstream_is_not_to_blame_for_callers_nor_for_us() {
        for reason in [CALLER_GONE, INTERNAL, OVERLOADED, REQUEST_TIMEOUT] {
            assert_eq!(reason.fault(), None, "{reason:?}");
        }
        assert_eq!(TLS_FAILED.fault(), Some(Fault::Connect));
    }
}
