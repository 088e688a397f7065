//! The breaker itself: closed, open and half-open, and the ways between them.
//!
//! A request looks at one atomic word; while that says closed, nothing else is looked at on the way in. The lock
//! is for the ways between states, and for the few requests that a half-open breaker lets through.

use super::state::{Forced, Look, State};
use super::sync::{AtomicU32, AtomicU64, Mutex, MutexGuard, Ordering, PoisonError};
use super::thresholds::Thresholds;
use super::window::{Counts, Window};
use super::word::{CLOSED, FORCED_CLOSED, FORCED_OPEN, HALF_OPEN, OPEN, Opening, mode, wait};

/// One request that was let through. Exactly one of [`Breaker::succeeded`], [`Breaker::failed`] and
/// [`Breaker::abandoned`] is to follow; what they say counts only if the breaker has not changed its state since.
#[derive(Clone, Copy, Debug)]
pub struct Permit {
    word: u64,
}

impl Permit {
    /// Whether the breaker's next state depends on this request alone or nearly so.
    pub fn is_probe(self) -> bool {
        mode(self.word) == HALF_OPEN
    }

    /// Counts up with the states of a breaker.
    #[cfg(test)]
    pub fn turn(self) -> u64 {
        self.word >> 2
    }
}

/// A request that was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// How many milliseconds from now another may have better luck.
    pub wait: u64,
    /// An operator holds the breaker open.
    pub forced: bool,
}

/// How long a caller waits for what is found out about a half-open breaker.
const SOON: u64 = 1_000;

/// Facts only; what they mean is up to the [`Thresholds`] that each call brings. Times are in milliseconds from
/// some beginning.
pub struct Breaker {
    /// The state in the two lowest bits. Above them, for [`OPEN`], an [`Opening`]; for the others a number that never
    /// comes again, so that a request can tell whether the state is still that of its beginning.
    word: AtomicU64,
    consecutive: AtomicU32,
    window: Window,
    turn: Mutex<Turn>,
}

/// What only matters where the state changes.
#[derive(Clone, Default)]
struct Turn {
    number: u64,
    /// Openings since the breaker was last closed.
    openings: u32,
    /// When it became half-open.
    began: u64,
    /// Requests let through since then, without those that came to nothing.
    probes: u32,
    succeeded: u32,
    forced: Forced,
}

impl Default for Breaker {
    fn default() -> Self {
        Breaker {
            word: AtomicU64::new(CLOSED),
            consecutive: AtomicU32::new(0),
            window: Window::default(),
            turn: Mutex::new(Turn::default()),
        }
    }
}

impl Breaker {
    /// One in the same state, without what was counted in its window.
    pub fn apart(&self) -> Self {
        let turn = self.turn();
        Breaker {
            word: AtomicU64::new(self.word.load(Ordering::Relaxed)),
            consecutive: AtomicU32::new(self.consecutive.load(Ordering::Relaxed)),
            window: Window::default(),
            turn: Mutex::new(turn.clone()),
        }
    }

    /// Lets a request through, or not. `moved` is told when that changes the state.
    ///
    /// # Errors
    /// When the breaker is open, or half-open and enough requests are under way to find out more.
    pub fn admit(
        &self,
        now: u64,
        thresholds: &Thresholds,
        moved: impl Fn(State),
    ) -> Result<Permit, Refused> {
        // What a request must see of another's turn, it sees under the lock.
        let word = self.word.load(Ordering::Relaxed);
        match mode(word) {
            CLOSED | FORCED_CLOSED => Ok(Permit { word }),
            OPEN => match wait(word, now, thresholds) {
                Some(wait) => Err(Refused {
                    wait,
                    forced: word == FORCED_OPEN,
                }),
                None => self.admit_probe(now, thresholds, moved),
            },
            _ => self.admit_probe(now, thresholds, moved),
        }
    }

    fn admit_probe(
        &self,
        now: u64,
        thresholds: &Thresholds,
        moved: impl Fn(State),
    ) -> Result<Permit, Refused> {
        let mut turn = self.turn();
        let word = self.word.load(Ordering::Relaxed);
        match mode(word) {
            CLOSED | FORCED_CLOSED => return Ok(Permit { word }),
            OPEN => {
                if let Some(wait) = wait(word, now, thresholds) {
                    return Err(Refused {
                        wait,
                        forced: word == FORCED_OPEN,
                    });
                }
                self.half_open(&mut turn, now);
                moved(State::HalfOpen);
            }
            // Whoever was let through may never come to an end. After as long as the breaker was open, others try.
            _ if now
                >= turn
                    .began
                    .saturating_add(thresholds.recovery(turn.openings)) =>
            {
                self.half_open(&mut turn, now);
            }
            _ => {}
        }
        if turn.probes >= thresholds.probes {
            return Err(Refused {
                wait: SOON,
                forced: false,
            });
        }
        turn.probes += 1;
        Ok(Permit {
            word: self.word.load(Ordering::Relaxed),
        })
    }

