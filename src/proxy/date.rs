//! `Date`, which every answer gets that has none (RFC 9110, section 6.6.1). Its text is made once a second.

use std::cell::RefCell;
use std::time::{Duration, SystemTime};

use http::{HeaderValue, header};

use crate::http::headers::{Headers, Line, Name};
use crate::net::time_of_day;

const DATE: Name = Name::new("date");
/// The first second that has no date, as a year in it has four digits.
const YEAR_10000: u64 = 253_402_300_800;

/// The field as it is for a second.
struct Current {
    line: Line,
    second: u64,
}

thread_local! {
    static CURRENT: RefCell<Option<Current>> = const { RefCell::new(None) };
}

/// Adds the date unless there is one, or the clock shows a time that no date can tell.
pub fn tell(headers: &mut Headers) {
    if headers.has(&DATE) {
        return;
    }
    let Some(second) = time_of_day::now().map(|now| now.as_secs()) else {
        return;
    };
    // A thread that is ending has none, and nobody to answer either.
    let _told = CURRENT.try_with(|current| {
        let mut current = current.borrow_mut();
        if current
            .as_ref()
            .is_none_or(|current| current.second != second)
        {
            *current = Current::of(second);
        }
        if let Some(current) = &*current {
            headers.append_line(&current.line);
        }
    });
}

impl Current {
    fn of(second: u64) -> Option<Self> {
        if second >= YEAR_10000 {
            return None;
        }
        let clock = SystemTime::UNIX_EPOCH + Duration::from_secs(second);
        let value = HeaderValue::from_str(&httpdate::HttpDate::from(clock).to_string()).ok()?;
        let line = Line::new(&header::DATE, &value);
        Some(Current { line, second })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_is_told_as_a_date() {
        let current = Current::of(784_111_777).unwrap();
        let mut headers = Headers::new();
        headers.append_line(&current.line);
        assert_eq!(
            headers.get_str(&header::DATE),
            Some("Sun, 06 Nov 1994 08:49:37 GMT")
        );
        assert!(Current::of(YEAR_10000 - 1).is_some());
        assert!(Current::of(YEAR_10000).is_none());
    }

    #[test]
    fn a_date_that_is_there_stays_the_only_one() {
        let mut headers = Headers::new();
        tell(&mut headers);
        let told = headers.get_str(&header::DATE).map(str::to_owned).unwrap();
        let age = SystemTime::now().duration_since(httpdate::parse_http_date(&told).unwrap());
        assert!(age.unwrap() < Duration::from_secs(60), "{told}");
        tell(&mut headers);
        assert_eq!(headers.get_all(&header::DATE).count(), 1);
        let mut headers = Headers::new();
        headers.insert(&header::DATE, &HeaderValue::from_static("once"));
        tell(&mut headers);
        assert_eq!(headers.get_str(&header::DATE), Some("once"));
    }
}
