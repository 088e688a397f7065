//! Why a request goes on without credentials: it does not.

use crate::http::error::Reason;

/// There is no credential that could be sent.
pub const CREDENTIALS_UNAVAILABLE: Reason = Reason::new("credentials_unavailable", 503);
