//! How large a head may be.

/// Bounds of a head.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes, from the first of the start line to the empty line.
    pub bytes: usize,
    pub fields: usize,
}
