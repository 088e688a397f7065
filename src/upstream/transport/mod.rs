//! Connections to endpoints: made, kept, and shared.

pub mod connector;
pub mod http;
pub mod multiplexed;
pub mod pool;
pub mod settings;
pub mod terms;
