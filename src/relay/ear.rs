//! Hearing of new rows.

use std::future::pending;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::{Instant, timeout};

use super::outbox::{Bell, Outbox, Trouble};
use crate::net::backoff::{Backoff, Jitter};

/// When it is tried again to be told of new rows, where that fails. There is still the look now and then.
const TRY_AGAIN: Backoff = Backoff {
    first: Duration::from_secs(1),
    longest: Duration::from_secs(60),
    jitter: Jitter::Half,
};
/// How long a database may take.
const LIMIT: Duration = Duration::from_secs(10);
/// How many rings of the bell are taken for one.
const RINGS: usize = 10_000;

/// Hears of new rows, where somebody tells.
#[derive(Default)]
pub(super) struct Ear {
    bell: Option<Box<dyn Bell>>,
    /// When it is tried again.
    again: Option<Instant>,
    /// How often it has failed, one after the other.
    failures: u32,
}

impl Ear {
    /// Begins to listen, if it is time to. Answers whether it listens from now on, or why not, where that is new.
    pub async fn begin(&mut self, outbox: &dyn Outbox) -> Option<Result<(), Trouble>> {
        let now = Instant::now();
        if self.bell.is_some() || self.again.is_some_and(|again| now < again) {
            return None;
        }
        let listening = timeout(LIMIT, outbox.listen()?).await;
        let listening = listening.unwrap_or_else(|_| {
            Err(Trouble(format!(
                "the database has not begun to tell of new rows within {LIMIT:?}"
            )))
        });
        Some(match listening {
            Ok(bell) => {
                self.bell = Some(bell);
                self.failures = 0;
                Ok(())
            }
            Err(trouble) => {
                self.fails();
                Err(trouble)
            }
        })
    }

    fn fails(&mut self) {
        self.bell = None;
        self.again = Some(Instant::now() + TRY_AGAIN.after(self.failures));
        self.failures += 1;
    }

    /// When it is tried again to be told of new rows, where that has failed.
    pub fn next(&self) -> Option<Instant> {
        self.again.filter(|_| self.bell.is_none())
    }

    /// Completes when there are new rows; never where nobody tells. Many transactions ring often, and one look sees the rows
    /// of all.
    ///
    /// # Errors
    /// When nobody tells any more.
    pub async fn hears(&mut self) -> Result<(), Trouble> {
        let Some(bell) = &mut self.bell else {
            return pending().await;
        };
        let mut rung = bell.rings().await;
        for _ in 0..RINGS {
            match rung {
                Ok(()) => match bell.rings().now_or_never() {
                    Some(again) => rung = again,
                    None => return Ok(()),
                },
                Err(_) => break,
            }
        }
        if rung.is_err() {
            self.fails();
        }
        rung
    }
}
