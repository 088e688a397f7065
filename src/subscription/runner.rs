//! The task of a subscription: it takes messages, has them delivered, and tells the broker what became of each.

use std::collections::{HashSet, VecDeque};
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};

use super::account::{Account, State};
use super::attempt::{self, Attempt, End};
use super::request::order_key;
use super::{Config, Deliver, Subscription};
use crate::broker::{Client, Consumer, Delivery, Source, Verdict};
use crate::net::backoff::{Backoff, Jitter};

/// How often is looked whether the broker is there.
const LOOK: Duration = Duration::from_secs(1);
/// How often the broker is asked how many messages wait.
const ASK: Duration = Duration::from_secs(15);
/// Messages that nobody takes are kept so long; then they go back, for other consumers and because brokers end a consumer
/// that settles nothing (RabbitMQ after 30 min).
const KEPT: Duration = Duration::from_secs(10 * 60);
/// How long a broker may take to hear that a consumer ends, or that a message goes back.
const HAND_BACK: Duration = Duration::from_secs(10);

/// When an application that is not there is tried again. It is near, and one request tells: so long at the most is nothing
/// delivered once it is back.
const TRY_AGAIN: Backoff = Backoff {
    first: Duration::from_secs(1),
    longest: Duration::from_secs(5),
    jitter: Jitter::Half,
};

/// What is wanted of a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    Delivering,
    Paused,
    Ended,
}

pub(super) struct Runner {
    pub name: Arc<str>,
    pub config: Config,
    pub source: Source,
    pub client: Arc<dyn Client>,
    pub deliver: Arc<dyn Deliver>,
    pub attempt: Arc<Attempt>,
    pub account: Arc<Account>,
    pub wanted: watch::Receiver<Wanted>,
    /// What may still deliver messages of the same source, where order is asked for.
    pub after: Vec<Arc<Subscription>>,
    pub held: Held,
}

/// What is taken, and what is under way.
#[derive(Default)]
pub(super) struct Held {
    consumer: Option<Box<dyn Consumer>>,
    /// Taken, and not begun.
    ready: VecDeque<Delivery>,
    /// The keys of what is under way, where order is asked for.
    busy: HashSet<String>,
    under_way: JoinSet<End>,
    absence: Option<Absence>,
    asked: Option<BoxFuture<'static, Option<u64>>>,
}

/// The application is not there.
struct Absence {
    why: String,
    /// Since when messages are kept.
    kept_since: Instant,
    failures: u32,
    next: Instant,
}

impl Runner {
    /// Delivers until it is to end, and until what is under way by then has ended.
    pub async fn run(mut self) {
        self.wait_for_others().await;
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut ask_at = Instant::now();
        loop {
            let wanted = *self.wanted.borrow_and_update();
            match wanted {
                Wanted::Ended => break,
                Wanted::Paused => self.let_go().await,
                Wanted::Delivering if self.held.consumer.is_none() => self.attach(),
                Wanted::Delivering => {}
            }
            if wanted == Wanted::Delivering {
                self.begin();
            }
            self.tell(wanted);
            let has_room = self.has_room();
            let held = &mut self.held;
            // Whoever is told to end takes no more, also when there is more to take.
            tokio::select! {
                biased;
                changed = self.wanted.changed() => if changed.is_err() {
                    break;
                },
                Some(ended) = held.under_way.join_next(), if !held.under_way.is_empty() => self.ended(ended),
                () = turn(held.absence.as_ref(), !held.ready.is_empty()) => self.still_absent().await,
                waiting = answer(&mut held.asked) => {
                    held.asked = None;
                    self.account.known().lag = waiting;
                }
                now = looks.tick() => if now >= ask_at && held.asked.is_none() {
                    ask_at = now + ASK;
                    self.ask();
                },
                delivery = next(&mut held.consumer), if has_room && wanted == Wanted::Delivering => held.ready.push_back(delivery),
            }
        }
        self.tell(Wanted::Ended);
        self.let_go().await;
        while let Some(ended) = self.held.under_way.join_next().await {
            self.ended(ended);
        }
        // What was under way, and was kept.
        self.let_go().await;
    }

    /// What was under way before comes before what is taken now.
    async fn wait_for_others(&mut self) {
        let others = std::mem::take(&mut self.after);
        if others.is_empty() {
            return;
        }
        let why = "what was under way before the config changed is not over".to_owned();
        self.account.is_now(State::Waiting, Some(why));
        let ended = others.iter().map(|other| other.ended());
        tokio::select! {
            _all = join_all(ended) => {}
            _ended_or_gone = self.wanted.wait_for(|wanted| *wanted == Wanted::Ended) => {}
        }
    }

    fn attach(&mut self) {
        self.held.consumer = Some(self.client.consume(&self.source, self.config.prefetch));
    }

    /// How many may be taken at once.
    fn window(&self) -> usize {
        if self.held.absence.is_some() {
            1
        } else {
            usize::from(self.config.prefetch)
        }
    }

    fn has_room(&self) -> bool {
        self.held.ready.len() + self.held.under_way.len() < self.window()
    }

    /// Begins with what may begin.
    fn begin(&mut self) {
        let held = &self.held;
        let waits = held.absence.as_ref();
        if waits.is_some_and(|absence| Instant::now() < absence.next) {
            return;
        }
        let window = self.window();
        let mut place = 0;
        while self.held.under_way.len() < window {
            let Some(delivery) = self.held.ready.get(place) else {
                return;
            };
            let by = self.config.ordered_by.as_ref();
            let key = by.and_then(|by| order_key(by, delivery));
            if key.as_ref().is_some_and(|key| self.held.busy.contains(key)) {
                place += 1;
                continue;
            }
            let Some(delivery) = self.held.ready.remove(place) else {
                return;
            };
            self.held.busy.extend(key.clone());
            let attempt = self.attempt.clone();
            self.held
                .under_way
                .spawn(attempt.of(delivery, key, self.deliver.clone()));
        }
    }

