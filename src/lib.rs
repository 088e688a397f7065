//! outrigger: a sidecar proxy.
#![forbid(unsafe_code)]

pub mod admin;
pub mod app;
pub mod body;
pub mod buffer;
pub mod cli;
pub mod config;
pub mod drain;
pub mod error;
pub mod h1;
pub mod h2;
pub mod headers;
pub mod io;
pub mod listener;
pub mod message;
pub mod peer;
pub mod policy;
pub mod problem;
pub mod proxy;
pub mod reload;
pub mod route;
pub mod snapshot;
pub mod telemetry;
pub mod template;
#[cfg(test)]
mod testing;
pub mod timer;
pub mod upstream;
pub mod value;
pub mod watch;
pub mod worker;
