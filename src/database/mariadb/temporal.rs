//! Dates and times, as callers write them and as the protocol has them.

use std::fmt::Write;

/// A date, a time, or both, as it is in a row or a parameter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Moment {
    pub year: u16,
    pub month: u8,
    pub day: u8,
    pub hour: u8,
    pub minute: u8,
    pub second: u8,
    pub micros: u32,
}

/// A duration, which MariaDB calls a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Span {
    pub is_negative: bool,
    pub days: u32,
    pub hour: u8,
    pub minute: u8,
    pub second: u8,
    pub micros: u32,
}

impl Moment {
    /// `2026-01-31`, a day that there is, or `0000-00-00`, which MariaDB has for none.
    pub fn date(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() || year.len() != 4 {
            return None;
        }
        let moment = Moment {
            year: digits(year)?,
            month: two(month)?,
            day: two(day)?,
            ..Moment::default()
        };
        let is_none = moment == Moment::default();
        let is_day = (1..=12).contains(&moment.month)
            && (1..=days_of(moment.year, moment.month)).contains(&moment.day);
        (is_none || is_day).then_some(moment)
    }

    /// `2026-01-31T12:00:00.5Z`, with a blank as well, and without an offset, which is UTC; `2026-01-31` is its midnight.
    pub fn date_time(text: &str) -> Option<Self> {
        let Some((date, time)) = text.split_once(['T', 't', ' ']) else {
            return Moment::date(text);
        };
        let date = Moment::date(date)?;
        let (time, offset) = match time.strip_suffix(['Z', 'z']) {
            Some(time) => (time, 0),
            None => match time.rfind(['+', '-']) {
                Some(place) => (&time[..place], offset(&time[place..])?),
                None => (time, 0),
            },
        };
        let clock = Span::parse(time).filter(|clock| clock.days == 0 && !clock.is_negative)?;
        let moment = Moment {
            hour: clock.hour,
            minute: clock.minute,
            second: clock.second,
            micros: clock.micros,
            ..date
        };
        moment.moved(-offset)
    }

    /// So many minutes later. None where that is beyond the years that there are.
    fn moved(self, minutes: i32) -> Option<Self> {
        let clock = i32::from(self.hour) * 60 + i32::from(self.minute) + minutes;
        let (days, clock) = (clock.div_euclid(24 * 60), clock.rem_euclid(24 * 60));
        let mut moved = Moment {
            hour: u8::try_from(clock / 60).ok()?,
            minute: u8::try_from(clock % 60).ok()?,
            ..self
        };
        match days {
            0 => {}
            1 if moved.day < days_of(moved.year, moved.month) => moved.day += 1,
            1 if moved.month < 12 => (moved.month, moved.day) = (moved.month + 1, 1),
            1 => (moved.year, moved.month, moved.day) = (moved.year + 1, 1, 1),
            -1 if moved.day > 1 => moved.day -= 1,
            -1 if moved.month > 1 => {
                moved.month -= 1;
                moved.day = days_of(moved.year, moved.month);
            }
            -1 => (moved.year, moved.month, moved.day) = (moved.year.checked_sub(1)?, 12, 31),
            _ => return None,
        }
        (moved.year <= 9999).then_some(moved)
    }

    /// Whether it is a day of the calendar.
    pub fn is_day(&self) -> bool {
        self.month > 0 && self.day > 0
    }

    pub fn write_date(&self, into: &mut String) {
        let _fits = write!(into, "{:04}-{:02}-{:02}", self.year, self.month, self.day);
    }

    /// With so many digits behind the second.
    pub fn write_clock(&self, digits: usize, into: &mut String) {
        let _fits = write!(
            into,
            "{:02}:{:02}:{:02}",
            self.hour, self.minute, self.second
        );
        fraction(self.micros, digits, into);
    }
}

impl Span {
    /// `12:30`, `12:30:00`, `-838:59:59.999999`.
    pub fn parse(text: &str) -> Option<Self> {
        let (is_negative, text) = match text.strip_prefix('-') {
            Some(text) => (true, text),
            None => (false, text),
        };
        let mut parts = text.split(':');
        let (hours, minute) = (parts.next()?, parts.next()?);
        let (second, micros) = match parts.next() {
            None => (0, 0),
            Some(second) => match second.split_once('.') {
                None => (two(second)?, 0),
                Some((second, part)) => (two(second)?, micros(part)?),
            },
        };
        let (hours, minute) = (
            (2..=3)
                .contains(&hours.len())
                .then(|| digits::<u32>(hours))??,
            two(minute)?,
        );
        let fits = parts.next().is_none() && hours <= 838 && minute < 60 && second < 60;
        fits.then(|| Span {
            is_negative,
            days: hours / 24,
            hour: u8::try_from(hours % 24).unwrap_or(0),
            minute,
            second,
            micros,
        })
    }

