//! Bytes as hexadecimal digits, of which letters are small, and back.

/// A byte's value in each byte of a word.
const EACH: u64 = u64::from_ne_bytes([1; 8]);

/// The digits of four bytes, all at once: each half of a byte gets a byte of its own, and becomes a digit there.
#[inline]
fn digits(bytes: u32) -> [u8; 8] {
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

/// As many bytes as there are digits for, which are sound.
#[inline]
pub(super) fn bytes<const N: usize>(digits: &[u8]) -> [u8; N] {
    let mut bytes = [0; N];
    let eights = digits.as_chunks().0;
    for (place, eight) in bytes.as_chunks_mut().0.iter_mut().zip(eights) {
        *place = bytes_of_8(*eight).to_be_bytes();
    }
    bytes
}

/// The four bytes of eight digits: what makes digits, backwards.
#[inline]
fn bytes_of_8(digits: [u8; 8]) -> u32 {
    let digits = u64::from_be_bytes(digits);
    let letters = digits >> 6 & EACH;
    let mut halves = (digits & (0x0f * EACH)) + 9 * letters;
    halves = (halves >> 4 | halves) & 0x00ff_00ff_00ff_00ff;
    halves = (halves >> 8 | halves) & 0x0000_ffff_0000_ffff;
    (halves >> 16 | halves) as u32
}

/// Whether these are digits, and one of them is not 0.
pub(super) fn is_number(digits: &[u8]) -> bool {
    digits.iter().all(|byte| digit(*byte).is_some()) && digits.iter().any(|byte| *byte != b'0')
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
            let bytes_of_it = u32::from_be_bytes([byte, 0, !byte, 1]);
            let text = digits(bytes_of_it);
            assert_eq!(text, *format!("{bytes_of_it:08x}").as_bytes());
            assert_eq!(bytes(&text), bytes_of_it.to_be_bytes());
        }
        assert_eq!(digits_of_8(0x0123_4567_89ab_cdef), *b"0123456789abcdef");
        let read: [u8; 8] = bytes(b"fedcba9876543210");
        assert_eq!(read, 0xfedc_ba98_7654_3210_u64.to_be_bytes());
    }

    #[test]
    fn digits_are_small_and_not_all_of_them_0() {
        for (digits, sound) in [("0a", true), ("00", false), ("0A", false), ("0g", false)] {
            assert_eq!(is_number(digits.as_bytes()), sound, "{digits}");
        }
        assert_eq!(byte(b'1', b'f'), Some(0x1f));
        assert_eq!(byte(b'A', b'0'), None);
    }
}
