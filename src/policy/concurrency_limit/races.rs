//! Every order in which three threads can meet at the last places, tried out by `loom`: the very source file that
//! ships, with loom's atomics in place of those of the standard library.

use loom::sync::Arc;
use loom::thread;

mod sync {
    pub use loom::sync::atomic::{AtomicU32, Ordering};
}
#[path = "slots.rs"]
mod slots;

#[test]
fn no_more_are_let_in_than_there_is_room_for() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let slots = Arc::new(slots::Slots::default());
        let threads = [0, 1, 2].map(|_| {
            let slots = slots.clone();
            thread::spawn(move || {
                let let_in = slots.take(2).inspect(|taken| assert!(*taken <= 2));
                if let_in == Some(2) {
                    slots.give_back();
                }
                u32::from(let_in.is_some())
            })
        });
        let let_in: u32 = threads.into_iter().map(|t| t.join().unwrap()).sum();
        assert!(let_in >= 2);
        assert!(slots.taken() <= 2);
    });
}
