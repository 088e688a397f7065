//! The task of a relay: it takes rows, has them published, and says in the table what became of them.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{join_all, pending};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use super::account::{Account, State};
use super::batch::Publisher;
use super::ear::Ear;
use super::held::Held;
use super::outbox::{Outbox, Settled, Taken, Trouble};
use super::unsettled::Unsettled;
use super::{Config, Relay};
use crate::broker::State as BrokerState;
use crate::net::backoff::{Backoff, Jitter};

/// How often is looked whether the first try to connect to the broker has ended.
const SOON: Duration = Duration::from_millis(20);
/// How often is looked whether the broker is there, or another process still has rows under way.
pub(super) const LOOK: Duration = Duration::from_secs(1);
/// How often the table is asked how many rows wait.
const ASK: Duration = Duration::from_secs(15);
/// How many times as long as that takes is not asked again: rows are published meanwhile.
const ASKING: u32 = 20;
/// The longest that anything may take which the database does; it has shorter limits of its own.
const DATABASE: Duration = Duration::from_secs(60);

/// When a database that fails is tried again.
const TRY_AGAIN: Backoff = Backoff {
    first: Duration::from_secs(1),
    longest: Duration::from_secs(30),
    jitter: Jitter::Half,
};

/// What is wanted of a relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    Relaying,
    Paused,
    Ended,
}

pub(super) struct Runner {
    pub name: Arc<str>,
    pub config: Config,
    pub outbox: Arc<dyn Outbox>,
    pub publisher: Publisher,
    pub account: Arc<Account>,
    pub wanted: watch::Receiver<Wanted>,
    /// What may still have rows of the same table under way.
    pub after: Vec<Arc<Relay>>,
    pub own: Own,
}

/// What a relay remembers from one transaction to the next.
#[derive(Default)]
pub(super) struct Own {
    pub held: Held,
    pub unsettled: Unsettled,
    ear: Ear,
    /// When the table is asked again how many rows wait.
    ask_at: Option<Instant>,
    /// How often the database has failed, one after the other.
    failures: u32,
}

/// When to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    Now,
    /// Or when there are new rows.
    After(Duration),
    /// Whether there are new rows or not.
    NotBefore(Duration),
}

impl Runner {
    /// Publishes until it is to end.
    pub async fn run(mut self) {
        self.wait_for_others().await;
        loop {
            let wanted = *self.wanted.borrow_and_update();
            let next = match wanted {
                Wanted::Ended => break,
                Wanted::Paused => {
                    self.tell(State::Paused, None);
                    None
                }
                Wanted::Relaying => Some(self.step().await),
            };
            if self.wait(next).await.is_err() {
                break;
            }
        }
        self.tell(State::Ending, None);
    }

    /// What was under way before comes before what is taken now.
    async fn wait_for_others(&mut self) {
        let others = std::mem::take(&mut self.after);
        if others.is_empty() {
            return;
        }
        let why = "what was under way before the config changed is not over".to_owned();
        self.tell(State::Waiting, Some(why));
        let ended = others.iter().map(|other| other.ended());
        tokio::select! {
            _all = join_all(ended) => {}
            _ended_or_gone = self.wanted.wait_for(|wanted| *wanted == Wanted::Ended) => {}
        }
    }

