//! `[tcp_routes.*]`: which connections that are not HTTP go where. Their bytes go on as they are.
//!
//! They are tables of their own and not `[routes.*]`: of what a route of requests may say, a match of host and path, policies,
//! most targets, nothing holds for bytes that nobody here understands.

mod config;
mod open;
mod route;
mod table;

pub use config::{Config, check};
pub use open::From;
pub use route::{METRICS, TcpRoute};
pub use table::{Table, Wanted};
