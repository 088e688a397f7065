//! Says in the table what became of rows, and commits.
//!
//! All goes at once. Where the database refuses something of that, as a constraint, a trigger or a column that is too short is
//! against one row, the next transaction goes step by step, and finds out which row it is: the others are settled without it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::dialect::{Asked, Known};
use super::query;
use super::statements::Statements;
use super::trouble::Told;
use crate::database::{Failure, Session};
use crate::relay::outbox::{Lock, Settled, Stuck, Trouble};

/// Rows that were taken, in a transaction that has locked them, or under a lock of the table.
pub(super) struct SqlLock {
    pub session: Box<dyn Session>,
    pub statements: Arc<Statements>,
    pub known: Arc<Known>,
    pub told: Told,
    /// Whether something was refused the last time.
    pub was_refused: Arc<AtomicBool>,
}

impl Lock for SqlLock {
    fn settle(
        mut self: Box<Self>,
        settled: Settled,
    ) -> BoxFuture<'static, Result<Vec<Stuck>, Trouble>> {
        async move {
            let result = self.say(settled).await;
            if result.as_ref().is_err_and(is_refusal) {
                self.was_refused.store(true, Ordering::Relaxed);
            }
            self.told.of(result)
        }
        .boxed()
    }
}

impl SqlLock {
    async fn say(&mut self, settled: Settled) -> Result<Vec<Stuck>, Failure> {
        let locks_rows = self.statements.dialect.locks_rows();
        if !locks_rows && settled == Settled::default() {
            return Ok(Vec::new());
        }
        if self.was_refused.swap(false, Ordering::Relaxed) {
            return self.by_steps(settled).await;
        }
        self.at_once(&settled).await?;
        Ok(Vec::new())
    }

    async fn at_once(&mut self, settled: &Settled) -> Result<(), Failure> {
        if !self.statements.dialect.locks_rows() {
            self.session.begin(None).await?;
        }
        if !settled.published.is_empty() {
            let asked = self
                .statements
                .settle_published(&self.known, &settled.published);
            self.ask(&asked).await?;
        }
        for failed in &settled.failed {
            if let Some(asked) = self.statements.settle_failed(&self.known, failed) {
                self.ask(&asked).await?;
            }
        }
        self.session.commit().await
    }

    /// Halves what is refused until it is one row.
    async fn by_steps(&mut self, settled: Settled) -> Result<Vec<Stuck>, Failure> {
        if let Some(asked) = self.statements.at_once() {
            self.ask(&asked).await?;
        }
        let mut stuck = Vec::new();
        let mut parts = vec![settled.published];
        while let Some(mut ids) = parts.pop() {
            if ids.is_empty() {
                continue;
            }
            let asked = self.statements.settle_published(&self.known, &ids);
            if let Some(why) = self.try_out(&asked).await? {
                if let [id] = &*ids {
                    stuck.push(Stuck {
                        id: id.clone(),
                        why,
                    });
                } else {
                    let rest = ids.split_off(ids.len() / 2);
                    parts.extend([rest, ids]);
                }
            }
        }
        for failed in &settled.failed {
            if let Some(asked) = self.statements.settle_failed(&self.known, failed)
                && let Some(why) = self.try_out(&asked).await?
            {
                let id = failed.id.clone();
                stuck.push(Stuck { id, why });
            }
        }
        if self.statements.dialect.locks_rows() {
            self.session.commit().await?;
        }
        Ok(stuck)
    }

    /// Asks something that may be refused without an end of the transaction. Why it was, if it was.
    async fn try_out(&mut self, asked: &Asked) -> Result<Option<String>, Failure> {
        if !self.statements.dialect.locks_rows() {
            return self.try_alone(asked).await;
        }
        let [begin, undo, end] = self.statements.savepoint();
        self.ask(&begin).await?;
        let refused = match self.ask(asked).await {
            Ok(()) => None,
            Err(failure) if is_refusal(&failure) => {
                self.ask(&undo).await?;
                Some(self.told.sentence(failure))
            }
            Err(failure) => return Err(failure),
        };
        self.ask(&end).await?;
        Ok(refused)
    }

    /// The same in a transaction of its own.
    async fn try_alone(&mut self, asked: &Asked) -> Result<Option<String>, Failure> {
        self.session.begin(None).await?;
        let result = match self.ask(asked).await {
            Ok(()) => self.session.commit().await,
            Err(failure) => Err(failure),
        };
        match result {
            Ok(()) => Ok(None),
            Err(failure) if is_refusal(&failure) => {
                self.session.rollback().await?;
                Ok(Some(self.told.sentence(failure)))
            }
            Err(failure) => Err(failure),
        }
    }

    async fn ask(&mut self, asked: &Asked) -> Result<(), Failure> {
        query(&mut *self.session, asked).await.map(|_| ())
    }
}

/// Whether it is the database's word, and may be about one row.
fn is_refusal(failure: &Failure) -> bool {
    matches!(
        failure,
        Failure::Refused { .. } | Failure::Constraint(..) | Failure::BadValue(..) | Failure::Raised
    )
}
