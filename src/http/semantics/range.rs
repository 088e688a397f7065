//! `Range`: which parts of a representation are asked for (RFC 9110, section 14).
//!
//! Where the standard leaves a choice it is nginx's: a set that is malformed is refused, one that asks for more bytes than
//! there are is answered whole, and ranges are neither sorted nor joined. `tests/it/files/ranges.txt` has what nginx says.

use crate::http::headers::Headers;
use http::header;

/// So many parts at the most are sent in one answer. Whoever asks for more gets the whole.
pub const MOST: usize = 64;

/// Bytes of a representation: the first one, and how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    pub start: u64,
    pub length: u64,
}

/// What a `Range` asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// All of it: there is no range, or it is to be ignored.
    Whole,
    One(Part),
    Several(Vec<Part>),
    /// 416: nothing that is asked for is there, or the set is malformed.
    Unsatisfiable,
}

/// What the headers ask for of a representation of `length` bytes. The method must be GET, and `If-Range` hold.
pub fn read(headers: &Headers, length: u64) -> Asked {
    let mut lines = headers.get_all(&header::RANGE);
    match (lines.next(), lines.next()) {
        (Some(value), None) => parse(value, length),
        // Two of them contradict each other.
        _ => Asked::Whole,
    }
}

fn parse(value: &[u8], length: u64) -> Asked {
    let set = match value.split_at_checked(b"bytes=".len()) {
        Some((unit, set)) if unit.eq_ignore_ascii_case(b"bytes=") && !set.is_empty() => set,
        // An unknown unit is ignored (section 14.2).
        _ => return Asked::Whole,
    };
    let mut parts = Vec::new();
    let mut all: u64 = 0;
    let specs = set.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    // Empty elements of a list are none (section 5.6.1.2).
    for spec in specs.filter(|spec| !spec.is_empty()) {
        match one(spec, length) {
            Spec::Malformed => return Asked::Unsatisfiable,
            Spec::Beyond if length == 0 => return Asked::Whole,
            Spec::Beyond => {}
            Spec::Part(part) => {
                all = all.saturating_add(part.length);
                if parts.len() == MOST || all > length {
                    return Asked::Whole;
                }
                parts.push(part);
            }
        }
    }
    match parts.as_slice() {
        [] => Asked::Unsatisfiable,
        [part] => Asked::One(*part),
        _ => Asked::Several(parts),
    }
}

enum Spec {
    Part(Part),
    /// None of its bytes is there.
    Beyond,
    Malformed,
}

/// One of the set: `first-last`, `first-` or `-length` (section 14.1.2).
fn one(spec: &[u8], length: u64) -> Spec {
    let Some(hyphen) = spec.iter().position(|byte| *byte == b'-') else {
        return Spec::Malformed;
    };
    let (first, last) = (&spec[..hyphen], &spec[hyphen + 1..]);
    let (start, end) = match (first.trim_ascii(), last.trim_ascii()) {
        ([], _) => match number(last) {
            Some(suffix) => (length.saturating_sub(suffix), length),
            None => return Spec::Malformed,
        },
        (first, []) => match number(first) {
            Some(start) => (start, length),
            None => return Spec::Malformed,
        },
        (first, last) => match (number(first), number(last)) {
            (Some(start), Some(last)) => (start, last.saturating_add(1).min(length)),
            _ => return Spec::Malformed,
        },
    };
    if start < end {
        Spec::Part(Part {
            start,
            length: end - start,
        })
    } else {
        Spec::Beyond
    }
}

fn number(digits: &[u8]) -> Option<u64> {
    let number = digits.iter().try_fold(0u64, |sum, digit| match digit {
        b'0'..=b'9' => sum.checked_mul(10)?.checked_add(u64::from(digit - b'0')),
        _ => None,
    });
    number.filter(|number| !digits.is_empty() && *number <= i64::MAX as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::headers;

    fn part(start: u64, length: u64) -> Part {
        Part { start, length }
    }

    #[test]
    fn ranges_are_read() {
        for (value, length, expected) in [
            ("bytes=0-4", 10, Asked::One(part(0, 5))),
            ("bytes=5-", 10, Asked::One(part(5, 5))),
            ("bytes=-3", 10, Asked::One(part(7, 3))),
            ("bytes=-30", 10, Asked::One(part(0, 10))),
            ("bytes=0-99", 10, Asked::One(part(0, 10))),
            ("BYTES = 0-4", 10, Asked::Whole),
            ("bytes=", 10, Asked::Whole),
            ("items=0-4", 10, Asked::Whole),
            ("bytes=10-", 10, Asked::Unsatisfiable),
            ("bytes=-0", 10, Asked::Unsatisfiable),
            ("bytes=4-2", 10, Asked::Unsatisfiable),
            ("bytes=a-", 10, Asked::Unsatisfiable),
            ("bytes=0-4x", 10, Asked::Unsatisfiable),
            ("bytes=99999999999999999999-", 10, Asked::Unsatisfiable),
            ("bytes=- 5", 10, Asked::Unsatisfiable),
            ("bytes=,", 10, Asked::Unsatisfiable),
            ("bytes=,0-4,", 10, Asked::One(part(0, 5))),
            ("bytes=0-", 0, Asked::Whole),
            ("bytes=-5", 0, Asked::Whole),
            (
                "bytes=0-1, 4-5",
                10,
                Asked::Several(vec![part(0, 2), part(4, 2)]),
            ),
            ("bytes=0-1,20-30", 10, Asked::One(part(0, 2))),
            ("bytes=0-9,0-9", 10, Asked::Whole),
            (
                "bytes=8-9,0-1",
                10,
                Asked::Several(vec![part(8, 2), part(0, 2)]),
            ),
        ] {
            let headers = headers(&[("range", value)]);
            assert_eq!(read(&headers, length), expected, "{value} of {length}");
        }
        let twice = headers(&[("range", "bytes=0-1"), ("range", "bytes=0-1")]);
        assert_eq!(read(&twice, 10), Asked::Whole);
    }

    #[test]
    fn so_many_parts_and_no_more() {
        let set = |parts: usize| {
            let parts: Vec<_> = (0..parts)
                .map(|at| format!("{}-{}", 2 * at, 2 * at))
                .collect();
            read(
                &headers(&[("range", &format!("bytes={}", parts.join(",")))]),
                1000,
            )
        };
        assert!(matches!(set(MOST), Asked::Several(parts) if parts.len() == MOST));
        assert_eq!(set(MOST + 1), Asked::Whole);
    }
}
