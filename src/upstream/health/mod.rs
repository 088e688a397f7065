//! How endpoints are doing: asked by health checks, learned from the requests they fail.

pub mod checker;
pub mod checks;
pub mod last_error;
pub mod outlier;
pub mod standing;
