//! A table in memory, for unit tests.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::outbox::{Bell, Excluded, Lock, Outbox, Settled, Stuck, Taken, Trouble, Waiting};
use super::row::{Payload, Row};
use super::{Config, Identifier};
use crate::database;

/// A row, with a payload of few bytes.
pub(super) fn row(id: &str, key: Option<&str>) -> Row {
    Row {
        id: id.to_owned(),
        key: key.map(str::to_owned),
        payload: Payload::Bytes(Bytes::from(format!("row {id}"))),
        attempts: 0,
        names: Arc::new([]),
        values: Vec::new(),
    }
}

/// A row with values of columns.
pub(super) fn row_with(id: &str, values: &[(&str, Option<&str>)]) -> Row {
    let names: Vec<Identifier> = values
        .iter()
        .map(|(name, _)| name.parse().unwrap())
        .collect();
    Row {
        names: names.into(),
        values: values
            .iter()
            .map(|(_, value)| value.map(str::to_owned))
            .collect(),
        ..row(id, None)
    }
}

/// A block with these lines in it.
pub(super) fn config(more: &str) -> Config {
    let text =
        format!("database = \"main\"\ntable = \"outbox\"\npublish.broker = \"events\"\n{more}");
    toml::from_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// What a test sees and sets.
#[derive(Default)]
pub(super) struct Fake {
    /// What is in the table, with why it is set aside.
    pub rows: Mutex<Vec<(Row, Option<String>)>>,
    /// What goes wrong with the next ones that take, and that settle.
    pub take_fails: Mutex<VecDeque<Trouble>>,
    pub settle_fails: Mutex<VecDeque<Trouble>>,
    /// Why it does not say how much waits.
    pub counts: Mutex<Option<Trouble>>,
    /// The ids of rows that cannot be settled.
    pub sticks: Mutex<Vec<String>>,
    pub settled: Mutex<Vec<Settled>>,
    pub takes: Mutex<usize>,
    /// Somebody else has rows under way for so many times.
    pub elsewhere: Mutex<usize>,
    pub bell: Option<Arc<Semaphore>>,
}

impl Fake {
    pub fn with(rows: impl IntoIterator<Item = Row>) -> Arc<Self> {
        let fake = Fake::default();
        fake.put(rows);
        Arc::new(fake)
    }

    pub fn put(&self, rows: impl IntoIterator<Item = Row>) {
        let rows = rows.into_iter().map(|row| (row, None));
        self.rows.lock().unwrap().extend(rows);
    }

    /// The ids of the rows that are there.
    pub fn left(&self) -> Vec<String> {
        let rows = self.rows.lock().unwrap();
        rows.iter().map(|(row, _)| row.id.clone()).collect()
    }

    fn apply(&self, settled: Settled) {
        let mut rows = self.rows.lock().unwrap();
        rows.retain(|(row, _)| !settled.published.contains(&row.id));
        for failed in &settled.failed {
            for (row, aside) in rows.iter_mut().filter(|(row, _)| row.id == failed.id) {
                row.attempts = failed.attempts;
                aside.clone_from(&failed.aside);
            }
        }
        self.settled.lock().unwrap().push(settled);
    }
}

/// What a relay has of it.
pub(super) struct Table(pub Arc<Fake>, pub usize);

impl Outbox for Table {
    fn take<'a>(&'a self, but: &'a Excluded) -> BoxFuture<'a, Result<Taken, Trouble>> {
        let Table(fake, batch) = self;
        *fake.takes.lock().unwrap() += 1;
        if let Some(trouble) = fake.take_fails.lock().unwrap().pop_front() {
            return ready(Err(trouble)).boxed();
        }
        let mut elsewhere = fake.elsewhere.lock().unwrap();
        if *elsewhere > 0 {
            *elsewhere -= 1;
            return ready(Ok(Taken::Elsewhere)).boxed();
        }
        let rows = fake.rows.lock().unwrap();
        let is_free = |row: &Row| {
            let by_key = row.key.as_ref().is_none_or(|key| !but.keys.contains(key));
            by_key && !but.ids.contains(&row.id)
        };
        let waiting = rows
            .iter()
            .filter(|(row, aside)| aside.is_none() && is_free(row));
        let mut taken: Vec<Row> = waiting.map(|(row, _)| row.clone()).collect();
        let more = taken.len() > *batch;
        taken.truncate(*batch);
        let lock = Box::new(FakeLock(fake.clone()));
        let taken = Taken::Rows {
            rows: taken,
            more,
            lock,
        };
        ready(Ok(taken)).boxed()
    }

    fn waiting(&self) -> BoxFuture<'_, Result<Waiting, Trouble>> {
        if let Some(trouble) = self.0.counts.lock().unwrap().clone() {
            return ready(Err(trouble)).boxed();
        }
        let rows = self.0.rows.lock().unwrap();
        let aside = rows.iter().filter(|(_, aside)| aside.is_some()).count();
        let waiting = Waiting {
            rows: (rows.len() - aside) as u64,
            oldest: Some(Duration::from_secs(7)),
            aside: Some(aside as u64),
        };
        ready(Ok(waiting)).boxed()
    }

    fn listen(&self) -> Option<BoxFuture<'_, Result<Box<dyn Bell>, Trouble>>> {
        let bell: Box<dyn Bell> = Box::new(FakeBell(self.0.bell.clone()?));
        Some(ready(Ok(bell)).boxed())
    }
}

struct FakeLock(Arc<Fake>);

impl Lock for FakeLock {
    fn settle(
        self: Box<Self>,
        mut settled: Settled,
    ) -> BoxFuture<'static, Result<Vec<Stuck>, Trouble>> {
        if let Some(trouble) = self.0.settle_fails.lock().unwrap().pop_front() {
            return ready(Err(trouble)).boxed();
        }
        let sticks = self.0.sticks.lock().unwrap().clone();
        settled.published.retain(|id| !sticks.contains(id));
        settled.failed.retain(|failed| !sticks.contains(&failed.id));
        self.0.apply(settled);
        let stuck = sticks.into_iter().map(|id| Stuck {
            id,
            why: "a constraint is against it".to_owned(),
        });
        ready(Ok(stuck.collect())).boxed()
    }
}

struct FakeBell(Arc<Semaphore>);

impl Bell for FakeBell {
    fn rings(&mut self) -> BoxFuture<'_, Result<(), Trouble>> {
        async {
            let permit = self.0.acquire().await;
            permit.map_err(|_| Trouble("cut".to_owned()))?.forget();
            Ok(())
        }
        .boxed()
    }
}

/// A database of which nobody asks anything.
pub(super) struct NoDatabase;

impl database::Client for NoDatabase {
    fn run<'a>(
        &'a self,
        _: &'a database::Work,
        _: &'a [database::Value],
        _: &'a mut database::Output,
        _: Option<Instant>,
    ) -> BoxFuture<'a, Result<database::Done, database::Failure>> {
        unreachable!()
    }

    fn session(&self) -> BoxFuture<'_, Result<Box<dyn database::Session>, database::Failure>> {
        unreachable!()
    }

    fn listen<'a>(
        &'a self,
        _: &'a [String],
    ) -> BoxFuture<'a, Result<Box<dyn database::Listening>, database::Failure>> {
        unreachable!()
    }

    fn inspect<'a>(
        &'a self,
        _: &'a database::Statement,
    ) -> BoxFuture<'a, Result<database::Inspected, database::Objection>> {
        unreachable!()
    }

    fn state(&self) -> database::State {
        unreachable!()
    }

    fn sweep(&self) {}
}
