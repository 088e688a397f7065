//! How a caller is refused.

use crate::http::error::Reason;

/// The caller is not one of those that may call.
pub const FORBIDDEN: Reason = Reason::new("forbidden", 403);
