//! Relays between a table in memory and a broker that is none.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout};

use super::fake::{Fake as Outbox, NoDatabase, Table, config, row, row_with};
use super::handle::Start;
use super::outbox::Trouble;
use super::row::{Payload, Row};
use super::*;
use crate::broker::fake::Fake;
use crate::broker::{self, Confirmed, Refusal};
use crate::database;
use crate::value::Name;
use crate::value::problem::Problems;

mod pausing;
mod settling;

const SUBJECT: &str =
    "publish.subject = \"orders\"\ncolumns = { key = \"key\", error = \"error\" }\n";

struct Relayed {
    relay: Relay,
    outbox: Arc<Outbox>,
    broker: Arc<Fake>,
}

impl Relayed {
    fn new(outbox: Arc<Outbox>, broker: Fake, more: &str) -> Self {
        Self::started(outbox, Arc::new(broker), more, &[], false)
    }

    fn started(
        outbox: Arc<Outbox>,
        fake: Arc<Fake>,
        more: &str,
        ending: &[Arc<Relay>],
        paused: bool,
    ) -> Self {
        let config = config(more);
        let name: Name = "orders".parse().unwrap();
        let broker: Arc<dyn broker::Client> = fake.clone();
        let database: Arc<dyn database::Client> = Arc::new(NoDatabase);
        let start = Start {
            name: &name,
            database: &database,
            kind: database::Kind::Postgres,
            broker: &broker,
            runtime: &Handle::current(),
            tracer: &Arc::default(),
            ending,
            paused,
        };
        let table = Table(outbox.clone(), usize::from(config.batch));
        let relay = Relay::start_on(Arc::new(table), &config, &start).unwrap();
        assert!(relay.is_like(&config, &database, &broker));
        Relayed {
            relay,
            outbox,
            broker: fake,
        }
    }

    fn published(&self) -> Vec<String> {
        let published = self.broker.published.lock().unwrap();
        let ids = published.iter().map(|(_, message)| message.id.clone());
        ids.map(|id| id.trim_start_matches("orders:").to_owned())
            .collect()
    }

    fn now(&self) -> Value {
        self.relay.describe()
    }

    async fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let waited = timeout(Duration::from_secs(3600), async {
            while !holds(self) {
                sleep(Duration::from_millis(1)).await;
            }
        });
        let waited = waited.await;
        assert!(waited.is_ok(), "{what}: {}", self.now());
    }

    async fn until_empty(&self) {
        self.until("all are published", |it| it.outbox.left().is_empty())
            .await;
    }
}

fn says(answers: impl IntoIterator<Item = Result<Confirmed, Refusal>>) -> Fake {
    let fake = Fake::default();
    fake.says
        .lock()
        .unwrap()
        .extend(answers.into_iter().map(Some));
    fake
}

fn confirmed() -> Result<Confirmed, Refusal> {
    Ok(Confirmed { duplicate: false })
}

fn why() -> String {
    "no".to_owned()
}

#[tokio::test(start_paused = true)]
async fn what_waits_is_not_known_and_rows_are_published_all_the_same() {
    let outbox = Outbox::with([row("1", None)]);
    *outbox.counts.lock().unwrap() = Some(Trouble("it takes too long".to_owned()));
    let it = Relayed::new(outbox, Fake::default(), SUBJECT);
    it.until_empty().await;
    let now = it.now();
    assert_eq!(now["lag"]["rows"], Value::Null);
    assert_eq!(now["last_error"]["reason"], "not_counted");
}

#[tokio::test(start_paused = true)]
async fn metrics_tell_of_what_waits() {
    let broker = says((0..50).map(|_| Err(Refusal::Rejected(why()))));
    let it = Relayed::new(Outbox::with([row("1", Some("a"))]), broker, SUBJECT);
    it.until("it is held", |it| it.now()["held"] == 1).await;
    let mut text = String::new();
    render_metrics([&it.relay].into_iter(), &mut text);
    for line in [
        "outrigger_relay_healthy{relay=\"orders\"} 1\n",
        "outrigger_relay_lag_rows{relay=\"orders\"} 1\n",
        "outrigger_relay_lag_seconds{relay=\"orders\"} 7\n",
        "outrigger_relay_held{relay=\"orders\"} 1\n",
        "outrigger_relay_set_aside{relay=\"orders\"} 0\n",
    ] {
        assert!(text.contains(line), "{text}");
    }
    let mut nothing = String::new();
    render_metrics([].into_iter(), &mut nothing);
    assert_eq!(nothing, "");
}

#[test]
fn the_columns_that_a_relay_asks_for_are_those_that_it_names() {
    let config = config(
        "publish.subject = \"o.${row.kind}.${row.tenant}\"\npublish.headers = { a = \"${row.kind}\" }\n\
         columns = { headers = \"meta\" }\n",
    );
    let selected = config.selected();
    let names: Vec<&str> = selected.iter().map(Identifier::as_str).collect();
    assert_eq!(names, ["kind", "meta", "tenant"]);
    let mut problems = Problems::default();
    config.check(&mut problems);
    let kinds = (Some(broker::Kind::Nats), Some(database::Kind::Postgres));
    config.check_kinds(kinds, &mut problems);
    assert!(problems.into_vec().is_empty());
    let mut problems = Problems::default();
    let notified = Config {
        notify: Some("outbox".parse().unwrap()),
        ..config
    };
    notified.check_kinds((None, Some(database::Kind::MySql)), &mut problems);
    notified.check_kinds((None, Some(database::Kind::Sqlite)), &mut problems);
    let told = problems.into_vec().into_iter().map(|one| one.message);
    let told: Vec<String> = told.collect();
    assert!(told[0].contains("`notify` is of PostgreSQL"), "{told:?}");
    assert!(
        told[1].contains("the database `main` is SQLite"),
        "{told:?}"
    );
    assert_eq!(row_with("1", &[]).value(&selected[0]), None);
}
