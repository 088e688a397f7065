//! From rows of a table to messages of a broker, through the real program, a real database and a real broker.

mod brokers;
#[cfg(feature = "mysql")]
mod mariadb;
mod outages;
mod postgres;
mod settling;
#[cfg(feature = "sqlite")]
mod sqlite;

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io::Write as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::support::{NatsServer, Origin, PostgresServer, Proxy, Setup, eventually};

/// Longer than anything may take on a busy machine, where a database, a broker and two processes are started first.
const LIMIT: Duration = Duration::from_secs(60);

/// What publishes the rows of the table `outbox`, and delivers the messages to the route `all`.
fn setup(database: &str, broker: &NatsServer, app: impl Display, relay: &str) -> Setup {
    Setup::to_address(app)
        .route("match = { path = \"/app/{*rest}\" }")
        .also(format!(
            r#"
[databases.main]
url = {{ value = "{database}" }}
# Tests hold up statements until something else has happened.
statement_timeout = "60s"

[brokers.events]
url = {{ value = "{}" }}
[brokers.events.streams.orders]
subjects = ["orders.>"]

[subscriptions.handler]
broker = "events"
stream = "orders"
route = "all"
path = "/events/orders"
ordered_by = "header:x-key"

[relays.orders]
database = "main"
table = "outbox"
publish = {{ broker = "events", subject = "orders.${{row.kind}}", headers = {{ x-key = "${{row.aggregate_id}}" }} }}
poll = "100ms"
{relay}
"#,
            broker.url()
        ))
}

const COLUMNS: &str = "columns = { key = \"aggregate_id\", headers = \"headers\", content_type = \"content_type\", \
                       created_at = \"created_at\", attempts = \"attempts\", error = \"error\" }";

fn state(proxy: &Proxy) -> Value {
    proxy.admin("GET", "/relays/orders", "").json()
}

fn until_state(proxy: &Proxy, wanted: &str) {
    eventually(LIMIT, wanted, || state(proxy)["state"] == wanted);
}

/// The bodies of the messages that the application has got, by their keys.
fn by_key(origin: &Origin) -> BTreeMap<String, Vec<String>> {
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for request in origin.requests() {
        let key = request.header("x-key").unwrap_or_default().to_owned();
        all.entry(key).or_default().push(request.text());
    }
    all
}

/// Whether each key has so many messages, which are numbers, in their order.
fn in_order(origin: &Origin, of_each: usize) {
    for (key, bodies) in by_key(origin) {
        let numbers: Vec<u32> = bodies.iter().map(|body| body.parse().unwrap()).collect();
        assert!(
            numbers.is_sorted() && numbers.len() == of_each,
            "{key}: {numbers:?}"
        );
    }
}

/// The same without what delivers.
fn relays_alone(toml: &str) -> String {
    let (before, rest) = toml.split_once("[subscriptions.handler]").unwrap();
    let (_, relay) = rest.split_once("[relays.orders]").unwrap();
    format!("{before}[relays.orders]{relay}")
}

/// A database of its own with a table `outbox`, on the server that all tests share.
struct Table {
    server: PostgresServer,
    name: String,
}

impl Table {
    fn new() -> Table {
        Table::on(PostgresServer::shared())
    }

    fn on(server: PostgresServer) -> Table {
        let name = format!("relay_{:08x}", fastrand::u32(..));
        psql(&server.url(), &format!("create database {name}"));
        let table = Table { server, name };
        table.sql(
            "create table outbox (id bigint generated always as identity primary key, aggregate_id text, kind text not null, \
             payload jsonb not null, headers jsonb, content_type text, created_at timestamptz not null default now(), \
             attempts int not null default 0, error text)",
        );
        table
    }

    fn url(&self) -> String {
        let url = self.server.url();
        let (server, _) = url.rsplit_once('/').expect("it names a database");
        format!("{server}/{}", self.name)
    }

    /// The URL by way of something that stands before the server.
    fn url_by(&self, other: &str) -> String {
        let (place, _) = other.rsplit_once('/').expect("it names a database");
        format!("{place}/{}", self.name)
    }

    /// The URL with which that user logs in.
    fn url_of(&self, user: &str) -> String {
        let (_, place) = self
            .url()
            .split_once('@')
            .map(|(_, place)| ((), place.to_owned()))
            .expect("a user");
        format!("postgres://{user}:hush@{place}")
    }

    fn sql(&self, text: &str) -> String {
        psql(&self.url(), text)
    }

    /// `values` or a query that gives keys, kinds and payloads.
    fn insert(&self, rows: &str) {
        self.sql(&format!(
            "insert into outbox (aggregate_id, kind, payload) {rows}"
        ));
    }

    fn count(&self, condition: &str) -> usize {
        let count = self.sql(&format!("select count(*) from outbox where {condition}"));
        count.parse().expect("a number")
    }

    /// Somebody who begins with this, and goes on later.
    fn session(&self, begin: &str) -> PsqlSession {
        let mut child = command(&self.url())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("psql runs");
        let stdin = child.stdin.as_mut().expect("a pipe");
        writeln!(stdin, "{begin}").expect("it listens");
        PsqlSession(child)
    }

    /// A user who has these rights on the table.
    fn user(&self, rights: &str) -> String {
        let user = format!("user_{}", self.name);
        self.sql(&format!(
            "create role {user} login password 'hush'; grant {rights} on outbox to {user}"
        ));
        user
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        let name = &self.name;
        let gone = format!("drop database if exists {name} with (force)");
        let user = format!("drop role if exists user_{name}");
        let mut command = command(&self.server.url());
        let _ended = command
            .args(["--command", &gone, "--command", &user])
            .output();
    }
}

/// A session that is in the middle of something.
struct PsqlSession(Child);

impl PsqlSession {
    fn end(mut self, last: &str) {
        let mut stdin = self.0.stdin.take().expect("a pipe");
        writeln!(stdin, "{last}").expect("it listens");
        drop(stdin);
        assert!(self.0.wait().expect("it ends").success());
    }
}

fn psql(url: &str, text: &str) -> String {
    let ended = command(url)
        .arg("--command")
        .arg(text)
        .output()
        .expect("psql runs");
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{text}: {said}");
    String::from_utf8_lossy(&ended.stdout).trim().to_owned()
}

fn command(url: &str) -> Command {
    let mut command = Command::new("psql");
    command.args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align"]);
    command.args(["--set", "ON_ERROR_STOP=1", "--dbname", url]);
    command
}
