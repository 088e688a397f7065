//! What becomes of a message, by what the route answered.

use std::time::Duration;

use serde::Deserialize;

use super::{AnswerKind, Outcome};
use crate::broker::{Ladder, Verdict};
use crate::http::error::NO_ROUTE;

/// What becomes of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Judgement {
    /// The application has had its say: the broker is told.
    Settle(Verdict),
    /// Dapr's DROP: it is gone, as the application wants it.
    Drop,
    /// Nobody has seen it: it is kept, and nothing more is taken until it comes through. That costs it no attempt.
    Keep {
        why: String,
        /// How long whoever refused it says to wait.
        wait: Option<Duration>,
    },
}

/// What is known of the source that a message came from.
pub(super) struct Rules {
    pub ladder: Ladder,
    pub keeps_dead_letters: bool,
    pub answer: AnswerKind,
}

impl Rules {
    /// Judges the answer to the delivery of a message, which was tried `attempt` times, this time included.
    pub fn judge(&self, outcome: &Outcome, attempt: u32) -> Judgement {
        let status = outcome.status;
        let may_pass = may_pass(status);
        if outcome.unsent
            && let Some(reason) = outcome.refused
            // A route that goes while its messages come, as configs change, says nothing of them.
            && (may_pass || reason == NO_ROUTE.name)
        {
            return Judgement::Keep {
                why: format!("the application was not reached: {reason}"),
                wait: outcome.retry_after,
            };
        }
        let reason = || match outcome.refused {
            Some(reason) => reason.to_owned(),
            None => format!("status_{status}"),
        };
        match status {
            200..=299 => self.by_answer(outcome, attempt),
            _ if may_pass => self.again(attempt, outcome.retry_after, reason()),
            _ => self.dead(reason()),
        }
    }

    /// The application has answered with 2xx.
    fn by_answer(&self, outcome: &Outcome, attempt: u32) -> Judgement {
        #[derive(Deserialize)]
        struct Answer {
            status: String,
        }
        if self.answer == AnswerKind::Dapr
            && let Ok(answer) = serde_json::from_slice::<Answer>(&outcome.body)
        {
            match answer.status.as_str() {
                "" | "SUCCESS" => {}
                "DROP" => return Judgement::Drop,
                "RETRY" => return self.again(attempt, outcome.retry_after, "retry".to_owned()),
                // Nor does Dapr take for done what it does not understand.
                _ => return self.again(attempt, outcome.retry_after, "unknown_answer".to_owned()),
            }
        }
        Judgement::Settle(Verdict::Done)
    }

    /// It is tried again, unless it was tried often enough.
    fn again(&self, attempt: u32, wanted: Option<Duration>, reason: String) -> Judgement {
        let step = usize::try_from(attempt.saturating_sub(1)).unwrap_or(usize::MAX);
        if self.ladder.delay(step).is_none() {
            return self.dead(reason);
        }
        let step = wanted
            .and_then(|wanted| self.ladder.nearest(wanted, 0))
            .unwrap_or(step);
        Judgement::Settle(Verdict::Retry { step })
    }

    fn dead(&self, reason: String) -> Judgement {
        if self.keeps_dead_letters {
            return Judgement::Settle(Verdict::DeadLetter { reason });
        }
        Judgement::Keep {
            why: format!("a message fails ({reason}), and dead letters of it are not kept"),
            wait: None,
        }
    }
}

/// Whether a failure of this status may be gone the next time.
fn may_pass(status: u16) -> bool {
    matches!(status, 408 | 429 | 500..=599)
}
