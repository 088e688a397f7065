//! The endpoints of an upstream: what the config names, the addresses found for it, and the list that serves.

pub mod address;
pub mod destination;
pub mod discovery;
pub mod endpoint;
pub mod entry;
pub mod knowledge;
pub mod list;
pub mod resolution;
pub mod set;
pub mod transport;

#[cfg(test)]
mod tests;
