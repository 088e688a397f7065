//! Bytes as hexadecimal digits, of which letters are small, and back.

/// The two digits of each byte. It has no branch, so that many bytes are written at once.
#[inline]
pub(super) fn write<const N: usize>(bytes: [u8; N], digits: &mut [[u8; 2]]) {
    let digit = |half: u8| half + if half > 9 { b'a' - 10 } else { b'0' };
    for (byte, pair) in bytes.into_iter().zip(digits) {
        *pair = [digit(byte >> 4), digit(byte & 15)];
    }
}

/// As many bytes as there are. None where a digit is none.
pub(super) fn read<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    for (place, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *place = byte(pair[0], pair[1])?;
    }
    Some(bytes)
}

pub(super) fn byte(high: u8, low: u8) -> Option<u8> {
    Some(digit(high)? << 4 | digit(low)?)
}

fn digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_written_and_read() {
        for byte in 0..=255 {
            let mut digits = [[0; 2]];
            write([byte], &mut digits);
            assert_eq!(digits.as_flattened(), format!("{byte:02x}").as_bytes());
            assert_eq!(read(digits.as_flattened()), Some([byte]));
        }
        assert_eq!(read::<1>(b"0A"), None);
    }
}
