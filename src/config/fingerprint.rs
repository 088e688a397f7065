//! A short name for what was read, so that people and the reload can tell whether two configs are the same.

use std::path::Path;

use crate::value::regular;

/// FNV-1a with 128 bits (the constants are those of the FNV specification, draft-eastlake-fnv). It tells
/// versions apart and proves nothing: whoever may write the config needs no collision.
pub(super) struct Fingerprint(u128);

const OFFSET_BASIS: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;

/// The same for the same content of the file, also when it cannot be read.
pub(super) fn of_file(path: &Path) -> u128 {
    let mut print = Fingerprint::new();
    match regular::read(path, regular::LARGEST) {
        Ok(content) => print.add(&content),
        Err(error) => print.add(error.kind().to_string().as_bytes()),
    }
    print.0
}

impl Fingerprint {
    pub fn new() -> Self {
        Fingerprint(OFFSET_BASIS)
    }

    /// Adds one piece; its length goes first, so that pieces do not run into each other.
    pub fn add(&mut self, piece: &[u8]) {
        for byte in (piece.len() as u64).to_le_bytes().iter().chain(piece) {
            self.byte(*byte);
        }
    }

    pub fn hex(&self) -> String {
        format!("{:032x}", self.0)
    }

    fn byte(&mut self, byte: u8) {
        self.0 = (self.0 ^ u128::from(byte)).wrapping_mul(PRIME);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_the_published_function() {
        let mut print = Fingerprint::new();
        b"foobar".iter().for_each(|b| print.byte(*b));
        assert_eq!(print.hex(), "343e1662793c64bf6f0d3597ba446f18");
    }

    #[test]
    fn pieces_do_not_run_into_each_other() {
        let print = |pieces: &[&str]| {
            let mut print = Fingerprint::new();
            pieces.iter().for_each(|piece| print.add(piece.as_bytes()));
            print.hex()
        };
        assert_ne!(print(&["ab", "c"]), print(&["a", "bc"]));
    }
}
