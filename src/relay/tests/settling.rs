//! What becomes of rows: published, held back, set aside, tried again.

use super::*;

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
async fn what_somebody_removes_is_forgotten() {
    let broker = says([Err(Refusal::Rejected(why()))]);
    let it = Relayed::new(Outbox::with([row("1", Some("a"))]), broker, SUBJECT);
    it.until("it is held", |it| it.now()["held"] == 1).await;
    it.outbox.rows.lock().unwrap().clear();
    it.until("it is forgotten", |it| it.now()["held"] == 0)
        .await;
}
