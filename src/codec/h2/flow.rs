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

/// What the peer has granted again of the content that was sent to it.
///
/// Peers grant as they read: some half of a window at a time, some each piece that their application took, which may
/// be a few bytes, and all of them once for the stream and once for the connection. That is no idle talk, however
/// often it comes: each such update stands for bytes that the peer has taken from us.
#[derive(Default)]
pub struct GrantedAgain {
    connection: u64,
    streams: u64,
}

impl GrantedAgain {
    /// Counts an update; says whether it does no more than grant again some of `sent`, the bytes of content that were
    /// ever sent.
    pub fn covers(&mut self, stream: u32, increment: u32, sent: u64) -> bool {
        let granted = match stream {
            0 => &mut self.connection,
            _ => &mut self.streams,
        };
        let after = *granted + u64::from(increment);
        if increment == 0 || after > sent {
            return false;
        }
        *granted = after;
        true
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
    fn no_more_is_granted_again_than_was_sent() {
        let mut granted = GrantedAgain::default();
        assert!(!granted.covers(0, 1, 0));
        assert!(granted.covers(0, 60, 100) && granted.covers(1, 60, 100));
        assert!(!granted.covers(0, 41, 100) && !granted.covers(3, 41, 100));
        assert!(granted.covers(0, 40, 100) && granted.covers(3, 40, 100));
        assert!(!granted.covers(0, 1, 100) && !granted.covers(1, 1, 100));
        assert!(!granted.covers(1, 0, 1000));
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
