//! Connections to endpoints: made, kept, and shared.

pub mod connector;
pub mod multiplexed;
pub mod pool;
pub mod terms;
