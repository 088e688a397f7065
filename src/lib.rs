//! outrigger: a sidecar proxy.
#![forbid(unsafe_code)]

pub mod admin;
pub mod body;
pub mod config;
pub mod drain;
pub mod error;
pub mod headers;
pub mod io;
pub mod listener;
pub mod message;
pub mod peer;
pub mod policy;
pub mod problem;
pub mod route;
pub mod telemetry;
pub mod template;
#[cfg(test)]
mod testing;
pub mod upstream;
pub mod value;
pub mod worker;