    /// Waits until it is time to go on, something else is wanted, or nobody wants anything any more. What the bell says is
    /// always heard: a server keeps for all who listen what one has not heard yet.
    async fn wait(&mut self, next: Option<Next>) -> Result<(), watch::error::RecvError> {
        let until = match next {
            Some(Next::Now) => return Ok(()),
            Some(Next::After(wait) | Next::NotBefore(wait)) => Some(Instant::now() + wait),
            None => None,
        };
        let may_wake = matches!(next, Some(Next::After(_)));
        loop {
            tokio::select! {
                biased;
                changed = self.wanted.changed() => return changed,
                () = at(until) => return Ok(()),
                heard = self.own.ear.hears() => {
                    if let Err(Trouble(why)) = heard {
                        self.hears_nothing(why);
                    }
                    // What was told meanwhile may be lost, too.
                    if may_wake {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// One transaction, if there can be one.
    async fn step(&mut self) -> Next {
        let broker = self.publisher.client.state();
        if broker.is_new() {
            self.tell(State::Starting, None);
            return Next::NotBefore(SOON);
        }
        if let Some(why) = why_not(&broker) {
            self.tell(State::Waiting, Some(why));
            return Next::NotBefore(LOOK);
        }
        if self.own.held.is_full() {
            let why = format!(
                "{} rows failed, and more are not taken before they are tried again",
                self.own.held.len()
            );
            self.tell(State::Waiting, Some(why));
            return Next::NotBefore(LOOK);
        }
        match self.look().await {
            Ok(next) => {
                self.own.failures = 0;
                next
            }
            Err(Trouble(why)) => {
                self.account.went_wrong(None, "database_failed", &why);
                self.tell(State::Detached, Some(why));
                let wait = TRY_AGAIN.after(self.own.failures);
                self.own.failures += 1;
                Next::NotBefore(wait)
            }
        }
    }

    async fn look(&mut self) -> Result<Next, Trouble> {
        self.listen().await;
        self.ask().await;
        let excluded = self.own.held.excluded();
        match limited(self.outbox.take(&excluded)).await? {
            Taken::Elsewhere => {
                let why = "another process has rows of this table under way".to_owned();
                self.tell(State::Standby, Some(why));
                // It may end in the middle, and nobody would tell.
                Ok(Next::NotBefore(self.config.poll.0.min(LOOK)))
            }
            Taken::Rows { rows, more, lock } => {
                self.tell(State::Relaying, None);
                if !more {
                    let Own {
                        held, unsettled, ..
                    } = &mut self.own;
                    unsettled.keep(&rows, |id| held.has_id(id));
                    held.forget_gone(&rows);
                    self.note_held();
                }
                if rows.is_empty() {
                    limited(lock.settle(Settled::default())).await?;
                    // Where there are some, somebody else has locked them.
                    return Ok(self.idle());
                }
                let wanted = self.wanted.clone();
                let goes_on = move || *wanted.borrow() == Wanted::Relaying;
                let taken = rows.len();
                let (before, rows) = self.own.unsettled.split(rows);
                let tried = self.publisher.publish(rows, &goes_on).await;
                let is_rest = !more && before.len() + tried.count() == taken;
                self.settle(lock, before, tried, is_rest).await
            }
        }
    }

    /// When there is nothing to take: the next look, the next attempt of a row that failed, or the next one to listen.
    pub(super) fn idle(&self) -> Next {
        let now = Instant::now();
        let left = |at: Instant| at.saturating_duration_since(now);
        let poll = self.config.poll.0;
        let poll = self.own.ear.next().map_or(poll, |at| left(at).min(poll));
        let due = self.own.held.next().map(left);
        // What is due was looked for just now.
        let due = due.filter(|due| !due.is_zero());
        Next::After(due.map_or(poll, |due| due.min(poll)))
    }

    pub(super) fn note_held(&self) {
        let mut known = self.account.known();
        known.held = self.own.held.len();
        known.held_rows = self.own.held.shown();
    }

    async fn listen(&mut self) {
        match self.own.ear.begin(&*self.outbox).await {
            None => {}
            Some(Ok(())) => self.account.listens(Ok(())),
            Some(Err(Trouble(why))) => self.hears_nothing(why),
        }
    }

    fn hears_nothing(&self, why: String) {
        let (relay, poll) = (&*self.name, self.config.poll.0);
        if self.account.known().not_listening.as_ref() != Some(&why) {
            tracing::warn!(
                relay,
                why,
                "nobody tells of new rows: it is looked for them every {poll:?}"
            );
        }
        self.account.listens(Err(why));
    }

    /// Asks how much waits. Where the database does not say it, rows are published all the same.
    async fn ask(&mut self) {
        let now = Instant::now();
        if self.own.ask_at.is_some_and(|at| now < at) {
            return;
        }
        let waiting = limited(self.outbox.waiting()).await;
        let pause = ASK.max(now.elapsed() * ASKING);
        self.own.ask_at = Some(Instant::now() + pause);
        match waiting {
            Ok(waiting) => self.account.waits(Some(waiting)),
            Err(Trouble(why)) => {
                self.account.went_wrong(None, "not_counted", &why);
                self.account.waits(None);
            }
        }
    }

    /// Says what the relay does now.
    pub(super) fn tell(&self, state: State, why: Option<String>) {
        if !self.account.is_now(state, why.clone()) {
            return;
        }
        let relay = &*self.name;
        match state {
            State::Waiting | State::Detached => {
                tracing::warn!(relay, why, "no rows are published");
            }
            // Those who share a table take turns.
            State::Standby | State::Relaying => {
                tracing::debug!(relay, ?state, "the relay has a new state");
            }
            State::Starting | State::Paused | State::Ending => {
                tracing::info!(relay, ?state, "the relay has a new state");
            }
        }
    }
}

/// Why nothing can be published now.
fn why_not(broker: &BrokerState) -> Option<String> {
    if !broker.is_connected() {
        return Some("the broker is not connected".to_owned());
    }
    let alarm = broker.blocked.as_ref()?;
    Some(format!("the broker takes no messages: {alarm}"))
}

pub(super) async fn limited<T>(
    asked: impl Future<Output = Result<T, Trouble>>,
) -> Result<T, Trouble> {
    timeout(DATABASE, asked).await.unwrap_or_else(|_| {
        Err(Trouble(format!(
            "the database has not answered within {DATABASE:?}"
        )))
    })
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => pending().await,
    }
}
