//! Every order in which two or three threads can meet at a breaker, tried out by `loom`: the very source files of the
//! concurrent parts, with loom's atomics and locks in place of those of the standard library.

use loom::sync::Arc;
use loom::thread;

mod sync {
    pub use loom::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
    pub use loom::sync::{Mutex, MutexGuard};
    pub use std::sync::PoisonError;
}
#[expect(
    dead_code,
    reason = "what the admin API shows and orders does not race"
)]
#[path = "breaker.rs"]
mod breaker;
#[expect(dead_code, reason = "a test takes the fields that it asks for")]
#[path = "state.rs"]
mod state;
#[path = "thresholds.rs"]
mod thresholds;
#[path = "window.rs"]
mod window;
#[path = "word.rs"]
mod word;

use breaker::Breaker;
use state::State;
use thresholds::Thresholds;
use window::{Counts, Window};

const THRESHOLDS: Thresholds = Thresholds {
    consecutive_failures: Some(1),
    failure_ratio: None,
    min_requests: 1,
    window: 1_000,
    recovery: 100,
    max_recovery: 1_000,
    probes: 1,
};

/// Every order in which the threads are interrupted no more than three times: races need fewer, and more orders than
/// these take minutes.
fn model(check: impl Fn() + Send + Sync + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(check);
}

/// Runs all at once, and gives back what they return.
fn together<T: 'static, const N: usize>(threads: [Box<dyn FnOnce() -> T + Send>; N]) -> [T; N] {
    let running = threads.map(thread::spawn);
    running.map(|thread| thread.join().unwrap())
}

fn opened(thresholds: &Thresholds) -> Arc<Breaker> {
    let breaker = Breaker::default();
    let permit = breaker.admit(0, thresholds, |_| ()).unwrap();
    breaker.failed(permit, 0, thresholds, 0.0, |_| ());
    assert_eq!(breaker.look(1, thresholds).state, State::Open);
    Arc::new(breaker)
}

#[test]
fn a_half_open_breaker_lets_through_no_more_than_it_may() {
    model(|| {
        let breaker = opened(&THRESHOLDS);
        let permits = together([0, 1, 2].map(|_| {
            let breaker = breaker.clone();
            Box::new(move || breaker.admit(100, &THRESHOLDS, |_| ()).is_ok()) as Box<_>
        }));
        assert_eq!(
            permits.iter().filter(|let_through| **let_through).count(),
            1
        );
    });
}

/// One probe comes to nothing while another request asks: at no time are two under way.
#[test]
fn the_place_of_a_probe_that_came_to_nothing_is_given_away_once() {
    model(|| {
        let breaker = opened(&THRESHOLDS);
        let first = breaker.admit(100, &THRESHOLDS, |_| ()).unwrap();
        let permits = together([0, 1, 2].map(|which| {
            let breaker = breaker.clone();
            Box::new(move || match which {
                0 => {
                    breaker.abandoned(first);
                    false
                }
                _ => breaker.admit(100, &THRESHOLDS, |_| ()).is_ok(),
            }) as Box<_>
        }));
        assert!(permits.iter().filter(|let_through| **let_through).count() <= 1);
    });
}

#[test]
fn of_two_probes_that_differ_the_first_decides() {
    const TWO: Thresholds = Thresholds {
        probes: 2,
        ..THRESHOLDS
    };
    model(|| {
        let breaker = opened(&TWO);
        let probes = [true, false].map(|good| (good, breaker.admit(100, &TWO, |_| ()).unwrap()));
        together(probes.map(|(good, permit)| {
            let breaker = breaker.clone();
            Box::new(move || {
                if good {
                    breaker.succeeded(permit, 100, &TWO, |_| ())
                } else {
                    breaker.failed(permit, 100, &TWO, 0.0, |_| ())
                }
            }) as Box<_>
        }));
        // Both would have had to succeed.
        assert_eq!(breaker.look(101, &TWO).state, State::Open);
    });
}

#[test]
fn of_failures_at_once_one_opens_the_breaker() {
    model(|| {
        let breaker = Arc::new(Breaker::default());
        let permits = [0, 1].map(|_| breaker.admit(0, &THRESHOLDS, |_| ()).unwrap());
        let openings = together(permits.map(|permit| {
            let breaker = breaker.clone();
            Box::new(move || {
                let openings = std::cell::Cell::new(0_u32);
                breaker.failed(permit, 0, &THRESHOLDS, 0.0, |_| {
                    openings.set(openings.get() + 1);
                });
                openings.get()
            }) as Box<_>
        }));
        assert_eq!(openings.iter().sum::<u32>(), 1);
    });
}

#[test]
fn no_sample_is_lost_where_a_slot_ends() {
    model(|| {
        let window = Arc::new(Window::default());
        together([false, true].map(|failed| {
            let window = window.clone();
            Box::new(move || window.add(150, 1_000, failed)) as Box<_>
        }));
        let both = Counts {
            requests: 2,
            failures: 1,
        };
        assert_eq!(window.counts(150, 1_000), both);
    });
}
