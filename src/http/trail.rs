//! What happened to a request on its way, for whoever asks later why it failed or took long.
//!
//! Nothing is kept, and nothing allocated, of a request that its first endpoint answers well.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// So many attempts are remembered of a request, and so many acts of policies; of more the first.
const MOST: usize = 16;
/// Of an attempt that takes so long it is remembered how long it was at what, as the request may turn out to be slow.
pub const LONG: Duration = Duration::from_millis(50);

/// When what happened to an attempt. What is in microseconds is since its beginning; 0: it did not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// Its endpoint was picked.
    pub began: Instant,
    /// A connection began to be made for it.
    pub connects: u32,
    /// The handshake of TLS began.
    pub secures: u32,
    /// A connection had the request. 0 where it was there at once.
    pub asked: u32,
    /// Whether a connection had the request at all.
    pub sent: bool,
    /// The head of its answer was here, or it was over without one.
    pub ended: u32,
}

/// How long an attempt was at what. None: it did not come so far, or had no need to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Phases {
    /// It waited for a connection of our own pool; that of a database is made within.
    pub queue: Option<Duration>,
    /// A connection was made, without TLS.
    pub connect: Option<Duration>,
    /// The handshake of TLS.
    pub tls: Option<Duration>,
    /// From when a connection had the request to the head of the answer.
    pub first_byte: Option<Duration>,
}

/// Who was asked, by the name that the config has for it.
#[derive(Clone, Debug)]
pub enum Asked {
    Endpoint {
        upstream: Arc<str>,
        /// Its address.
        endpoint: Arc<str>,
    },
    Database(Box<str>),
    Broker(Box<str>),
    /// The directory of files.
    Root(Box<str>),
}

/// An attempt that came to something else than a good answer, or took [`LONG`].
#[derive(Clone, Debug)]
pub struct Attempted {
    pub asked: Asked,
    pub times: Times,
    /// What it came to: a status, the name of a reason, `timeout` or `cancelled`.
    pub outcome: Cow<'static, str>,
    /// The same in a sentence, for operators only.
    pub detail: Option<Box<str>>,
}

/// What a policy did about a request.
#[derive(Clone, Debug)]
pub struct Acted {
    pub at: Instant,
    /// As its key in the config.
    pub policy: &'static str,
    /// In words, without anything that came from the caller.
    pub did: Cow<'static, str>,
}

/// All that is known of a request's way.
#[derive(Clone, Debug, Default)]
pub struct Steps {
    /// In the order in which they ended.
    pub attempts: Vec<Attempted>,
    pub acts: Vec<Acted>,
    /// So many more of both were not remembered.
    pub forgotten: u32,
}

/// Where those note who have to do with a request.
#[derive(Debug, Default)]
pub struct Trail(Mutex<Option<Box<Steps>>>);

impl Trail {
    /// An attempt is over, or its answer is no good one.
    #[cold]
    pub fn attempted(&self, attempted: Attempted) {
        let mut kept = self.kept();
        let steps = kept.get_or_insert_default();
        if steps.attempts.len() < MOST {
            steps.attempts.push(attempted);
        } else {
            steps.forgotten += 1;
        }
    }

    /// A policy has done something that most requests do not meet.
    #[cold]
    pub fn acted(&self, policy: &'static str, did: impl Into<Cow<'static, str>>) {
        let mut kept = self.kept();
        let steps = kept.get_or_insert_default();
        if steps.acts.len() < MOST {
            steps.acts.push(Acted {
                at: Instant::now(),
                policy,
                did: did.into(),
            });
        } else {
            steps.forgotten += 1;
        }
    }

    /// All that was noted; None where there was nothing to note.
    #[inline]
    pub fn take(&self) -> Option<Box<Steps>> {
        self.kept().take()
    }

    fn kept(&self) -> MutexGuard<'_, Option<Box<Steps>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Asked {
    pub fn upstream(&self) -> Option<&str> {
        match self {
            Asked::Endpoint { upstream, .. } => Some(upstream),
            _ => None,
        }
    }

    pub fn endpoint(&self) -> Option<&str> {
        match self {
            Asked::Endpoint { endpoint, .. } => Some(endpoint),
            _ => None,
        }
    }

    pub fn database(&self) -> Option<&str> {
        match self {
            Asked::Database(name) => Some(name),
            _ => None,
        }
    }

    pub fn broker(&self) -> Option<&str> {
        match self {
            Asked::Broker(name) => Some(name),
            _ => None,
        }
    }

    pub fn root(&self) -> Option<&str> {
        match self {
            Asked::Root(directory) => Some(directory),
            _ => None,
        }
    }

    /// How much memory it takes for itself; names of endpoints are shared.
    pub fn bytes(&self) -> usize {
        match self {
            Asked::Endpoint { .. } => 0,
            Asked::Database(name) | Asked::Broker(name) | Asked::Root(name) => name.len(),
        }
    }
}

impl Times {
    pub fn phases(&self) -> Phases {
        let span = |from: u32, to: u32| Duration::from_micros(to.saturating_sub(from).into());
        let over = if self.sent { self.asked } else { self.ended };
        Phases {
            queue: match (self.connects, over) {
                (0, 0) => None,
                (0, over) => Some(span(0, over)),
                (1, _) => None,
                (connects, _) => Some(span(0, connects)),
            },
            connect: (self.connects > 0).then(|| match self.secures {
                0 => span(self.connects, over),
                secures => span(self.connects, secures),
            }),
            tls: (self.secures > 0).then(|| span(self.secures, over)),
            first_byte: self.sent.then(|| span(self.asked, self.ended)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(connects: u32, secures: u32, asked: Option<u32>, ended: u32) -> Times {
        Times {
            began: Instant::now(),
            connects,
            secures,
            asked: asked.unwrap_or_default(),
            sent: asked.is_some(),
            ended,
        }
    }

    fn of(times: Times) -> [Option<u64>; 4] {
        let phases = times.phases();
        [phases.queue, phases.connect, phases.tls, phases.first_byte]
            .map(|phase| phase.map(|phase| phase.as_micros() as u64))
    }

    #[test]
    fn an_attempt_is_at_one_thing_after_the_other() {
        let none = None;
        for (times, phases) in [
            (times(0, 0, Some(0), 700), [none, none, none, Some(700)]),
            (
                times(0, 0, Some(300), 700),
                [Some(300), none, none, Some(400)],
            ),
            (
                times(1, 0, Some(300), 700),
                [none, Some(299), none, Some(400)],
            ),
            (
                times(50, 100, Some(300), 700),
                [Some(50), Some(50), Some(200), Some(400)],
            ),
            (
                times(50, 100, None, 700),
                [Some(50), Some(50), Some(600), none],
            ),
            (times(50, 0, None, 700), [Some(50), Some(650), none, none]),
            (times(0, 0, None, 700), [Some(700), none, none, none]),
        ] {
            assert_eq!(of(times), phases, "{times:?}");
        }
    }

    #[test]
    fn nothing_is_kept_of_what_goes_well_and_not_all_of_what_goes_on_for_ever() {
        let trail = Trail::default();
        assert!(trail.take().is_none());
        for _ in 0..MOST + 3 {
            trail.acted("retry", "sent again");
        }
        let steps = trail.take().unwrap();
        assert_eq!((steps.acts.len(), steps.forgotten), (MOST, 3));
        assert!(trail.take().is_none());
    }
}