    pub fn write(&self, digits: usize, into: &mut String) {
        let sign = if self.is_negative { "-" } else { "" };
        let hours = u64::from(self.days) * 24 + u64::from(self.hour);
        let _fits = write!(
            into,
            "{sign}{hours:02}:{:02}:{:02}",
            self.minute, self.second
        );
        fraction(self.micros, digits, into);
    }
}

fn fraction(micros: u32, digits: usize, into: &mut String) {
    // Where a column does not say how many, all that count.
    let digits = if digits > 6 || (digits == 0 && micros > 0) {
        6
    } else {
        digits
    };
    if digits > 0 {
        let all = format!("{micros:06}");
        into.push('.');
        into.push_str(&all[..digits.min(all.len())]);
    }
}

fn digits<T: std::str::FromStr>(text: &str) -> Option<T> {
    let fits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    fits.then(|| text.parse().ok())?
}

fn two(text: &str) -> Option<u8> {
    (text.len() == 2).then(|| digits(text))?
}

/// The first six digits count.
fn micros(text: &str) -> Option<u32> {
    digits::<u64>(text.get(..text.len().min(18))?)?;
    let mut six: String = text.chars().take(6).collect();
    while six.len() < 6 {
        six.push('0');
    }
    digits(&six)
}

/// `+02:00`, `-0800` or `+02`, in minutes.
fn offset(text: &str) -> Option<i32> {
    let (sign, text) = text.split_at_checked(1)?;
    let (hours, minutes) = match text.split_once(':') {
        Some((hours, minutes)) => (hours, minutes),
        None if text.len() == 4 => text.split_at_checked(2)?,
        None => (text, "00"),
    };
    let (hours, minutes) = (i32::from(two(hours)?), i32::from(two(minutes)?));
    let all = hours * 60 + minutes;
    (hours < 24 && minutes < 60).then_some(if sign == "-" { -all } else { all })
}

fn days_of(year: u16, month: u8) -> u8 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 => {
            let is_leap =
                year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
            if is_leap { 29 } else { 28 }
        }
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Option<String> {
        let moment = Moment::date_time(text)?;
        let mut shown = String::new();
        moment.write_date(&mut shown);
        shown.push('T');
        moment.write_clock(0, &mut shown);
        Some(shown)
    }

    #[test]
    fn moments_are_read_with_their_offset() {
        for (text, expected) in [
            ("2026-01-31T12:00:00Z", "2026-01-31T12:00:00"),
            ("2026-01-31 12:00:00.5+02:00", "2026-01-31T10:00:00.500000"),
            ("2026-12-31T23:30:00-01:00", "2027-01-01T00:30:00"),
            ("2028-02-29T00:10+0530", "2028-02-28T18:40:00"),
            ("2026-03-01T00:00:00+01", "2026-02-28T23:00:00"),
            ("2026-01-01T00:00:00+01:00", "2025-12-31T23:00:00"),
            ("2026-01-31", "2026-01-31T00:00:00"),
            ("0000-00-00", "0000-00-00T00:00:00"),
        ] {
            assert_eq!(shown(text).as_deref(), Some(expected), "{text}");
        }
        for text in [
            "",
            "hush",
            "2026-02-30",
            "2026-1-1",
            "26-01-01",
            "2026-01-01T",
            "2026-01-01T24:00:00",
            "2026-01-01T12:60:00",
            "2026-01-01T12:00:00+24:00",
            "9999-12-31T23:59:59-01:00",
            "2026-01-01T12:00:00.",
            "2026-01-01T12:00:00.x",
            "+026-01-01",
            "2026-00-10",
            "2026-01-01T1é:00:00",
            "0000-00-00T00:00:00+01:00",
        ] {
            assert_eq!(shown(text), None, "{text}");
        }
    }

    #[test]
    fn spans_may_be_long_and_negative() {
        for (text, digits, expected) in [
            ("12:30", 0, "12:30:00"),
            ("-838:59:59.999999", 6, "-838:59:59.999999"),
            ("100:00:00.5", 3, "100:00:00.500"),
            ("00:00:00.0000019", 6, "00:00:00.000001"),
        ] {
            let mut written = String::new();
            Span::parse(text).unwrap().write(digits, &mut written);
            assert_eq!(written, expected);
        }
        for text in [
            "839:00:00",
            "1:00:00",
            "12:00:60",
            "12",
            "12:00:00:00",
            "--12:00:00",
            "0012:00:00",
        ] {
            assert_eq!(Span::parse(text), None, "{text}");
        }
    }
}
