//! `grpc-timeout`: how long a caller waits for the end of its call. One to eight digits and a unit ("gRPC over HTTP2",
//! section Requests).

use std::time::Duration;

use http::HeaderName;

pub const NAME: HeaderName = HeaderName::from_static("grpc-timeout");

/// The time that a value says.
pub fn read(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if !(1..=8).contains(&digits.len()) || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(count * 3600),
        "M" => Duration::from_secs(count * 60),
        "S" => Duration::from_secs(count),
        "m" => Duration::from_millis(count),
        "u" => Duration::from_micros(count),
        "n" => Duration::from_nanos(count),
        _ => return None,
    })
}

/// The value that says this time, or as much of it as it can, in the finest unit that has room for it.
pub fn write(left: Duration) -> String {
    let most = 99_999_999;
    let units = [
        (left.as_micros(), "u"),
        (left.as_millis(), "m"),
        (left.as_secs().into(), "S"),
        ((left.as_secs() / 60).into(), "M"),
    ];
    let fitting = units.into_iter().find(|(count, _)| *count <= most);
    let (count, unit) = fitting.unwrap_or((most, "M"));
    format!("{count}{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_time_is_digits_and_a_unit() {
        for (text, time) in [
            ("2H", Duration::from_secs(7200)),
            ("3M", Duration::from_secs(180)),
            ("2S", Duration::from_secs(2)),
            ("250m", Duration::from_millis(250)),
            ("0u", Duration::ZERO),
            ("7n", Duration::from_nanos(7)),
            ("99999999H", Duration::from_secs(359_999_996_400)),
        ] {
            assert_eq!(read(text), Some(time), "{text}");
        }
        for wrong in ["", "m", "1", "-1S", "+1S", "123456789m", "1s", "1 S", "é"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_time_is_written_as_finely_as_there_is_room() {
        assert_eq!(write(Duration::from_millis(1500)), "1500000u");
        assert_eq!(write(Duration::from_secs(100)), "100000m");
        assert_eq!(write(Duration::MAX), "99999999M");
    }

    proptest! {
        #[test]
        fn what_is_written_is_never_more(millis in 0u64..10_000_000_000_000) {
            let left = Duration::from_millis(millis);
            prop_assert!(read(&write(left)).unwrap() <= left);
        }

        #[test]
        fn any_text_is_a_time_or_none(text in "\\PC{0,12}") {
            let _ = read(&text);
        }
    }
}
