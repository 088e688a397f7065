//! The value of `Content-Length`, read and written (RFC 9110, section 8.6).

/// What it says: digits and nothing else.
///
/// # Errors
/// Why it is refused.
#[inline]
pub fn read(value: &[u8]) -> Result<u64, &'static str> {
    match number(value) {
        // Room for the arithmetic of others that use signed numbers.
        Some(length) if length <= i64::MAX as u64 => Ok(length),
        _ => Err(refusal(value)),
    }
}

#[inline]
fn number(digits: &[u8]) -> Option<u64> {
    let number = digits.iter().try_fold(0u64, |sum, digit| match digit {
        b'0'..=b'9' => sum.checked_mul(10)?.checked_add(u64::from(digit - b'0')),
        _ => None,
    });
    number.filter(|_| !digits.is_empty())
}

#[cold]
fn refusal(value: &[u8]) -> &'static str {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        "Content-Length is not a number"
    } else {
        "Content-Length is too large"
    }
}

/// The digits that say `length`, at the end of `room`.
#[inline]
pub fn write(mut length: u64, room: &mut [u8; 20]) -> &[u8] {
    let mut at = room.len();
    loop {
        at -= 1;
        room[at] = b'0' + (length % 10) as u8;
        length /= 10;
        if length == 0 {
            break;
        }
    }
    &room[at..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_digits_alone() {
        assert_eq!(read(b"0"), Ok(0));
        assert_eq!(read(b"0012"), Ok(12));
        assert_eq!(read(b"9223372036854775807"), Ok(i64::MAX as u64));
        for wrong in ["", " 1", "+1", "-1", "1,1", "0x1", "1e3"] {
            let why = read(wrong.as_bytes()).unwrap_err();
            assert!(why.ends_with("not a number"), "{wrong}");
        }
        for wrong in ["9223372036854775808", "18446744073709551616"] {
            let why = read(wrong.as_bytes()).unwrap_err();
            assert!(why.ends_with("too large"), "{wrong}");
        }
    }

    #[test]
    fn a_length_is_written_as_it_is_read() {
        for length in [0, 7, 10, 1234, i64::MAX as u64] {
            assert_eq!(read(write(length, &mut [0; 20])), Ok(length));
        }
        assert_eq!(write(u64::MAX, &mut [0; 20]), b"18446744073709551615");
    }
}
