//! The root block.
