//! The outbox by SQL, for each kind of database in its own words ([`dialect`]).

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::outbox::{Bell, Excluded, Failed, Outbox, Taken, Trouble, Waiting};
use super::{Config, Identifier};
use crate::database::{
    Client, Isolation, Kind, Listening, Objection, Session, Statement, Table, Value,
};

mod dialect;
mod mariadb;
mod postgres;
mod rows;
mod settle;
mod sqlite;
mod statements;
mod trouble;

use dialect::{Asked, Known};
use settle::SqlLock;
use statements::Statements;
use trouble::Told;

/// The table of a relay, in a database.
pub(super) struct SqlOutbox {
    client: Arc<dyn Client>,
    statements: Arc<Statements>,
    config: Config,
    selected: Arc<[Identifier]>,
    told: Told,
    /// What is known of the table's columns, until a statement is refused.
    known: Mutex<Option<Arc<Known>>>,
    /// Whether the table has refused what became of rows.
    was_refused: Arc<AtomicBool>,
}

impl SqlOutbox {
    pub fn new(client: Arc<dyn Client>, kind: Kind, config: &Config) -> Self {
        let selected: Arc<[Identifier]> = config.selected().into();
        SqlOutbox {
            client,
            statements: Arc::new(Statements::new(kind, config, &selected)),
            config: config.clone(),
            selected,
            told: Told::new(&config.table),
            known: Mutex::default(),
            was_refused: Arc::default(),
        }
    }

    async fn take(&self, but: &Excluded) -> Result<Taken, Trouble> {
        let known = self.known().await?;
        let mut session = self.session().await?;
        if !self.begin(&mut *session).await? {
            return Ok(Taken::Elsewhere);
        }
        let statements = &self.statements;
        let candidates = self
            .ask(&mut *session, statements.candidates(&known, but))
            .await?;
        let (chosen, more) = rows::choose(
            &candidates,
            self.config.publish.max_body.0,
            usize::from(self.config.batch),
        );
        let wanted = chosen.len();
        let rows = if chosen.is_empty() {
            Vec::new()
        } else {
            let ids: Vec<String> = chosen.iter().map(|one| one.id.clone()).collect();
            let fetched = self
                .ask(&mut *session, statements.fetch(&known, &ids))
                .await?;
            rows::arranged(
                chosen,
                &fetched,
                statements.encoding(&known),
                &self.selected,
            )
        };
        // What somebody else has locked may be here again soon.
        let more = more || rows.len() < wanted;
        let lock = SqlLock {
            session,
            statements: statements.clone(),
            known,
            told: self.told.clone(),
            was_refused: self.was_refused.clone(),
        };
        Ok(Taken::Rows {
            rows,
            more,
            lock: Box::new(lock),
        })
    }

    /// Begins what takes rows. False where somebody else has rows of the table under way.
    async fn begin(&self, session: &mut dyn Session) -> Result<bool, Trouble> {
        if !self.statements.dialect.locks_rows() {
            // However it is written, it is the same table.
            let name = format!("relay-{}", self.config.table.table).to_lowercase();
            return self.told.of(session.hold(&name).await);
        }
        // What the one before has committed has to be seen by each statement: the lock is taken by the first.
        self.told
            .of(session.begin(Some(Isolation::ReadCommitted)).await)?;
        let Some(begin) = self.statements.begin() else {
            return Ok(true);
        };
        let may_take = rows::is_true_or_none(&self.ask(&mut *session, begin).await?);
        if !may_take {
            self.told.of(session.rollback().await)?;
        }
        Ok(may_take)
    }

    /// What is known of the table. The first time, it is found out whether what is needed may be done with it.
    async fn known(&self) -> Result<Arc<Known>, Trouble> {
        if let Some(known) = &*self.lock_known() {
            return Ok(known.clone());
        }
        let mut session = self.session().await?;
        let table = self.ask(&mut *session, self.statements.describe()).await?;
        let known = Arc::new(Known::of(&table));
        self.told.of_table(&self.config, &known)?;
        self.told
            .of(session.begin(Some(Isolation::ReadCommitted)).await)?;
        let failed = Failed {
            id: String::new(),
            attempts: 1,
            aside: Some(String::new()),
        };
        // Whoever cannot settle publishes rows in vain.
        for asked in self.statements.rehearsal(&known, &failed) {
            self.ask(&mut *session, asked).await?;
        }
        self.told.of(session.rollback().await)?;
        *self.lock_known() = Some(known.clone());
        Ok(known)
    }

    /// What there is to be said of the table before anything is taken from it. Nothing of it is changed.
    ///
    /// # Errors
    /// What is wrong with it, or why the database cannot be asked.
    pub async fn look(&self) -> Result<(), Objection> {
        // Whether it is the database itself that is not to be had.
        if let Err(Trouble(why)) = self.session().await {
            let why = self.client.state().last_error.map_or(why, |(_, why)| why);
            return Err(Objection::Unreachable(why));
        }
        let known = self.known().await;
        let known = known.map_err(|Trouble(why)| Objection::Refused(why))?;
        let candidates = self.statements.candidates(&known, &Excluded::default());
        for (statement, _) in [candidates, self.statements.waiting(&known)] {
            self.client.inspect(&statement).await?;
        }
        Ok(())
    }

    async fn session(&self) -> Result<Box<dyn Session>, Trouble> {
        self.told.of(self.client.session().await)
    }

    /// Asks, and forgets what was known of the table where the answer is that it is wrong.
    async fn ask(&self, session: &mut dyn Session, asked: Asked) -> Result<Table, Trouble> {
        let answer = query(session, &asked).await;
        if answer.is_err() {
            *self.lock_known() = None;
        }
        self.told.of(answer)
    }

    fn lock_known(&self) -> MutexGuard<'_, Option<Arc<Known>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn query(
    session: &mut dyn Session,
    (statement, values): &(Statement, Vec<Value>),
) -> Result<Table, crate::database::Failure> {
    session.query(statement, values).await
}

impl Outbox for SqlOutbox {
    fn take<'a>(&'a self, but: &'a Excluded) -> BoxFuture<'a, Result<Taken, Trouble>> {
        SqlOutbox::take(self, but).boxed()
    }

    fn waiting(&self) -> BoxFuture<'_, Result<Waiting, Trouble>> {
        async {
            let known = self.known().await?;
            let mut session = self.session().await?;
            let counted = self
                .ask(&mut *session, self.statements.waiting(&known))
                .await?;
            Ok(rows::waiting(&counted))
        }
        .boxed()
    }

    fn listen(&self) -> Option<BoxFuture<'_, Result<Box<dyn Bell>, Trouble>>> {
        let notify = self.config.notify.as_ref();
        let channels = self.statements.dialect.channels(notify)?;
        let listening = async move {
            let listening = self.told.of(self.client.listen(&channels).await)?;
            let told = self.told.clone();
            let bell: Box<dyn Bell> = Box::new(Notified { listening, told });
            Ok(bell)
        };
        Some(listening.boxed())
    }
}

/// LISTEN and NOTIFY.
struct Notified {
    listening: Box<dyn Listening>,
    told: Told,
}

impl Bell for Notified {
    fn rings(&mut self) -> BoxFuture<'_, Result<(), Trouble>> {
        async {
            let notification = self.listening.next().await;
            self.told.of(notification).map(|_| ())
        }
        .boxed()
    }
}
