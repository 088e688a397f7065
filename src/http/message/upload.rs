//! How far a request's body has got on its way to whoever is to answer.

use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use tokio::time::Instant;

use crate::net::timer;

/// Written by whoever reads the body; tells the caller's time from that of whoever is to answer.
#[derive(Debug)]
pub struct Upload {
    start: Instant,
    /// Nanoseconds from `start` to the last piece of the body, doubled; the lowest bit says that the caller owes one.
    last_piece: AtomicU64,
}

const AWAITED: u64 = 1;

impl Upload {
    pub fn new(start: Instant) -> Self {
        Upload {
            start,
            last_piece: AtomicU64::new(0),
        }
    }

    /// Since when all that has arrived is handed over: now, while the caller owes a piece.
    pub fn handed_over(&self) -> Instant {
        if self.is_awaited() {
            timer::now()
        } else {
            self.last_piece()
        }
    }

    /// When the last piece was handed over, whether the caller owes another or not.
    pub fn last_piece(&self) -> Instant {
        self.start + Duration::from_nanos(self.last_piece.load(Ordering::Relaxed) >> 1)
    }

    /// Whether the caller owes a piece.
    pub fn is_awaited(&self) -> bool {
        self.last_piece.load(Ordering::Relaxed) & AWAITED != 0
    }

    /// Notes what came of asking for a piece.
    pub fn note<T>(&self, polled: &Poll<T>) {
        match polled {
            Poll::Ready(_) => self.piece_handed_over(),
            Poll::Pending => {
                self.last_piece.fetch_or(AWAITED, Ordering::Relaxed);
            }
        }
    }

    pub fn piece_handed_over(&self) {
        let nanos = timer::now().duration_since(self.start).as_nanos() as u64;
        self.last_piece.store(nanos << 1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_piece_that_the_caller_owes_is_its_own_time() {
        let start = Instant::now();
        let upload = Upload::new(start);
        let second = Duration::from_secs(1);
        tokio::time::advance(second).await;
        upload.note(&Poll::Ready(()));
        upload.note(&Poll::<()>::Pending);
        tokio::time::advance(second).await;
        assert!(upload.is_awaited());
        assert_eq!(upload.handed_over(), start + 2 * second);
        assert_eq!(upload.last_piece(), start + second);
        upload.note(&Poll::Ready(()));
        tokio::time::advance(second).await;
        assert_eq!(upload.handed_over(), start + 2 * second);
    }
}
