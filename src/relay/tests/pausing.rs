//! When a relay works: alone among processes, when it is woken, and not while it is paused or behind its end.

use super::*;

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
