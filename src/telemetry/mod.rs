//! What the proxy tells about itself: metrics, logs.

pub mod log;
