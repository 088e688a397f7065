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
enum Says {
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
struct Seen {
    says: VecDeque<Says>,
    /// What the next `COMMIT` says; a commit, where there is nothing.
    commits: VecDeque<Answer<bool, Error>>,
    /// A word for all that was done, each with the number of the connection.
    log: Vec<String>,
    opened: u32,
    /// Places at which nobody answers.
    away: Vec<String>,
    is_pooled: bool,
    is_marked: bool,
}

#[derive(Clone, Default)]
struct Fake {
    seen: Arc<Mutex<Seen>>,
    addresses: Vec<Address>,
}

struct Conn {
    number: u32,
    is_pooled: bool,
    open: bool,
    awaits: bool,
    is_over: bool,
}

/// Its SQLSTATE.
#[derive(Debug)]
struct Error(&'static str);

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
            code => Failure::Refused(code.to_owned()),
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
fn client(says: impl IntoIterator<Item = Says>) -> (Fake, Arc<dyn Client>) {
    client_with(says, "")
}

fn client_with(says: impl IntoIterator<Item = Says>, more: &str) -> (Fake, Arc<dyn Client>) {
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

fn work(statements: &[&str]) -> Work {
    let statements = statements.iter();
    Work {
        statements: statements
            .map(|text| Statement::new(text, &[], Kind::MySql))
            .collect(),
        isolation: None,
        shape: Shape::Affected,
    }
}

const READS: &[&str] = &["select 1"];
const WRITES: &[&str] = &["insert into t values (1)"];
const BOTH: &[&str] = &["select 1", "insert into t values (1)"];

async fn run(client: &Arc<dyn Client>, statements: &[&str]) -> Result<u64, Failure> {
    run_all(client, &work(statements)).await
}

async fn run_all(client: &Arc<dyn Client>, work: &Work) -> Result<u64, Failure> {
    let limits = Limits {
        rows: 10,
        bytes: 1000,
    };
    let mut output = Output::whole(Form::None, limits, BigNumbers::String);
    let done = client.run(work, &[], &mut output, None).await;
    done.map(|done| done.affected)
}

impl Fake {
    fn log(&self) -> Vec<String> {
        self.seen.lock().unwrap().log.clone()
    }
}

#[tokio::test]
async fn a_transaction_is_committed_and_its_connection_used_again() {
    let (fake, client) = client([Says::Rows(3)]);
    assert_eq!(run(&client, BOTH).await, Ok(3));
    assert_eq!(run(&client, READS).await, Ok(1));
    assert_eq!(fake.log(), ["1 run", "1 COMMIT", "1 run"]);
    let state = client.state();
    assert_eq!((state.in_use, state.idle), (0, 1));
    assert_eq!(state.version.as_deref(), Some("1"));
}

#[tokio::test(start_paused = true)]
async fn what_went_against_another_transaction_is_tried_again_while_there_is_time() {
    let (fake, client) = client([Says::Error("40001"), Says::Error("40001")]);
    assert_eq!(run(&client, BOTH).await, Ok(1));
    let expected = [
        "1 run",
        "1 ROLLBACK",
        "1 run",
        "1 ROLLBACK",
        "1 run",
        "1 COMMIT",
    ];
    assert_eq!(fake.log(), expected);

    let says = (0..100).map(|_| Says::Error("40001"));
    let (fake, client) = client_with(says, "statement_timeout = \"1s\"");
    let began = Instant::now();
    let conflict = Failure::Conflict("serialization_failure");
    assert_eq!(run(&client, WRITES).await, Err(conflict));
    assert!(began.elapsed() <= Duration::from_secs(1));
    assert!((2..=20).contains(&fake.log().len()));
}

#[tokio::test]
async fn what_fails_is_undone() {
    let (fake, client) = client([Says::Error("42P01")]);
    let refused = Err(Failure::Refused("42P01".to_owned()));
    assert_eq!(run(&client, BOTH).await, refused);
    assert_eq!(run(&client, READS).await, Ok(1));
    assert_eq!(fake.log(), ["1 run", "1 ROLLBACK", "1 run"]);

    // One row was wanted, and there is none.
    let (fake, client) = self::client([]);
    let one = Work {
        shape: Shape::One,
        ..work(WRITES)
    };
    assert_eq!(run_all(&client, &one).await, Err(Failure::NoRow));
    assert_eq!(fake.log(), ["1 run", "1 ROLLBACK"]);
}

#[tokio::test]
async fn a_transaction_that_ends_or_begins_on_its_own_is_none_that_holds() {
    let (fake, client) = client([Says::Turns, Says::Turns]);
    let ended = run(&client, BOTH).await;
    assert!(matches!(ended, Err(Failure::Unknown(_))), "{ended:?}");
    let left_open = Err(Failure::Refused("25001".to_owned()));
    assert_eq!(run(&client, WRITES).await, left_open);
    assert_eq!(fake.log(), ["1 run", "1 run", "1 ROLLBACK"]);
}

#[tokio::test]
async fn a_commit_holds_by_the_word_of_the_server() {
    let (fake, client) = client([]);
    fake.seen.lock().unwrap().commits.extend([
        Ok(Ok(false)),
        Ok(Err(Error("23505"))),
        Ok(Err(Error("57P01"))),
        Err(Broken::Late),
    ]);
    let refused = |code: &str| Err(Failure::Refused(code.to_owned()));
    assert_eq!(run(&client, BOTH).await, refused("25P02"));
    assert_eq!(run(&client, BOTH).await, refused("23505"));
    for connection in [1, 2] {
        let unknown = run(&client, BOTH).await;
        assert!(matches!(unknown, Err(Failure::Unknown(_))), "{unknown:?}");
        assert_eq!(fake.seen.lock().unwrap().opened, connection);
    }
    assert_eq!(run(&client, BOTH).await, Ok(1));
    assert_eq!(fake.seen.lock().unwrap().opened, 3, "those are closed");
}

#[tokio::test]
async fn a_connection_that_breaks_leaves_open_only_what_may_hold() {
    let breaks = [Says::Breaks, Says::Breaks, Says::Breaks];
    let (_, client) = client(
        breaks
            .into_iter()
            .chain([Says::Error("08006"), Says::Error("08006")]),
    );
    let reads = run(&client, READS).await;
    assert!(matches!(reads, Err(Failure::Broken(_))), "{reads:?}");
    let within = run(&client, BOTH).await;
    assert!(matches!(within, Err(Failure::Unavailable(_))), "{within:?}");
    let writes = run(&client, WRITES).await;
    assert!(matches!(writes, Err(Failure::Unknown(_))), "{writes:?}");
    let by_a_pooler = run(&client, WRITES).await;
    assert!(
        matches!(by_a_pooler, Err(Failure::Unknown(_))),
        "{by_a_pooler:?}"
    );
    assert_eq!(
        run(&client, READS).await,
        Err(Failure::Refused("08006".to_owned()))
    );
}

#[tokio::test(start_paused = true)]
async fn what_nobody_waits_for_is_stopped_before_there_is_room_for_another() {
    let (fake, client) = client([Says::Lasts]);
    let reads = work(READS);
    tokio::select! {
        _ = run_all(&client, &reads) => unreachable!("it lasts"),
        () = sleep(Duration::from_millis(10)) => {}
    }
    assert_eq!(client.state().in_use, 1);
    assert_eq!(run(&client, READS).await, Ok(1));
    assert_eq!(fake.log(), ["1 run", "1 stop", "2 run"]);
}

#[tokio::test]
async fn plans_that_do_not_fit_any_more_are_made_anew_once() {
    let stale = || Says::Error("0A000");
    let (fake, client) = client([stale(), Says::Rows(2), stale(), stale()]);
    assert_eq!(run(&client, READS).await, Ok(2));
    let refused = Err(Failure::Refused("0A000".to_owned()));
    assert_eq!(run(&client, READS).await, refused);
    assert_eq!(fake.log().len(), 4);
}

#[tokio::test]
async fn a_session_is_forgotten_where_something_may_be_left_in_it() {
    const MARKS: &[&str] = &["select get_lock('a', 1)"];
    let (fake, client) = client([]);
    run(&client, READS).await.unwrap();
    run(&client, MARKS).await.unwrap();
    assert_eq!(fake.log(), ["1 run", "1 run", "1 forget"]);
    fake.seen.lock().unwrap().is_marked = true;
    run(&client, MARKS).await.unwrap();
    run(&client, READS).await.unwrap();
    assert_eq!(fake.seen.lock().unwrap().opened, 2, "it cannot be used");

    let (fake, client) = client_with([], "reset = \"always\"");
    run(&client, READS).await.unwrap();
    assert_eq!(fake.log(), ["1 run", "1 forget"]);

    let (fake, client) = client_with([], "reset = \"always\"");
    fake.seen.lock().unwrap().is_pooled = true;
    run(&client, MARKS).await.unwrap();
    assert_eq!(fake.log(), ["1 run"], "that is the pooler's to do");
    assert!(client.state().is_pooled);
}

#[tokio::test(start_paused = true)]
async fn servers_are_tried_one_behind_the_other() {
    let (fake, client) = client([]);
    fake.seen.lock().unwrap().away = vec!["/one".to_owned()];
    assert_eq!(run(&client, READS).await, Ok(1));

    let (fake, client) = self::client([]);
    fake.seen.lock().unwrap().away = vec!["/one".to_owned(), "/two".to_owned()];
    let away = run(&client, READS).await;
    assert!(matches!(away, Err(Failure::Unavailable(_))), "{away:?}");
    let (_, why) = client.state().last_error.unwrap();
    assert_eq!(why, "/two: nobody answers");
    let statement = Statement::new("select 1", &[], Kind::MySql);
    let unreachable = Objection::Unreachable(why);
    assert_eq!(client.inspect(&statement).await, Err(unreachable));
}

#[tokio::test]
async fn a_session_whose_connection_broke_is_of_no_use_any_more() {
    let (fake, client) = client([Says::Rows(1), Says::Breaks]);
    let statement = Statement::new("insert into t values (1)", &[], Kind::MySql);
    let mut session = client.session().await.unwrap();
    session.begin(None).await.unwrap();
    assert_eq!(session.query(&statement, &[]).await.unwrap().affected, 1);
    let broke = session.query(&statement, &[]).await;
    assert!(matches!(broke, Err(Failure::Unavailable(_))), "{broke:?}");
    assert!(session.rollback().await.is_err());
    assert!(session.commit().await.is_err());
    assert_eq!(fake.log(), ["1 run", "1 run"]);
    drop(session);
    let mut session = client.session().await.unwrap();
    session.begin(None).await.unwrap();
    session.commit().await.unwrap();
    drop(session);
    assert_eq!((client.state().in_use, client.state().idle), (0, 1));
}

#[tokio::test]
async fn a_kind_without_channels_says_so_and_connects_to_nobody() {
    let (fake, client) = client([]);
    let refused = client.listen(&["a".to_owned()]).await.err();
    let why = "MariaDB has no channels that could be listened to";
    assert_eq!(refused, Some(Failure::Refused(why.to_owned())));
    assert_eq!(fake.seen.lock().unwrap().opened, 0);
}
