//! `Date`, which every answer gets that has none (RFC 9110, section 6.6.1). Its text is made once a second.

use std::cell::RefCell;
use std::time::{Duration, SystemTime};

use http::{HeaderValue, header};
use tokio::time::Instant;

use crate::http::headers::{Headers, Line, Name};
use crate::net::timer;

const DATE: Name = Name::new("date");
/// The first second that has no date, as a year in it has four digits.
const YEAR_10000: Duration = Duration::from_secs(253_402_300_800);

/// The field as it is until the next second begins.
struct Current {
    line: Line,
    until: Instant,
}

thread_local! {
    static CURRENT: RefCell<Option<Current>> = const { RefCell::new(None) };
}

/// Adds the date unless there is one.
pub fn tell(headers: &mut Headers) {
    if headers.has(&DATE) {
        return;
    }
    let now = timer::now();
    // A thread that is ending has none, and nobody to answer either.
    let _told = CURRENT.try_with(|current| {
        let mut current = current.borrow_mut();
        if current.as_ref().is_none_or(|current| current.until <= now) {
            *current = Current::at(now, SystemTime::now());
        }
        if let Some(current) = &*current {
            headers.append_line(&current.line);
        }
    });
}

impl Current {
    /// None when the clock shows a time that no date can tell.
    fn at(now: Instant, clock: SystemTime) -> Option<Self> {
        let since = clock.duration_since(SystemTime::UNIX_EPOCH).ok()?;
        if since >= YEAR_10000 {
            return None;
        }
        let value = HeaderValue::from_str(&httpdate::HttpDate::from(clock).to_string()).ok()?;
        Some(Current {
            line: Line::new(&header::DATE, &value),
            until: now
                + (Duration::from_secs(1) - Duration::from_nanos(since.subsec_nanos().into())),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_holds_to_the_end_of_its_second() {
        let now = Instant::now();
        let clock = SystemTime::UNIX_EPOCH + Duration::from_millis(784_111_777_250);
        let current = Current::at(now, clock).unwrap();
        assert_eq!(current.until, now + Duration::from_millis(750));
        let mut headers = Headers::new();
        headers.append_line(&current.line);
        assert_eq!(
            headers.get_str(&header::DATE),
            Some("Sun, 06 Nov 1994 08:49:37 GMT")
        );
    }

    #[test]
    fn a_clock_before_1970_or_behind_9999_is_not_told() {
        let told = |clock| Current::at(Instant::now(), clock).is_some();
        let second = Duration::from_secs(1);
        assert!(!told(SystemTime::UNIX_EPOCH - second));
        assert!(told(SystemTime::UNIX_EPOCH + YEAR_10000 - second));
        assert!(!told(SystemTime::UNIX_EPOCH + YEAR_10000));
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
