//! Dates and times in text: SQLite takes any text for one, so that what is none is refused here.

/// `2026-01-31`
pub(super) fn is_date(text: &str) -> bool {
    let bytes = text.as_bytes();
    if bytes.len() != 10 || bytes[4] != b'-' || bytes[7] != b'-' {
        return false;
    }
    let (Some(year), Some(month), Some(day)) = (
        number(&bytes[..4]),
        number(&bytes[5..7]),
        number(&bytes[8..]),
    ) else {
        return false;
    };
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 if is_leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => 0,
    };
    (1..=days).contains(&day)
}

/// `12:30`, `12:30:00` or `12:30:00.5`
pub(super) fn is_time(text: &str) -> bool {
    let (clock, part) = match text.split_once('.') {
        Some((clock, part)) => (clock, Some(part)),
        None => (text, None),
    };
    let mut parts = clock.split(':').map(|part| two_digits(part.as_bytes()));
    let (hours, minutes, seconds) = (parts.next(), parts.next(), parts.next());
    let below = |part: Option<Option<u32>>, limit| matches!(part, Some(Some(part)) if part < limit);
    let has_part = |part: &str| {
        seconds.is_some() && !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    below(hours, 24)
        && below(minutes, 60)
        && (seconds.is_none() || below(seconds, 60))
        && parts.next().is_none()
        && part.is_none_or(has_part)
}

/// A date and a time with `T` or a blank between them, without an offset.
pub(super) fn is_timestamp(text: &str) -> bool {
    let (Some(date), Some(time)) = (text.get(..10), text.get(11..)) else {
        return false;
    };
    matches!(text.as_bytes()[10], b'T' | b't' | b' ') && is_date(date) && is_time(time)
}

/// The same with an offset: `Z`, `+02:00` or `+02`.
pub(super) fn has_offset(text: &str) -> bool {
    if let Some(local) = text.strip_suffix(['Z', 'z']) {
        return is_timestamp(local);
    }
    let Some(sign) = text.rfind(['+', '-']) else {
        return false;
    };
    let offset = &text.as_bytes()[sign + 1..];
    let is_offset = match offset.len() {
        2 => two_digits(offset).is_some_and(|hours| hours < 24),
        5 => is_time(&text[sign + 1..]),
        _ => false,
    };
    is_offset && is_timestamp(&text[..sign])
}

fn two_digits(bytes: &[u8]) -> Option<u32> {
    if bytes.len() == 2 {
        number(bytes)
    } else {
        None
    }
}

fn number(digits: &[u8]) -> Option<u32> {
    let are_digits = digits.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(digits).ok()?;
    if are_digits { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_a_date_or_a_time_is_told_from_what_is_none() {
        for (text, is_it) in [
            ("2026-01-31", true),
            ("2024-02-29", true),
            ("2026-02-29", false),
            ("1900-02-29", false),
            ("2026-13-01", false),
            ("2026-00-01", false),
            ("2026-1-31", false),
            ("now", false),
            ("2026-01-3ü", false),
            ("", false),
        ] {
            assert_eq!(is_date(text), is_it, "{text}");
        }
        for (text, is_it) in [
            ("12:30", true),
            ("23:59:59.999", true),
            ("24:00", false),
            ("12:60", false),
            ("12:30:61", false),
            ("12:30.5", false),
            ("12:30:00.", false),
            ("12", false),
            ("1:30", false),
            ("12:30:00:00", false),
        ] {
            assert_eq!(is_time(text), is_it, "{text}");
        }
        for (text, is_local, is_with_offset) in [
            ("2026-01-31 12:30:00", true, false),
            ("2026-01-31T12:30:00.5Z", false, true),
            ("2026-01-31T12:30:00+02:00", false, true),
            ("2026-01-31T12:30:00-08", false, true),
            ("2026-01-31T12:30:00+2", false, false),
            ("2026-01-31", false, false),
            ("2026-01-31üT12:30", false, false),
            ("Z", false, false),
            ("-", false, false),
        ] {
            assert_eq!(is_timestamp(text), is_local, "{text}");
            assert_eq!(has_offset(text), is_with_offset, "{text}");
        }
    }
}
