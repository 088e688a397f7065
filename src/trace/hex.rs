//! Bytes as hexadecimal digits, of which letters are small, and back.

/// The digits of four bytes, all at once: each half of a byte gets a byte of its own, and becomes a digit there.
#[inline]
pub(super) fn digits(bytes: u32) -> [u8; 8] {
    const EACH: u64 = u64::from_ne_bytes([1; 8]);
    let mut halves = u64::from(bytes);
    halves = (halves << 16 | halves) & 0x0000_ffff_0000_ffff;
    halves = (halves << 8 | halves) & 0x00ff_00ff_00ff_00ff;
    halves = (halves << 4 | halves) & 0x0f0f_0f0f_0f0f_0f0f;
    // 1 in those that are a letter.
    let letters = (halves + 6 * EACH) >> 4 & EACH;
    let to_letter = u64::from(b'a' - b'0' - 10);
    (halves + u64::from(b'0') * EACH + letters * to_letter).to_be_bytes()
}

/// Those of eight bytes.
#[inline]
pub(super) fn digits_of_8(bytes: u64) -> [u8; 16] {
    let mut text = [0; 16];
    text[..8].copy_from_slice(&digits((bytes >> 32) as u32));
    text[8..].copy_from_slice(&digits(bytes as u32));
    text
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
            let bytes = u32::from_be_bytes([byte, 0, !byte, 1]);
            let text = digits(bytes);
            assert_eq!(text, *format!("{bytes:08x}").as_bytes());
            assert_eq!(read(&text), Some(bytes.to_be_bytes()));
        }
        assert_eq!(digits_of_8(0x0123_4567_89ab_cdef), *b"0123456789abcdef");
        assert_eq!(read::<1>(b"0A"), None);
    }
}
