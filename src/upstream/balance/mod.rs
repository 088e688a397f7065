//! Which endpoint a request goes to, and how many may be on their way.

pub mod admission;
pub mod balancer;
pub mod load;
pub mod load_guard;
pub mod picker;
