//! When a head that arrives in crumbs is worth another attempt to parse it.

/// Attempts that are made at every arrival of bytes.
const EAGER: u32 = 16;

/// Parsing a head anew at every byte would be quadratic. After the first attempts only its end, or twice as many
/// bytes, is worth another.
#[derive(Debug, Default)]
pub struct Pace {
    attempts: u32,
    /// Bytes that were there at the last attempt.
    length: usize,
}

impl Pace {
    /// Whether to parse `buffer`, which begins with the head.
    pub fn is_worthwhile(&self, buffer: &[u8]) -> bool {
        if buffer.len() == self.length {
            return false;
        }
        // The end may lie across the boundary between the old bytes and the new.
        let fresh = &buffer[self.length.saturating_sub(3).min(buffer.len())..];
        self.attempts < EAGER
            || buffer.len() >= 2 * self.length
            || memchr::memmem::find(fresh, b"\n\r\n").is_some()
            || memchr::memmem::find(fresh, b"\n\n").is_some()
    }

    /// Takes note that the head was not whole with `length` bytes.
    pub fn attempted(&mut self, length: usize) {
        self.attempts += 1;
        self.length = length;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_in_crumbs_is_parsed_seldom_and_its_end_never_missed() {
        for end in ["\r\n\r\n", "\n\n", "\n\r\n"] {
            let head = format!("GET / HTTP/1.1\r\nx: {}{end}", "y".repeat(4_000));
            for step in [1, 2, 3, 5] {
                let mut pace = Pace::default();
                let mut attempts = 0;
                let mut arrived = 0;
                loop {
                    arrived = (arrived + step).min(head.len());
                    let worthwhile = pace.is_worthwhile(&head.as_bytes()[..arrived]);
                    attempts += u32::from(worthwhile);
                    if arrived == head.len() {
                        assert!(worthwhile, "{end:?} {step}");
                        break;
                    }
                    if worthwhile {
                        pace.attempted(arrived);
                    }
                }
                assert!(attempts < 30, "{attempts}");
            }
        }
    }
}
