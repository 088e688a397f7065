//! Cutting short what is under way: what is dropped learns why, and whoever drops it learns where it had got to.

use std::cell::RefCell;

use crate::http::error::{Error, OVERLOADED};
use crate::http::message::ServedBy;

/// Why something is cut short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Its time is over: whoever was to answer took too long.
    Overdue,
    /// Its time is over, and was so short that this says nothing about whoever was to answer.
    Hurried,
    /// Nobody waits for it any more.
    Unwanted,
}

/// Where a request had got to.
#[derive(Debug)]
pub struct Place {
    pub by: ServedBy,
    /// It was not sent yet, as it waited for a place in a pool of ours: what to tell of that.
    pub queued: Option<&'static str>,
}

struct Cut {
    why: Why,
    place: Option<Place>,
    /// What told of itself last was not sent yet.
    queued: bool,
}

thread_local! {
    static CUT: RefCell<Option<Cut>> = const { RefCell::new(None) };
}

/// Drops `late`. Gives back what it had to [`tell`].
pub fn short<T>(late: T, why: Why) -> Option<Place> {
    struct Within(Option<Cut>);
    impl Drop for Within {
        fn drop(&mut self) {
            CUT.replace(self.0.take());
        }
    }
    let _within = Within(CUT.replace(Some(Cut {
        why,
        place: None,
        queued: false,
    })));
    drop(late);
    CUT.with_borrow_mut(|cut| cut.as_mut()?.place.take())
}

/// Drops what is too late, and gives back `error` with where the request had got to. One that still waited for a
/// place in a pool of ours is `overloaded`: nobody else is to blame for that.
pub fn late<T>(late: T, why: Why, error: Error) -> Error {
    match short(late, why) {
        None => error,
        Some(Place {
            by,
            queued: Some(detail),
        }) if why == Why::Overdue => Error::new(OVERLOADED, detail).reached(by),
        Some(place) => error.reached(place.by),
    }
}

/// Why whatever calls this is being dropped, when it is cut short by [`short`].
pub fn why() -> Option<Why> {
    CUT.with_borrow(|cut| cut.as_ref().map(|cut| cut.why))
}

/// Whether whatever calls this is being dropped because somebody took too long to answer. False once a request that
/// was dropped with it said that it had not been sent.
pub fn is_overdue() -> bool {
    CUT.with_borrow(|cut| {
        let cut = cut.as_ref();
        cut.is_some_and(|cut| cut.why == Why::Overdue && !cut.queued)
    })
}

/// To be called when a request is dropped: where it had got to. Of several that are dropped together, the first that
/// was sent counts.
pub fn tell(place: impl FnOnce() -> Place) {
    CUT.with_borrow_mut(|cut| {
        let Some(cut) = cut else {
            return;
        };
        let place = place();
        cut.queued = place.queued.is_some();
        let better = |old: &Place| old.queued.is_some() && place.queued.is_none();
        if cut.place.as_ref().is_none_or(better) {
            cut.place = Some(place);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::error::UPSTREAM_TIMEOUT;

    /// Notes, when it is dropped, whether it is overdue.
    struct Learns<'a>(&'a RefCell<Vec<bool>>);

    impl Drop for Learns<'_> {
        fn drop(&mut self) {
            self.0.borrow_mut().push(is_overdue());
        }
    }

    /// Tells, when it is dropped, where it was.
    struct Tells(&'static str, Option<&'static str>);

    impl Drop for Tells {
        fn drop(&mut self) {
            tell(|| Place {
                by: ServedBy {
                    upstream: "app".into(),
                    endpoint: Some(self.0.into()),
                    attempts: 1,
                },
                queued: self.1,
            });
        }
    }

    #[test]
    fn what_is_dropped_learns_that_it_was_late() {
        let learnt = RefCell::default();
        short(Learns(&learnt), Why::Overdue);
        drop(Learns(&learnt));
        short(Learns(&learnt), Why::Hurried);
        assert_eq!(*learnt.borrow(), [true, false, false]);
        assert_eq!(why(), None);
    }

    #[test]
    fn nobody_is_blamed_for_what_was_never_sent() {
        let learnt = RefCell::default();
        let queued = || (Tells("a", Some("full")), Learns(&learnt));
        let error = || Error::new(UPSTREAM_TIMEOUT, "late");
        let told = late(queued(), Why::Overdue, error());
        assert_eq!((told.reason(), told.detail()), (OVERLOADED, "full"));
        let told = late(queued(), Why::Hurried, error());
        assert_eq!(told.reason(), UPSTREAM_TIMEOUT);
        assert_eq!(*learnt.borrow(), [false, false]);
    }

    #[test]
    fn whoever_cuts_learns_where_it_was() {
        let place = short((Tells("a", Some("full")), Tells("b", None)), Why::Overdue);
        assert_eq!(place.unwrap().by.endpoint.as_deref(), Some("b"));
        let place = short((Tells("a", None), Tells("b", None)), Why::Overdue);
        assert_eq!(place.unwrap().by.endpoint.as_deref(), Some("a"));
        drop(Tells("a", None));
        assert!(short((), Why::Unwanted).is_none());
    }
}
