//! How many requests an upstream has at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::http::body::{End, Guard};
use crate::http::error::{Error, OVERLOADED};

/// Requests that were let in and are not over, of every config that the upstream has had.
#[derive(Default)]
pub struct InFlight(AtomicUsize);

impl InFlight {
    pub fn admit(self: &Arc<Self>, limit: usize) -> Result<Admission, Error> {
        // Counted before it is compared, so that two that come at once are never both let in at the last place.
        let before = self.0.fetch_add(1, Ordering::Relaxed);
        let admission = Admission(self.clone());
        if before < limit {
            Ok(admission)
        } else {
            Err(Error::new(
                OVERLOADED,
                "the upstream has as many requests in flight as it may",
            ))
        }
    }

    pub fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// A request that was let in: counts until it is dropped.
pub struct Admission(Arc<InFlight>);

impl Drop for Admission {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Guard for Admission {
    fn end(&mut self, _: End<'_>, _: u64) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_free_again_at_the_end() {
        let in_flight = Arc::new(InFlight::default());
        let first = in_flight.admit(1).ok();
        let refused = in_flight.admit(1).err().map(|e| e.reason());
        assert_eq!(refused, Some(OVERLOADED));
        assert_eq!(in_flight.count(), 1);
        drop(first);
        assert!(in_flight.admit(1).is_ok());
    }

    #[test]
    fn a_new_limit_applies_to_those_already_in() {
        let in_flight = Arc::new(InFlight::default());
        let _three: Vec<_> = (0..3).map(|_| in_flight.admit(8).unwrap()).collect();
        assert!(in_flight.admit(3).is_err());
        assert!(in_flight.admit(4).is_ok());
    }
}
