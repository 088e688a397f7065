//! What becomes of a row that was not published.

use super::Config;
use super::outbox::Failed;
use super::row::Row;
use crate::broker::Refusal;

/// What is thought of a row that was not published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Judgement {
    /// How often it was refused for what it is itself.
    pub attempts: u32,
    pub is_aside: bool,
    /// What the table is told, if anything.
    pub failed: Option<Failed>,
}

/// Judges `row`, which was refused for what it is itself `before` times. A broker that is full, or does not answer, is no
/// fault of a row's. What cannot be a message is none the next time either; where nobody waits for messages somebody may do
/// so soon.
pub(super) fn judge(config: &Config, row: &Row, refusal: &Refusal, before: u32) -> Judgement {
    let is_unfit = matches!(refusal, Refusal::Unfit(_) | Refusal::TooLarge(_));
    let is_its_own = is_unfit || matches!(refusal, Refusal::Unroutable(_));
    let attempts = before.saturating_add(u32::from(is_its_own));
    let is_over = match refusal {
        _ if is_unfit => true,
        Refusal::Unroutable(_) => attempts >= config.attempts,
        _ => false,
    };
    let is_aside = is_over && config.columns.error.is_some();
    let failed = is_its_own.then(|| Failed {
        id: row.id.clone(),
        attempts,
        aside: is_aside.then(|| format!("{}: {}", refusal.name(), refusal.why())),
    });
    Judgement {
        attempts,
        is_aside,
        failed,
    }
}
