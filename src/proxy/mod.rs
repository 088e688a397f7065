//! What every request gets.

pub mod access_log;
