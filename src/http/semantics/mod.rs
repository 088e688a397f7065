//! What methods, statuses and headers mean, one rule in each file, for everybody who goes by it.

pub mod accept_encoding;
pub mod authority;
pub mod conditional;
pub mod connection;
pub mod essence;
pub mod expect;
pub mod method;
pub mod no_body;
pub mod preflight;
pub mod range;
pub mod retry_after;
pub mod te;
pub mod tunnel;
pub mod upgrade;