    /// The request of `permit` came to a good end.
    pub fn succeeded(
        &self,
        permit: Permit,
        now: u64,
        thresholds: &Thresholds,
        moved: impl Fn(State),
    ) {
        if self.word.load(Ordering::Relaxed) != permit.word {
            return;
        }
        match mode(permit.word) {
            CLOSED => {
                if self.consecutive.load(Ordering::Relaxed) != 0 {
                    self.consecutive.store(0, Ordering::Relaxed);
                }
                self.window.add(now, thresholds.window, false);
            }
            HALF_OPEN => {
                let mut turn = self.turn();
                if self.word.load(Ordering::Relaxed) != permit.word {
                    return;
                }
                turn.succeeded += 1;
                if turn.succeeded >= thresholds.probes {
                    self.close(&mut turn);
                    moved(State::Closed);
                }
            }
            _ => {}
        }
    }

    /// The request of `permit` failed. `random`, from 0 to 1, spreads the times at which many breakers try again.
    pub fn failed(
        &self,
        permit: Permit,
        now: u64,
        thresholds: &Thresholds,
        random: f64,
        moved: impl Fn(State),
    ) {
        if self.word.load(Ordering::Relaxed) != permit.word {
            return;
        }
        let opens = match mode(permit.word) {
            CLOSED => {
                let consecutive = self.consecutive.fetch_add(1, Ordering::Relaxed) + 1;
                self.window.add(now, thresholds.window, true);
                thresholds
                    .consecutive_failures
                    .is_some_and(|most| consecutive >= most)
                    || self.too_many(now, thresholds)
            }
            HALF_OPEN => true,
            _ => false,
        };
        if !opens {
            return;
        }
        let mut turn = self.turn();
        // Of several that fail at once, one opens the breaker.
        if self.word.load(Ordering::Relaxed) == permit.word {
            turn.openings = turn.openings.saturating_add(1);
            let opening = Opening {
                began: now,
                openings: turn.openings,
                spread: (random * 255.0) as u8,
            };
            self.word
                .store(opening.pack() << 2 | OPEN, Ordering::Relaxed);
            moved(State::Open);
        }
    }

    /// The request of `permit` ended without saying anything about the upstream: its caller went away.
    pub fn abandoned(&self, permit: Permit) {
        if permit.is_probe() {
            let mut turn = self.turn();
            if self.word.load(Ordering::Relaxed) == permit.word {
                turn.probes = turn.probes.saturating_sub(1);
            }
        }
    }

    /// Holds the breaker in a state, or lets go of it: then it begins anew, closed.
    pub fn force(&self, forced: Forced, moved: impl Fn(State)) {
        let mut turn = self.turn();
        if turn.forced == forced {
            return;
        }
        turn.forced = forced;
        let before = mode(self.word.load(Ordering::Relaxed));
        match forced {
            Forced::Open => {
                self.word.store(FORCED_OPEN, Ordering::Relaxed);
                if before != OPEN {
                    moved(State::Open);
                }
                return;
            }
            Forced::Closed => {
                let number = turn.next();
                self.word
                    .store(number << 2 | FORCED_CLOSED, Ordering::Relaxed);
            }
            Forced::No => self.close(&mut turn),
        }
        if ![CLOSED, FORCED_CLOSED].contains(&before) {
            moved(State::Closed);
        }
    }

    pub fn look(&self, now: u64, thresholds: &Thresholds) -> Look {
        let turn = self.turn();
        let word = self.word.load(Ordering::Relaxed);
        let (state, wait) = match mode(word) {
            OPEN if word == FORCED_OPEN => (State::Open, None),
            OPEN => (State::Open, wait(word, now, thresholds).or(Some(0))),
            HALF_OPEN => (State::HalfOpen, None),
            _ => (State::Closed, None),
        };
        Look {
            state,
            forced: turn.forced,
            wait,
            consecutive: self.consecutive.load(Ordering::Relaxed),
            window: self.window.counts(now, thresholds.window),
        }
    }

    fn too_many(&self, now: u64, thresholds: &Thresholds) -> bool {
        let Some(ratio) = thresholds.failure_ratio else {
            return false;
        };
        let Counts { requests, failures } = self.window.counts(now, thresholds.window);
        requests >= thresholds.min_requests && failures as f64 >= ratio * requests as f64
    }

    fn half_open(&self, turn: &mut Turn, now: u64) {
        (turn.began, turn.probes, turn.succeeded) = (now, 0, 0);
        let number = turn.next();
        self.word.store(number << 2 | HALF_OPEN, Ordering::Relaxed);
    }

    fn close(&self, turn: &mut Turn) {
        turn.openings = 0;
        self.consecutive.store(0, Ordering::Relaxed);
        self.window.clear();
        let number = turn.next();
        self.word.store(number << 2 | CLOSED, Ordering::Relaxed);
    }

    fn turn(&self) -> MutexGuard<'_, Turn> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn {
    fn next(&mut self) -> u64 {
        self.number += 1;
        self.number
    }
}
