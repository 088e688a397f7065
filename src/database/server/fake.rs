//! A server in memory that says what a test tells it to.

use std::collections::VecDeque;
use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::{Instant, sleep};

use super::*;
use crate::database::link::Broken;
use crate::database::output::{BigNumbers, Form, Limits};
use crate::database::pool::Pooled;
use crate::database::reach::Address;
use crate::database::sink::Sink;
use crate::database::{
    Client, Config, Failure, Inspected, Isolation, Kind, Objection, Output, Shape, Statement, Work,
};

/// What the next run does.
pub(super) enum Says {
    /// So many rows are given or changed.
    Rows(u64),
    Error(&'static str),
    /// A statement ends the transaction, or begins one.
    Turns,
    Breaks,
    /// It goes on until it is stopped.
    Lasts,
}

/// What a test sees and sets.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) says: VecDeque<Says>,
    /// What the next `COMMIT` says; a commit, where there is nothing.
    pub(super) commits: VecDeque<Answer<bool, Error>>,
    /// A word for all that was done, each with the number of the connection.
    pub(super) log: Vec<String>,
    pub(super) opened: u32,
    /// Places at which nobody answers.
    pub(super) away: Vec<String>,
    pub(super) is_pooled: bool,
    pub(super) is_marked: bool,
}

#[derive(Clone, Default)]
pub(super) struct Fake {
    pub(super) seen: Arc<Mutex<Seen>>,
    addresses: Vec<Address>,
}

pub(super) struct Conn {
    number: u32,
    is_pooled: bool,
    open: bool,
    awaits: bool,
    is_over: bool,
}

/// Its SQLSTATE.
#[derive(Debug)]
pub(super) struct Error(pub(super) &'static str);

impl ServerError for Error {
    fn is_fatal(&self) -> bool {
        self.0 == "57P01"
    }

    fn is_of_the_way(&self) -> bool {
        self.0 == "08006"
    }

    fn into_failure(self) -> Failure {
        match self.0 {
            "40001" => Failure::Conflict("serialization_failure"),
            code => Failure::refused(code),
        }
    }
}

impl Pooled for Conn {
    fn is_fit(&mut self) -> bool {
        true
    }

    fn close(self) {}

    fn moved(self) -> Option<Self> {
        Some(self)
    }
}

impl Connection for Conn {
    fn set_deadline(&mut self, _: Instant) {}

    fn version(&self) -> &str {
        "1"
    }

    fn is_pooled(&self) -> bool {
        self.is_pooled
    }

    fn is_answered(&self) -> bool {
        !self.awaits && !self.is_over
    }

    fn in_transaction(&self) -> bool {
        self.open
    }

    fn can_be_stopped(&self) -> bool {
        self.awaits
    }

    fn give_up(&mut self) {
        self.is_over = true;
    }

    fn rest(&mut self) {}
}

impl Fake {
    fn note(&self, conn: &Conn, what: &str) {
        let mut seen = self.seen.lock().unwrap();
        seen.log.push(format!("{} {what}", conn.number));
    }
}

impl Protocol for Fake {
    const KIND: Kind = Kind::MySql;
    type Conn = Conn;
    type Error = Error;

    fn addresses(&self) -> &[Address] {
        &self.addresses
    }

    async fn open(&self, address: &Address) -> Result<Conn, String> {
        let mut seen = self.seen.lock().unwrap();
        if seen.away.contains(&address.shown()) {
            return Err("nobody answers".to_owned());
        }
        seen.opened += 1;
        Ok(Conn {
            number: seen.opened,
            is_pooled: seen.is_pooled,
            open: false,
            awaits: false,
            is_over: false,
        })
    }

    async fn command(&self, conn: &mut Conn, command: &str) -> Answer<bool, Error> {
        self.note(conn, command);
        conn.open = false;
        let next = self.seen.lock().unwrap().commits.pop_front();
        next.unwrap_or(Ok(Ok(true)))
    }

    async fn begin(&self, conn: &mut Conn, _: Option<Isolation>) -> Answer<(), Error> {
        conn.open = true;
        Ok(Ok(()))
    }

    async fn run(
        &self,
        conn: &mut Conn,
        batch: Batch<'_>,
        _: Sink<'_>,
    ) -> Answer<u64, Stop<Error>> {
        self.note(conn, "run");
        conn.open |= batch.begins;
        let next = self.seen.lock().unwrap().says.pop_front();
        match next.unwrap_or(Says::Rows(1)) {
            Says::Rows(count) => Ok(Ok(count)),
            Says::Error(code) => Ok(Err(Stop::Server(Box::new(Error(code))))),
            Says::Turns => {
                conn.open = !conn.open;
                Ok(Ok(1))
            }
            Says::Breaks => {
                conn.is_over = true;
                Err(Broken::lost("it ended"))
            }
            Says::Lasts => {
                conn.awaits = true;
                pending().await
            }
        }
    }

    async fn stop(&self, conn: &mut Conn) {
        sleep(Duration::from_secs(1)).await;
        self.note(conn, "stop");
    }

    async fn forget_session(&self, conn: &mut Conn) -> bool {
        self.note(conn, "forget");
        !self.seen.lock().unwrap().is_marked
    }

    async fn forget_plans(&self, _: &mut Conn, error: &Error) -> bool {
        error.0 == "0A000"
    }

    async fn inspect(
        &self,
        _: &mut Conn,
        _: &Statement,
        _: Instant,
    ) -> Result<Inspected, Objection> {
        Err(Objection::Refused("it is none".to_owned()))
    }
}

/// A client of one that says this.
pub(super) fn client(says: impl IntoIterator<Item = Says>) -> (Fake, Arc<dyn Client>) {
    client_with(says, "")
}

pub(super) fn client_with(
    says: impl IntoIterator<Item = Says>,
    more: &str,
) -> (Fake, Arc<dyn Client>) {
    let fake = Fake {
        addresses: ["/one", "/two"]
            .map(|path| Address::Unix(path.into()))
            .into(),
        ..Fake::default()
    };
    fake.seen.lock().unwrap().says.extend(says);
    let config = format!(
        "url = {{ file = \"/url\" }}\npool = {{ max_connections = 1, max_wait = \"1h\" }}\n{more}"
    );
    let config: Config = toml::from_str(&config).unwrap();
    let client = connect("main", &config, &Handle::current(), fake.clone());
    (fake, client)
}

pub(super) fn work(statements: &[&str]) -> Work {
    let statements = statements.iter();
    Work {
        statements: statements
            .map(|text| Statement::new(text, &[], Kind::MySql))
            .collect(),
        isolation: None,
        shape: Shape::Affected,
    }
}

pub(super) const READS: &[&str] = &["select 1"];
pub(super) const WRITES: &[&str] = &["insert into t values (1)"];
pub(super) const BOTH: &[&str] = &["select 1", "insert into t values (1)"];

pub(super) async fn run(client: &Arc<dyn Client>, statements: &[&str]) -> Result<u64, Failure> {
    run_all(client, &work(statements)).await
}

pub(super) async fn run_all(client: &Arc<dyn Client>, work: &Work) -> Result<u64, Failure> {
    let limits = Limits {
        rows: 10,
        bytes: 1000,
    };
    let mut output = Output::whole(Form::None, limits, BigNumbers::String);
    let done = client.run(work, &[], &mut output, None).await;
    done.map(|done| done.affected)
}

impl Fake {
    pub(super) fn log(&self) -> Vec<String> {
        self.seen.lock().unwrap().log.clone()
    }
}
