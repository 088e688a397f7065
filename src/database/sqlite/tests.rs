//! Sessions and what becomes of a file under them. `tests/it/sqlite` has the statements of routes.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;
use tempfile::TempDir;
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::client::connect;
use crate::database::{
    Checked, Client, Config, Effects, Failure, Isolation, Kind, Session, Statement, Table, Value,
};
use crate::value::problem::Problems;

const ENDLESS: &str =
    "with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) from n";
const LIMIT: Duration = Duration::from_secs(20);

struct Data {
    folder: TempDir,
    client: Arc<dyn Client>,
}

impl Data {
    /// A file with an empty table, and a client.
    fn new(block: &str) -> Data {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let made = Connection::open(&path).unwrap();
        made.execute_batch("pragma journal_mode = wal; create table t (n integer, b blob)")
            .unwrap();
        let text = format!(
            "url = {{ value = \"sqlite://{}\" }}\n{block}",
            path.display()
        );
        let config: Config = toml::from_str(&text).unwrap();
        let opened = config.open(&mut Problems::default()).0.unwrap();
        let checked = Checked::new(config, opened);
        let client = connect("main", &checked, &Handle::current()).unwrap();
        Data { folder, client }
    }

    fn sum(&self) -> i64 {
        let other = Connection::open(self.folder.path().join("a.db")).unwrap();
        let sum = other.query_row("select coalesce(sum(n), 0) from t", [], |row| row.get(0));
        sum.unwrap()
    }

    async fn session(&self) -> Box<dyn Session> {
        self.client.session().await.ok().unwrap()
    }

    /// A session in a transaction in which a 1 was inserted.
    async fn begun(&self) -> Box<dyn Session> {
        let mut session = self.session().await;
        session.begin(Some(Isolation::ReadCommitted)).await.unwrap();
        let table = ask(&mut *session, "insert into t values (1, x'00ff')").await;
        assert_eq!(table.unwrap().affected, 1);
        session
    }
}

async fn ask(session: &mut dyn Session, text: &str) -> Result<Table, Failure> {
    let statement = Statement::new(text, &[], Kind::Sqlite);
    session.query(&statement, &[]).await
}

#[tokio::test]
async fn a_transaction_holds_when_it_was_committed_and_not_before() {
    let data = Data::new("");
    let mut session = data.begun().await;
    let table = ask(&mut *session, "select n, b, 1.5 as r, null as x from t")
        .await
        .unwrap();
    assert_eq!(table.columns, ["n", "b", "r", "x"]);
    let bytes = |bytes: &'static [u8]| Some(bytes.into());
    assert_eq!(
        table.rows,
        [[bytes(b"1"), bytes(b"\0\xff"), bytes(b"1.5"), None]]
    );
    assert_eq!(data.sum(), 0);
    session.commit().await.unwrap();
    assert_eq!(data.sum(), 1);
    session.begin(None).await.unwrap();
    ask(&mut *session, "delete from t").await.unwrap();
    session.rollback().await.unwrap();
    // Outside of one, each statement holds by itself.
    ask(&mut *session, "insert into t values (2, null)")
        .await
        .unwrap();
    assert_eq!(data.sum(), 3);
    drop(session);
    assert_eq!(
        (data.client.state().in_use, data.client.state().idle),
        (0, 1)
    );
}

#[tokio::test]
async fn a_session_that_is_dropped_is_undone_and_the_next_one_goes_on() {
    let data = Data::new("pool.max_connections = 1");
    drop(data.begun().await);
    let mut session = timeout(LIMIT, data.begun()).await.unwrap();
    session.commit().await.unwrap();
    drop(session);
    assert_eq!(data.sum(), 1);
    // In the middle of a statement, too.
    let mut session = data.begun().await;
    let endless = ask(&mut *session, ENDLESS);
    assert!(timeout(Duration::from_millis(50), endless).await.is_err());
    drop(session);
    let session = timeout(LIMIT, data.begun()).await.unwrap();
    drop(session);
    let mut session = timeout(LIMIT, data.session()).await.unwrap();
    let counted = ask(&mut *session, "select count(*) from t").await.unwrap();
    assert_eq!(counted.rows, [[Some("1".into())]]);
}

#[tokio::test]
async fn whoever_writes_waits_for_those_before() {
    let data = Data::new("statement_timeout = \"200ms\"");
    let mut first = data.begun().await;
    let mut second = data.session().await;
    assert_eq!(second.begin(None).await, Err(Failure::Locked));
    first.commit().await.unwrap();
    second.begin(None).await.unwrap();
    second.rollback().await.unwrap();
    // What takes too long is undone, and what follows is not done outside of the transaction.
    let mut third = data.begun().await;
    let late = ask(&mut *third, &format!("insert into t(n) {ENDLESS}")).await;
    assert_eq!(late, Err(Failure::Timeout(Effects::None)));
    third.rollback().await.unwrap();
    assert_eq!(data.sum(), 1);
}

/// One that has written is none to replace: by SQLite's own rules, what lies beside the file is taken for that of the new one.
#[tokio::test]
async fn a_transaction_stays_with_the_file_that_it_was_begun_on() {
    let data = Data::new("");
    data.begun().await.commit().await.unwrap();
    let path = data.folder.path().join("a.db");
    let other = Connection::open(&path).unwrap();
    other
        .query_row("pragma wal_checkpoint(truncate)", [], |_| Ok(()))
        .unwrap();
    drop(other);
    let mut session = data.session().await;
    session.begin(None).await.unwrap();
    let next = Connection::open(path.with_extension("new")).unwrap();
    next.execute_batch("create table t (n integer, b blob); insert into t values (5, null)")
        .unwrap();
    drop(next);
    std::fs::rename(path.with_extension("new"), &path).unwrap();
    let sum = "select sum(n) from t";
    let told = ask(&mut *session, sum).await.unwrap();
    assert_eq!(told.rows, [[Some("1".into())]]);
    session.rollback().await.unwrap();
    let told = ask(&mut *session, sum).await.unwrap();
    assert_eq!(told.rows, [[Some("5".into())]]);
}

#[tokio::test]
async fn values_are_bound_by_their_number() {
    let data = Data::new("");
    let mut session = data.session().await;
    let types = ["int8".parse().unwrap(), "text".parse().unwrap()];
    let statement = Statement::new("select $2, $1, $2", &types, Kind::Sqlite);
    let values = [Value::Text("7".to_owned()), Value::Text("'".to_owned())];
    let table = session.query(&statement, &values).await.unwrap();
    let text = |text: &'static str| Some(text.into());
    assert_eq!(table.rows, [[text("'"), text("7"), text("'")]]);
}