    fn ended(&mut self, ended: Result<End, JoinError>) {
        let End { key, became } = match ended {
            Ok(end) => end,
            Err(error) => {
                // Its message went back when it was dropped. Which key it had is not known. It comes again, and may fail
                // again.
                tracing::error!(subscription = &*self.name, %error, "a delivery panicked");
                self.held.busy.clear();
                self.absent("a delivery failed in the proxy itself".to_owned(), None);
                return;
            }
        };
        if let Some(key) = key {
            self.held.busy.remove(&key);
        }
        match became {
            attempt::Became::Settled => self.held.absence = None,
            attempt::Became::Kept {
                delivery,
                why,
                wait,
            } => {
                self.held.ready.push_front(delivery);
                self.absent(why, wait);
            }
        }
    }

    /// Nobody has looked at a message.
    fn absent(&mut self, why: String, wait: Option<Duration>) {
        let now = Instant::now();
        // What was under way beside the first of its kind tells nothing new.
        if self
            .held
            .absence
            .as_ref()
            .is_some_and(|absence| now < absence.next)
        {
            return;
        }
        let before = self.held.absence.take();
        let failures = before.as_ref().map_or(0, |absence| absence.failures);
        let after = wait.unwrap_or_else(|| TRY_AGAIN.after(failures));
        self.held.absence = Some(Absence {
            why,
            kept_since: before.map_or(now, |absence| absence.kept_since),
            failures: failures + 1,
            next: now + after.min(TRY_AGAIN.longest),
        });
    }

    /// It is time to try again, and nothing was taken with which to; or everything is kept for too long.
    async fn still_absent(&mut self) {
        let now = Instant::now();
        let absence = self.held.absence.as_mut();
        if let Some(absence) = absence.filter(|absence| now >= absence.kept_since + KEPT) {
            absence.kept_since = now;
            self.let_go().await;
        }
    }

    /// Ends the consumer, and hands back what is not begun. Where order is asked for, what is under way ends before: only what
    /// goes back with all else does so to where it was.
    async fn let_go(&mut self) {
        let is_ordered = self.config.ordered_by.is_some();
        if is_ordered && !self.held.under_way.is_empty() {
            return;
        }
        let consumer = self.held.consumer.take();
        let ready = std::mem::take(&mut self.held.ready);
        if consumer.is_none() && ready.is_empty() {
            return;
        }
        let verdict = if is_ordered {
            Verdict::Leave
        } else {
            Verdict::Return
        };
        let back = ready
            .into_iter()
            .map(|delivery| delivery.settle.settle(verdict.clone()));
        let all = async {
            for lost in join_all(back).await.into_iter().filter_map(Result::err) {
                tracing::debug!(
                    subscription = &*self.name,
                    "a message went back by itself: {}",
                    lost.0
                );
            }
            if let Some(consumer) = consumer {
                consumer.close().await;
            }
        };
        if timeout(HAND_BACK, all).await.is_err() {
            tracing::warn!(
                subscription = &*self.name,
                "the broker does not say whether it has messages back: it gives them out again by itself"
            );
        }
    }

    /// Says what the subscription does now.
    fn tell(&self, wanted: Wanted) {
        let held = &self.held;
        let trouble = held
            .consumer
            .as_ref()
            .and_then(|consumer| consumer.trouble());
        let (state, why) = match (wanted, &held.absence, trouble) {
            (Wanted::Ended, _, _) => (State::Ending, None),
            (Wanted::Paused, _, _) => (State::Paused, None),
            (_, _, Some(trouble)) => (State::Detached, Some(trouble)),
            (_, Some(absence), None) => (State::Waiting, Some(absence.why.clone())),
            _ => (State::Delivering, None),
        };
        self.account.known().in_flight = held.ready.len() + held.under_way.len();
        if !self.account.is_now(state, why.clone()) {
            return;
        }
        let subscription = &*self.name;
        match state {
            State::Waiting | State::Detached => {
                tracing::warn!(subscription, why, "no messages are delivered");
            }
            _ => tracing::info!(subscription, ?state, "the subscription has a new state"),
        }
    }

    fn ask(&mut self) {
        let (client, source) = (self.client.clone(), self.source.clone());
        let asked = async move { timeout(ASK, client.waiting(&source)).await.ok().flatten() };
        self.held.asked = Some(asked.boxed());
    }
}

async fn next(consumer: &mut Option<Box<dyn Consumer>>) -> Delivery {
    match consumer {
        Some(consumer) => consumer.next().await,
        None => pending().await,
    }
}

/// Completes when there is something to do for the sake of an application that is not there: what is kept may be tried
/// again, or was kept for too long.
async fn turn(absence: Option<&Absence>, keeps: bool) {
    match absence {
        Some(absence) if keeps && Instant::now() < absence.next => {
            sleep_until(absence.next.min(absence.kept_since + KEPT)).await;
        }
        _ => pending().await,
    }
}

async fn answer(asked: &mut Option<BoxFuture<'static, Option<u64>>>) -> Option<u64> {
    match asked {
        Some(asked) => asked.await,
        None => pending().await,
    }
}
