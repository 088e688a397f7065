//! Header compression (RFC 7541).
//!
//! - [`name`]: what a field's name means to HTTP/2, and which names and values are sound.
//! - [`huffman`]: its code for strings, decoded by table.
//! - [`table`]: the static table, and the dynamic one of a decoder.
//! - [`decode`]: a block to names and values in one run of bytes.
//! - [`encode`]: the way back.

pub mod decode;
pub mod encode;
pub mod huffman;
pub mod name;
pub mod table;

#[cfg(test)]
mod tests;

/// The size of a dynamic table that every peer starts with (RFC 7541, section 4.2). Neither side goes above it: what
/// repeats on a connection fits.
pub const TABLE_SIZE: usize = 4096;
/// What an entry counts for beside its bytes (RFC 7541, section 4.1), and a field of a list (RFC 9113, section 6.5.2).
pub const OVERHEAD: usize = 32;
