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
async fn rows_are_published_in_their_order_and_are_gone() {
    let rows = (0..250).map(|i| row(&i.to_string(), Some(["a", "b"][i % 2])));
    let it = Relayed::new(Outbox::with(rows), Fake::default(), SUBJECT);
    it.until_empty().await;
    let of = |remainder: usize| -> Vec<usize> {
        let ids = it.published().into_iter().map(|id| id.parse().unwrap());
        ids.filter(|id| id % 2 == remainder).collect()
    };
    for key in [0, 1] {
        assert!(of(key).is_sorted() && of(key).len() == 125);
    }
    let now = it.now();
    assert_eq!(
        (&now["state"], &now["published"]),
        (&json!("relaying"), &json!(250))
    );
    it.outbox.put([row("last", None)]);
    let before = Instant::now();
    it.until_empty().await;
    assert!(before.elapsed() <= Duration::from_millis(1100), "a poll");
    it.relay.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_fails_holds_back_its_key_alone_and_is_tried_again() {
    let rejected = || Err(Refusal::Rejected(why()));
    let broker = says([rejected(), confirmed(), rejected()]);
    let rows = [
        row("1", Some("a")),
        row("2", Some("b")),
        row("3", Some("a")),
    ];
    let it = Relayed::new(Outbox::with(rows), broker, SUBJECT);
    it.until("the other key is published", |it| {
        it.outbox.left() == ["1", "3"]
    })
    .await;
    let now = it.now();
    assert_eq!(now["held"], 1);
    assert_eq!(now["held_rows"][0]["id"], "1");
    assert_eq!(now["held_rows"][0]["key"], "a");
    assert_eq!(now["held_rows"][0]["reason"], "message_rejected");
    assert_eq!(now["last_error"]["row"], "1");
    it.until_empty().await;
    assert_eq!(it.published(), ["1", "2", "1", "1", "3"]);
    it.until("nothing is held", |it| it.now()["held"] == 0)
        .await;
    let settled = it.outbox.settled.lock().unwrap().clone();
    let written = settled.iter().flat_map(|settled| &settled.failed);
    assert_eq!(written.count(), 0, "a full queue is no fault of the row");
}

#[tokio::test(start_paused = true)]
async fn rows_without_a_key_hold_back_nothing() {
    let broker = says([Err(Refusal::Rejected(why()))]);
    let it = Relayed::new(
        Outbox::with([row("1", None), row("2", None)]),
        broker,
        SUBJECT,
    );
    it.until_empty().await;
    assert_eq!(it.published(), ["1", "2", "1"]);
}

#[tokio::test(start_paused = true)]
async fn what_can_never_be_published_is_set_aside() {
    let null = |id| Row {
        payload: Payload::Null,
        ..row(id, Some("a"))
    };
    let rows = || [null("1"), row("2", Some("a"))];
    let it = Relayed::new(Outbox::with(rows()), Fake::default(), SUBJECT);
    it.until("the next one is published", |it| it.outbox.left() == ["1"])
        .await;
    let aside = it.outbox.rows.lock().unwrap()[0].1.clone();
    let told = "message_unfit: the column `payload` is null";
    assert_eq!(aside.as_deref(), Some(told));
    assert_eq!(
        (&it.now()["set_aside"], &it.now()["held"]),
        (&json!(1), &json!(0))
    );

    // Without a place for that, it holds back its key for ever, and is shown.
    let more = "publish.subject = \"orders\"\ncolumns = { key = \"key\" }\n";
    let rows = rows().into_iter().chain([row("3", Some("b"))]);
    let it = Relayed::new(Outbox::with(rows), Fake::default(), more);
    it.until("the other key is published", |it| {
        it.outbox.left() == ["1", "2"]
    })
    .await;
    sleep(Duration::from_secs(1000)).await;
    assert_eq!(it.outbox.left(), ["1", "2"]);
    let now = it.now();
    assert!(
        now["held_rows"][0]["attempts"].as_u64().unwrap() > 10,
        "{now}"
    );
    assert_eq!(
        now["held_rows"][0]["detail"],
        "the column `payload` is null"
    );
}

#[tokio::test(start_paused = true)]
async fn what_leads_nowhere_is_set_aside_after_so_many_attempts() {
    let broker = says((0..3).map(|_| Err(Refusal::Unroutable(why()))));
    let rows = [row("1", Some("a")), row("2", Some("a"))];
    let it = Relayed::new(
        Outbox::with(rows),
        broker,
        &format!("attempts = 3\n{SUBJECT}"),
    );
    it.until("it is set aside", |it| it.outbox.left() == ["1"])
        .await;
    assert_eq!(it.published(), ["1", "1", "1", "2"]);
    let (row, why) = it.outbox.rows.lock().unwrap()[0].clone();
    assert_eq!(
        (row.attempts, why.unwrap().as_str()),
        (3, "message_unroutable: no")
    );
    // Whoever mends it has it tried again.
    it.outbox.rows.lock().unwrap()[0].1 = None;
    it.until_empty().await;
}

#[tokio::test(start_paused = true)]
async fn attempts_that_the_table_counts_hold_for_all() {
    let broker = says([Err(Refusal::Unroutable(why()))]);
    let rows = [Row {
        attempts: 2,
        ..row("1", Some("a"))
    }];
    let it = Relayed::new(
        Outbox::with(rows),
        broker,
        &format!("attempts = 3\n{SUBJECT}"),
    );
    it.until("it is set aside", |it| it.now()["set_aside"] == 1)
        .await;
    assert_eq!(it.published(), ["1"]);
}

#[tokio::test(start_paused = true)]
async fn without_a_key_all_are_in_one_order() {
    let broker = says([Err(Refusal::Rejected(why()))]);
    let more = "publish.subject = \"orders\"\n";
    let rows = ["1", "2"].map(|id| row(id, Some("")));
    let it = Relayed::new(Outbox::with(rows), broker, more);
    it.until_empty().await;
    assert_eq!(it.published(), ["1", "1", "2"]);
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_is_not_there_costs_no_attempt() {
    let gone = || Err(Refusal::Unavailable("it is gone".to_owned()));
    let mut broker = says([confirmed(), gone(), confirmed()]);
    broker.connects_at = Some(Instant::now() + Duration::from_secs(20));
    let rows = ["1", "2", "3"].map(|id| row(id, Some(id)));
    let it = Relayed::new(Outbox::with(rows), broker, SUBJECT);
    sleep(Duration::from_secs(10)).await;
    assert_eq!(it.now()["state"], "starting");
    assert_eq!(
        *it.outbox.takes.lock().unwrap(),
        0,
        "no transaction is open meanwhile"
    );
    it.until("it says why", |it| it.now()["why"] == "it is gone")
        .await;
    assert_eq!(it.outbox.left(), ["2", "3"], "what was confirmed is gone");
    it.until_empty().await;
    assert_eq!(it.published(), ["1", "2", "2", "3"]);
    let settled = it.outbox.settled.lock().unwrap();
    assert!(settled.iter().all(|settled| settled.failed.is_empty()));
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_not_confirmed_comes_again_under_its_id() {
    let broker = Fake::default();
    broker.says.lock().unwrap().push_back(None);
    let it = Relayed::new(Outbox::with([row("1", Some("a"))]), broker, SUBJECT);
    it.until_empty().await;
    assert_eq!(it.published(), ["1", "1"]);
    assert_eq!(it.now()["last_error"]["reason"], "confirm_unknown");
}

#[tokio::test(start_paused = true)]
async fn nothing_begins_late_in_a_transaction() {
    // Each of these takes the whole time that a confirmation may take.
    let broker = Fake::default();
    broker.says.lock().unwrap().extend([None, None]);
    let rows = ["1", "2"].map(|id| row(id, Some(id)));
    let rows = rows.into_iter().chain([row("3", Some("1"))]);
    let it = Relayed::new(Outbox::with(rows), broker, SUBJECT);
    let began = Instant::now();
    it.until("it is settled", |it| {
        !it.outbox.settled.lock().unwrap().is_empty()
    })
    .await;
    assert!(began.elapsed() < Duration::from_secs(6));
    it.until_empty().await;
    let published = it.published();
    let last = |id: &str| published.iter().rposition(|published| published == id);
    assert_eq!(published.len(), 5);
    assert!(last("1") < last("3"), "{published:?}");
}

#[tokio::test(start_paused = true)]
async fn a_database_that_fails_is_tried_again() {
    let outbox = Outbox::with([row("1", Some("a"))]);
    let trouble = || Trouble("it is away".to_owned());
    outbox
        .take_fails
        .lock()
        .unwrap()
        .extend([trouble(), trouble()]);
    outbox.settle_fails.lock().unwrap().push_back(trouble());
    let it = Relayed::new(outbox, Fake::default(), SUBJECT);
    it.until("it says why", |it| it.now()["why"] == "it is away")
        .await;
    assert_eq!(it.now()["state"], "detached");
    it.until_empty().await;
    // What was not settled is, and is not published again.
    assert_eq!(it.published(), ["1"]);
    assert_eq!(it.now()["published"], 1);
    it.until("it goes on", |it| it.now()["state"] == "relaying")
        .await;
    assert_eq!(it.now()["last_error"]["reason"], "database_failed");
}

#[tokio::test(start_paused = true)]
async fn what_is_published_and_does_not_go_holds_back_itself_alone() {
    let outbox = Outbox::with(["1", "2"].map(|id| row(id, Some("a"))));
    outbox.sticks.lock().unwrap().push("1".to_owned());
    let it = Relayed::new(outbox, Fake::default(), SUBJECT);
    it.until("the other is gone", |it| it.outbox.left() == ["1"])
        .await;
    it.outbox.put([row("3", Some("a"))]);
    it.until("a later one is gone", |it| {
        it.outbox.left() == ["1"] && it.published().len() == 3
    })
    .await;
    sleep(Duration::from_secs(1000)).await;
    let now = it.now();
    assert_eq!(now["held_rows"][0]["reason"], "row_not_settled");
    assert_eq!(now["held_rows"][0]["detail"], "a constraint is against it");
    it.outbox.sticks.lock().unwrap().clear();
    it.until_empty().await;
    assert_eq!(it.published(), ["1", "2", "3"]);
    it.until("nothing is held", |it| it.now()["held"] == 0)
        .await;
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_noted_is_held_back_instead_of_set_aside() {
    let rows = [
        Row {
            payload: Payload::Null,
            ..row("1", Some("a"))
        },
        row("2", Some("a")),
        row("3", Some("b")),
    ];
    let outbox = Outbox::with(rows);
    outbox.sticks.lock().unwrap().push("1".to_owned());
    let it = Relayed::new(outbox, Fake::default(), SUBJECT);
    it.until("the other key is published", |it| {
        it.outbox.left() == ["1", "2"]
    })
    .await;
    sleep(Duration::from_secs(100)).await;
    assert!(
        *it.outbox.takes.lock().unwrap() < 150,
        "it is not tried at once"
    );
    let now = it.now();
    assert_eq!((&now["held"], &now["set_aside"]), (&json!(1), &json!(0)));
    it.outbox.sticks.lock().unwrap().clear();
    it.until("it is set aside", |it| it.now()["set_aside"] == 1)
        .await;
    it.until("the next one is published", |it| it.outbox.left() == ["1"])
        .await;
}

#[tokio::test(start_paused = true)]
async fn what_fails_behind_one_that_is_published_is_held_back() {
    let broker = says([confirmed(), Err(Refusal::Rejected(why()))]);
    let rows = ["1", "2"].map(|id| row(id, Some("a")));
    let it = Relayed::new(Outbox::with(rows), broker, SUBJECT);
    it.until("one is published", |it| it.outbox.left() == ["2"])
        .await;
    let began = Instant::now();
    it.until_empty().await;
    assert!(began.elapsed() >= Duration::from_millis(500), "not at once");
    assert_eq!(it.published(), ["1", "2", "2"]);
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
async fn one_process_at_a_time_has_rows_under_way() {
    let outbox = Outbox::with([row("1", Some("a"))]);
    *outbox.elsewhere.lock().unwrap() = 3;
    let began = Instant::now();
    let more = format!("poll = \"1h\"\n{SUBJECT}");
    let it = Relayed::new(outbox, Fake::default(), &more);
    it.until("it stands by", |it| it.now()["state"] == "standby")
        .await;
    it.until_empty().await;
    assert_eq!(*it.outbox.elsewhere.lock().unwrap(), 0);
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn a_bell_wakes_it_and_is_heard_while_it_is_paused() {
    let bell = Arc::new(Semaphore::new(0));
    let outbox = Arc::new(Outbox {
        bell: Some(bell.clone()),
        ..Outbox::default()
    });
    let more = format!("poll = \"1h\"\n{SUBJECT}");
    let it = Relayed::new(outbox, Fake::default(), &more);
    it.until("it listens", |it| it.now()["listens"] == true)
        .await;
    sleep(Duration::from_secs(60)).await;
    let takes = || *it.outbox.takes.lock().unwrap();
    let before = takes();
    it.outbox.put([row("1", None)]);
    bell.add_permits(100);
    it.until_empty().await;
    sleep(Duration::from_secs(1)).await;
    assert!(takes() <= before + 2, "100 rings are one: {}", takes());

    it.relay.pause();
    it.until("it is paused", |it| it.now()["state"] == "paused")
        .await;
    it.outbox.put([row("2", None)]);
    bell.add_permits(100);
    it.until("they are heard", |_| bell.available_permits() == 0)
        .await;
    sleep(Duration::from_secs(60)).await;
    assert_eq!(it.outbox.left(), ["2"]);
    it.relay.resume();
    it.until_empty().await;

    bell.close();
    it.until("nobody tells any more", |it| it.now()["listens"] == false)
        .await;
    it.outbox.put([row("3", None)]);
    let before = Instant::now();
    it.until_empty().await;
    assert!(
        before.elapsed() < Duration::from_secs(31),
        "it looks when it listens anew"
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_under_way_ends_and_what_is_not_begun_stays() {
    let broker = Fake::default();
    broker.says.lock().unwrap().push_back(None);
    let rows = ["1", "2"].map(|id| row(id, Some("a")));
    let it = Relayed::new(Outbox::with(rows), broker, SUBJECT);
    it.until("one is under way", |it| it.published() == ["1"])
        .await;
    it.relay.stop();
    assert!(!it.relay.has_ended());
    let relay = Arc::new(it.relay);
    let next = Relayed::started(
        it.outbox.clone(),
        it.broker.clone(),
        SUBJECT,
        std::slice::from_ref(&relay),
        false,
    );
    sleep(Duration::from_secs(4)).await;
    assert_eq!(next.published(), ["1"], "the next one waits for it");
    assert_eq!(next.now()["state"], "waiting");
    next.until_empty().await;
    assert!(relay.has_ended());
    assert_eq!(next.published(), ["1", "1", "2"]);
    assert_eq!(relay.describe()["state"], "ending");
}

#[tokio::test(start_paused = true)]
async fn one_that_was_paused_begins_so() {
    let outbox = Outbox::with([row("1", None)]);
    let it = Relayed::started(outbox, Arc::default(), SUBJECT, &[], true);
    sleep(Duration::from_secs(60)).await;
    assert!(it.relay.is_paused());
    assert_eq!(*it.outbox.takes.lock().unwrap(), 0);
    it.relay.stop();
    it.relay.resume();
    it.relay.end().await;
    assert_eq!(it.outbox.left(), ["1"], "what was stopped stays so");
}

#[tokio::test(start_paused = true)]
async fn what_somebody_removes_is_forgotten() {
    let broker = says([Err(Refusal::Rejected(why()))]);
    let it = Relayed::new(Outbox::with([row("1", Some("a"))]), broker, SUBJECT);
    it.until("it is held", |it| it.now()["held"] == 1).await;
    it.outbox.rows.lock().unwrap().clear();
    it.until("it is forgotten", |it| it.now()["held"] == 0)
        .await;
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
    config.check_kinds((None, Some(database::Kind::Sqlite)), &mut problems);
    let told = problems.into_vec().remove(0).message;
    assert!(told.contains("from PostgreSQL in this version"), "{told}");
    assert_eq!(row_with("1", &[]).value(&selected[0]), None);
}
