//! Flow control (RFC 9113, section 5.2).

use super::frame::MAX_31;

/// The window that both sides start with (RFC 9113, section 6.5.2).
pub const INITIAL: u32 = 65_535;

/// What we may still send. Settings of the peer may make it negative.
#[derive(Clone, Copy, Debug)]
pub struct SendWindow(i64);

impl SendWindow {
    pub fn new(size: u32) -> Self {
        SendWindow(i64::from(size))
    }

    pub fn available(self) -> usize {
        usize::try_from(self.0).unwrap_or(0)
    }

    pub fn consume(&mut self, length: usize) {
        self.0 -= length as i64;
    }

    /// Makes it larger, or smaller; says whether it is still one.
    pub fn change(&mut self, by: i64) -> bool {
        self.0 += by;
        self.0 <= i64::from(MAX_31)
    }
}

/// What the peer may still send, and what is to be granted again because it was read.
#[derive(Clone, Copy, Debug)]
pub struct ReceiveWindow {
    size: u32,
    left: u32,
    read: u32,
}

impl ReceiveWindow {
    pub fn new(size: u32) -> Self {
        ReceiveWindow {
            size,
            left: size,
            read: 0,
        }
    }

    /// Counts what has arrived; says whether it was allowed.
    pub fn receive(&mut self, length: u32) -> bool {
        match self.left.checked_sub(length) {
            Some(left) => self.left = left,
            None => return false,
        }
        true
    }

    /// Counts what was read; says whether it is time to tell the peer.
    pub fn read(&mut self, length: u32) -> bool {
        self.read += length;
        self.is_due()
    }

    /// Whether half of the window waits to be granted again: often enough for the peer never to wait, and seldom
    /// enough to cost next to nothing.
    pub fn is_due(&self) -> bool {
        self.read >= self.size / 2
    }

    /// Grants what was read; the increment that the peer must be told.
    pub fn grant(&mut self) -> u32 {
        self.left += self.read;
        std::mem::take(&mut self.read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whatever arrives and is read: what the peer may send and what is on its way never exceed the window.
        #[test]
        fn what_is_granted_was_read(steps in prop::collection::vec((1..3000u32, any::<bool>()), 0..100)) {
            let mut window = ReceiveWindow::new(10_000);
            let mut unread = 0;
            let mut allowed = 10_000;
            for (length, arrives) in steps {
                if arrives {
                    prop_assert_eq!(window.receive(length), length <= allowed);
                    if length <= allowed {
                        allowed -= length;
                        unread += length;
                    }
                } else {
                    let length = length.min(unread);
                    unread -= length;
                    if window.read(length) {
                        allowed += window.grant();
                    }
                    prop_assert!(!window.is_due());
                }
                prop_assert!(allowed + unread <= 10_000);
                prop_assert!(unread > 0 || allowed > 5_000);
            }
        }
    }

    #[test]
    fn a_window_to_send_may_become_negative_and_has_an_upper_end() {
        let mut window = SendWindow::new(100);
        window.consume(60);
        assert!(window.change(-100));
        assert_eq!(window.available(), 0);
        assert!(window.change(61));
        assert_eq!(window.available(), 1);
        assert!(window.change(i64::from(MAX_31) - 1));
        assert!(!window.change(1));
    }
}
