//! One attempt to deliver a message, and what became of the message.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::timeout;

use super::account::{Account, Failure, Settled};
use super::metrics::ACKED;
use super::request::Requests;
use super::verdict::{Judgement, Rules};
use super::{Deliver, Outcome};
use crate::broker::{Delivery, Lost, Verdict};
use crate::telemetry::flood::{self, Group, Kind};

/// How long a broker may take to hear what became of a message.
const SETTLE: Duration = Duration::from_secs(30);

/// Messages that nobody could take.
static DEAD: Kind = Kind {
    message: "a message is a dead letter",
    severe: true,
    first: 10,
};

/// How the messages of a subscription are delivered.
pub(super) struct Attempt {
    pub name: Arc<str>,
    pub route: Arc<str>,
    pub requests: Requests,
    pub rules: Rules,
    pub limit: Duration,
    pub account: Arc<Account>,
}

/// The end of an attempt.
pub(super) struct End {
    /// By what the message is alike with others, where order is asked for.
    pub key: Option<String>,
    pub became: Became,
}

pub(super) enum Became {
    /// The broker was told, or will find out.
    Settled,
    /// Nobody has seen it.
    Kept {
        delivery: Delivery,
        why: String,
        wait: Option<Duration>,
    },
}

impl Attempt {
    pub async fn of(
        self: Arc<Self>,
        delivery: Delivery,
        key: Option<String>,
        deliver: Arc<dyn Deliver>,
    ) -> End {
        let outcome = match self.requests.of(&delivery) {
            None => Outcome::unfit(),
            Some(request) => timeout(self.limit, deliver.deliver(&self.route, request))
                .await
                .unwrap_or_else(|_| Outcome::timed_out()),
        };
        let judgement = self.rules.judge(&outcome, delivery.attempt);
        let (verdict, result) = match judgement {
            Judgement::Keep { why, wait } => {
                let became = Became::Kept {
                    delivery,
                    why,
                    wait,
                };
                return End { key, became };
            }
            Judgement::Drop => (Verdict::Done, "dropped"),
            Judgement::Settle(verdict) => {
                let result = result(&verdict);
                (verdict, result)
            }
        };
        let (id, attempt) = (delivery.message.id, delivery.attempt);
        let settled = timeout(SETTLE, delivery.settle.settle(verdict.clone())).await;
        let settled = settled
            .unwrap_or_else(|_| Err(Lost(format!("the broker did not answer within {SETTLE:?}"))));
        match settled {
            Ok(()) => self.settled(&id, attempt, &outcome, verdict, result),
            Err(lost) => self.unsettled(&id, attempt, &lost),
        }
        End {
            key,
            became: Became::Settled,
        }
    }

    fn settled(
        &self,
        id: &str,
        attempt: u32,
        outcome: &Outcome,
        verdict: Verdict,
        result: &'static str,
    ) {
        let account = &self.account;
        account.metrics.delivered(result);
        let end = match verdict {
            Verdict::Done if result == ACKED => Settled::Acked,
            Verdict::Done => Settled::Dropped,
            Verdict::Retry { step } => Settled::Retried { step },
            Verdict::DeadLetter { reason } => {
                account.metrics.dead_lettered(&reason);
                self.warn_of_dead(id, attempt, outcome, &reason);
                Settled::DeadLettered
            }
            Verdict::Return | Verdict::Leave => return,
        };
        if !matches!(end, Settled::Retried { .. }) {
            account.metrics.is_over(attempt);
        }
        account.settled(end, |then| Failure {
            at: SystemTime::now(),
            message_id: id.to_owned(),
            attempt,
            status: outcome.status,
            reason: outcome.refused,
            then,
        });
    }

    fn warn_of_dead(&self, message_id: &str, attempt: u32, outcome: &Outcome, reason: &str) {
        let group = Group {
            route: Some(self.route.clone()),
            cause: Some(reason.into()),
            ..Group::default()
        };
        if flood::passes(&DEAD, group) {
            tracing::warn!(
                subscription = &*self.name,
                route = &*self.route,
                message_id,
                attempt,
                status = outcome.status,
                reason,
                "{}",
                DEAD.message
            );
        }
    }

    fn unsettled(&self, message_id: &str, attempt: u32, lost: &Lost) {
        self.account.known().unsettled += 1;
        self.account.metrics.delivered("unsettled");
        tracing::warn!(
            subscription = &*self.name,
            message_id,
            attempt,
            "a message may come again, though it was delivered: {}",
            lost.0
        );
    }
}

fn result(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Done => ACKED,
        Verdict::Retry { .. } => "retried",
        Verdict::DeadLetter { .. } => "dead_lettered",
        Verdict::Return | Verdict::Leave => "returned",
    }
}
