//! One bucket of tokens: the generic cell rate algorithm (GCRA, ITU-T I.371 annex A) on one atomic word.
//!
//! GCRA keeps one number, the theoretical arrival time. Kept as a time it would speak of the rate by which it was
//! computed, and mean something else after a reload. So it is kept in tokens here: [`Refill`] counts the tokens
//! that have ever come in, and a bucket holds the count at which all that was taken from it will be back.

use super::sync::{AtomicU64, Ordering};

/// One token, in the unit in which tokens are counted: fine enough for a token a year.
pub const TOKEN: u64 = 1 << 20;

/// No bucket is larger. What looks like a larger debt is a count that has wrapped around: an old one.
const MOST_OWED: u64 = (1 << 32) * TOKEN;

/// The tokens that have come in since some beginning, modulo 2^64.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Refill {
    /// The count at `origin`.
    pub count: u64,
    /// Tokens in a second.
    pub rate: f64,
}

impl Refill {
    /// The count after `seconds`.
    pub fn after(&self, seconds: f64) -> u64 {
        // By way of u128, because a conversion to u64 would stop at its end instead of wrapping around.
        let come_in = (seconds * self.rate * TOKEN as f64) as u128 as u64;
        self.count.wrapping_add(come_in)
    }
}

/// Tokens taken and not yet back. A new bucket is full.
#[derive(Default)]
pub struct Bucket {
    /// The count of [`Refill`] at which the bucket is full again.
    full_at: AtomicU64,
}

/// A token that was taken, and may be given back.
#[derive(Clone, Copy, Debug)]
pub struct Taken {
    before: u64,
    after: u64,
    /// What the bucket owes now that it is taken.
    pub owed: u64,
}

impl Bucket {
    /// A bucket that owes what `other` owes at `count`.
    pub fn like(other: &Bucket, count: u64) -> Self {
        Bucket {
            full_at: AtomicU64::new(count.wrapping_add(other.owed(count))),
        }
    }

    /// One that owes the same.
    pub fn apart(&self) -> Self {
        Bucket {
            full_at: AtomicU64::new(self.full_at.load(Ordering::Relaxed)),
        }
    }

    /// How much was taken and is not back at `count`.
    pub fn owed(&self, count: u64) -> u64 {
        owed(self.full_at.load(Ordering::Relaxed), count)
    }

    /// Takes a token, when the bucket then owes no more than `burst`.
    ///
    /// # Errors
    /// What it owes already.
    pub fn take(&self, count: u64, burst: u64) -> Result<Taken, u64> {
        let mut full_at = self.full_at.load(Ordering::Relaxed);
        loop {
            let owed = owed(full_at, count);
            if owed + TOKEN > burst {
                return Err(owed);
            }
            let before = count.wrapping_add(owed);
            let after = before.wrapping_add(TOKEN);
            match self.exchange(full_at, after) {
                Ok(_) => {
                    return Ok(Taken {
                        before,
                        after,
                        owed: owed + TOKEN,
                    });
                }
                Err(changed) => full_at = changed,
            }
        }
    }

    /// Gives a token back at `count`.
    ///
    /// When others have taken tokens meanwhile, what has come in since is not given back with it: the bucket may
    /// have been full without it, and must not get more than it lost.
    pub fn give_back(&self, taken: Taken, count: u64) {
        if self.exchange(taken.after, taken.before).is_err() {
            // What it owed does not matter here: only how far the count has moved since the token was taken.
            let taken_at = taken.after.wrapping_sub(taken.owed);
            let come_in = count.wrapping_sub(taken_at).min(TOKEN);
            self.full_at.fetch_sub(TOKEN - come_in, Ordering::Relaxed);
        }
    }

    /// Owes no more than `burst` from now on: a bucket that became smaller is empty, not less than empty.
    pub fn clamp(&self, count: u64, burst: u64) {
        let mut full_at = self.full_at.load(Ordering::Relaxed);
        while owed(full_at, count) > burst {
            match self.exchange(full_at, count.wrapping_add(burst)) {
                Ok(_) => return,
                Err(changed) => full_at = changed,
            }
        }
    }

    fn exchange(&self, from: u64, to: u64) -> Result<u64, u64> {
        // Nothing else is published by it, so the order of other memory does not matter.
        self.full_at
            .compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed)
    }
}

fn owed(full_at: u64, count: u64) -> u64 {
    match full_at.wrapping_sub(count) {
        owed if owed <= MOST_OWED => owed,
        _ => 0,
    }
}
