//! Waiting for something to become true.

use std::time::{Duration, Instant};

/// What should happen at once, on a busy machine.
pub const SOON: Duration = Duration::from_secs(5);

/// Longer than anything may take: a test that hangs fails here.
pub const LIMIT: Duration = Duration::from_secs(20);

/// Looks again and again until `holds`, and panics with `what` after `limit`.
pub fn eventually(limit: Duration, what: &str, mut holds: impl FnMut() -> bool) {
    assert!(poll(limit, &mut holds), "not within {limit:?}: {what}");
}

/// Panics with `what` if `holds` is false at any look during `length`: for what must not happen.
pub fn stays(length: Duration, what: &str, mut holds: impl FnMut() -> bool) {
    assert!(
        !poll(length, &mut || !holds()),
        "not for {length:?}: {what}"
    );
}

/// Whether `holds` became true within `limit`.
pub fn poll(limit: Duration, holds: &mut dyn FnMut() -> bool) -> bool {
    let end = Instant::now() + limit;
    loop {
        if holds() {
            return true;
        }
        if Instant::now() >= end {
            return false;
        }
        pause();
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place that sleeps, between two looks at a condition"
)]
fn pause() {
    std::thread::sleep(Duration::from_millis(2));
}
