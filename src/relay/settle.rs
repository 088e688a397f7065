//! Says in the table what became of rows that were taken.

use std::collections::HashMap;

use super::account::State;
use super::batch::Tried;
use super::held::NOT_SETTLED;
use super::judge::{Judgement, judge};
use super::outbox::{Lock, Settled, Trouble};
use super::row::Row;
use super::runner::{LOOK, Next, Runner, limited};
use crate::broker::Refusal;
use crate::telemetry::flood::{self, Group, Kind};

/// Rows that were not published.
static FAILED: Kind = Kind {
    message: "a row was not published",
    severe: false,
    first: 10,
};
/// Rows that were published, and are still in the table.
static STUCK: Kind = Kind {
    message: "a row is published, and the table does not take that",
    severe: false,
    first: 10,
};

impl Runner {
    /// Settles what was `tried`, and rows that were published `before`. Where they are all that there are, it `is_rest`.
    pub(super) async fn settle(
        &mut self,
        lock: Box<dyn Lock>,
        before: Vec<Row>,
        tried: Tried,
        is_rest: bool,
    ) -> Result<Next, Trouble> {
        self.count(&tried);
        let judge = |(row, refusal): (Row, Refusal)| {
            let attempts = row.attempts.max(self.own.held.attempts(&row));
            let judgement = judge(&self.config, &row, &refusal, attempts);
            (row, refusal, judgement)
        };
        let failed: Vec<_> = tried.failed.into_iter().map(judge).collect();
        let mut published = before;
        published.extend(tried.published);
        let settled = Settled {
            published: published.iter().map(|row| row.id.clone()).collect(),
            failed: failed
                .iter()
                .filter_map(|(_, _, judgement)| judgement.failed.clone())
                .collect(),
        };
        let result = limited(lock.settle(settled)).await;
        let stuck = result.as_deref().unwrap_or_default();
        let stuck: HashMap<&str, &str> = stuck.iter().map(|one| (&*one.id, &*one.why)).collect();
        match &result {
            Ok(_) => self.note_published(&published, &stuck),
            Err(Trouble(why)) => self.note_unsettled(&published, why),
        }
        // Behind what is published of the same key, and lets it go.
        for (row, refusal, judgement) in &failed {
            let is_noted = result.is_ok() && !stuck.contains_key(&*row.id);
            self.note_failed(row, refusal, judgement, is_noted);
        }
        self.note_held();
        result?;
        if let Some(down) = tried.down {
            self.account.went_wrong(None, down.name(), down.why());
            self.tell(State::Waiting, Some(down.why().to_owned()));
            return Ok(Next::NotBefore(LOOK));
        }
        Ok(if is_rest { self.idle() } else { Next::Now })
    }

    fn count(&self, tried: &Tried) {
        let mut known = self.account.known();
        known.published += tried.published.len() as u64;
        known.duplicates += tried.duplicates;
        known.failed += tried.failed.len() as u64;
    }

    /// The table says so of all but those that are stuck.
    fn note_published(&mut self, published: &[Row], stuck: &HashMap<&str, &str>) {
        for row in published {
            let Some(why) = stuck.get(&*row.id) else {
                self.own.unsettled.forget(row);
                self.own.held.release_published(row);
                continue;
            };
            self.own.unsettled.remember([row.id.clone()].into_iter());
            self.own.held.hold_published(row, why);
            self.account.went_wrong(Some(&row.id), NOT_SETTLED, why);
            if flood::passes(&STUCK, self.group(NOT_SETTLED)) {
                let relay = &*self.name;
                tracing::warn!(relay, row = &*row.id, "{}: {why}", STUCK.message);
            }
        }
    }

    /// What the table says of them is not known.
    fn note_unsettled(&mut self, published: &[Row], why: &str) {
        if published.is_empty() {
            return;
        }
        let ids = published.iter().map(|row| row.id.clone());
        self.own.unsettled.remember(ids);
        tracing::warn!(
            relay = &*self.name,
            published = published.len(),
            "rows that are published may be published again by another process, under the same ids: {why}"
        );
    }

    /// Holds back a row that was not published, unless it is set aside, and the table says so.
    fn note_failed(&mut self, row: &Row, refusal: &Refusal, judgement: &Judgement, is_noted: bool) {
        let is_aside = judgement.is_aside && is_noted;
        self.account
            .went_wrong(Some(&row.id), refusal.name(), refusal.why());
        if flood::passes(&FAILED, self.group(refusal.name())) {
            tracing::warn!(
                relay = &*self.name,
                row = &*row.id,
                reason = refusal.name(),
                attempts = judgement.attempts,
                set_aside = is_aside,
                "{}: {}",
                FAILED.message,
                refusal.why()
            );
        }
        if is_aside {
            self.account.known().set_aside += 1;
            self.own.held.release(row);
        } else {
            self.own.held.hold(row, refusal, judgement.attempts);
        }
    }

    fn group(&self, reason: &'static str) -> Group {
        Group {
            route: Some(self.name.clone()),
            reason: Some(reason),
            ..Group::default()
        }
    }
}
