//! Every order in which two or three threads can meet at a bucket, tried out by `loom`: the very source files of
//! the concurrent parts, with loom's atomics and locks in place of those of the standard library.

use loom::sync::Arc;
use loom::thread;

mod sync {
    pub use loom::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
    pub use loom::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};
    pub use std::sync::PoisonError;
}
#[expect(dead_code, reason = "the clock is no part of what races")]
#[path = "bucket.rs"]
mod bucket;
#[expect(dead_code, reason = "neither is what the admin API shows")]
#[path = "table.rs"]
mod table;

use bucket::{Bucket, TOKEN};
use table::Table;

/// Every order in which the threads are interrupted no more than three times: races need fewer, and more orders than
/// these take minutes.
fn model(check: impl Fn() + Send + Sync + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(check);
}

/// Runs all at once, and sums up what they return.
fn together<const N: usize>(threads: [Box<dyn FnOnce() -> u64 + Send>; N]) -> u64 {
    let running = threads.map(thread::spawn);
    running.into_iter().map(|t| t.join().unwrap()).sum()
}

#[test]
fn a_bucket_grants_no_more_than_it_has() {
    model(|| {
        let bucket = Arc::new(Bucket::default());
        let taken = together([0, 0, 0].map(|count| {
            let bucket = bucket.clone();
            Box::new(move || u64::from(bucket.take(count, 2 * TOKEN).is_ok())) as Box<_>
        }));
        assert_eq!((taken, bucket.owed(0)), (2, 2 * TOKEN));
    });
}

#[test]
fn what_one_gives_back_is_neither_lost_nor_doubled() {
    model(|| {
        let bucket = Arc::new(Bucket::default());
        let taken = together([false, true].map(|gives_back| {
            let bucket = bucket.clone();
            Box::new(move || {
                let taken = bucket.take(0, 2 * TOKEN).unwrap();
                if gives_back {
                    bucket.give_back(taken, 0);
                }
                u64::from(!gives_back)
            }) as Box<_>
        }));
        assert_eq!(bucket.owed(0), taken * TOKEN);
    });
}

/// Half a token comes in while one request holds a token that it gives back.
#[test]
fn giving_back_late_grants_nothing() {
    model(|| {
        let bucket = Arc::new(Bucket::default());
        let later = TOKEN / 2;
        together([false, true].map(|gives_back| {
            let bucket = bucket.clone();
            Box::new(move || {
                if gives_back {
                    let taken = bucket.take(0, 4 * TOKEN).unwrap();
                    bucket.give_back(taken, later);
                } else {
                    bucket.take(later, 4 * TOKEN).unwrap();
                }
                0_u64
            }) as Box<_>
        }));
        // The other's token is owed in full; of the one that was given back, at most what came in meanwhile.
        let owed = bucket.owed(later);
        assert!((TOKEN..=TOKEN + later).contains(&owed), "{owed}");
    });
}

#[test]
fn threads_that_bring_the_same_new_key_share_its_bucket() {
    model(|| {
        let table = Arc::new(Table::default());
        let taken = together([7, 7].map(|id| {
            let table = table.clone();
            Box::new(move || u64::from(table.take(id, 0, TOKEN, 4).is_ok())) as Box<_>
        }));
        assert_eq!((taken, table.len()), (1, 1));
    });
}

/// Key 1 is full again at `later`, so key 2 may take its place, just when key 1 comes back.
#[test]
fn a_key_that_is_forgotten_while_it_comes_back_gets_no_more_than_its_burst() {
    model(|| {
        let later = 2 * TOKEN;
        let table = Arc::new(Table::default());
        table.take(1, 0, TOKEN, 1).unwrap();
        let taken = together([1, 2].map(|id| {
            let table = table.clone();
            Box::new(move || {
                let taken = table.take(id, later, TOKEN, 1).is_ok();
                u64::from(taken && id == 1)
            }) as Box<_>
        }));
        let again = u64::from(table.take(1, later, TOKEN, 1).is_ok());
        assert!(taken + again <= 1, "{taken} and {again}");
        assert!(table.len() <= 1);
    });
}
