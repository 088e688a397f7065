//! How much is taken, in which order, and when nothing is.

use super::*;

#[tokio::test(start_paused = true)]
async fn messages_of_one_key_keep_their_order_when_the_config_changes() {
    let fake = Arc::new(Fake::with_ladder(&[]));
    let app = Arc::new(App {
        gate: Some(Semaphore::new(0)),
        ..App::default()
    });
    fake.put("a1", 1, Some("a"));
    let before = Arc::new(start(&fake, &app, "ordered_by = \"key\""));
    until("it is under way", || app.seen().len() == 1).await;
    before.stop();
    until("it ends", || before.describe()["state"] == "ending").await;
    fake.put("a2", 1, Some("a"));
    let ending = [before.clone()];
    let other = "ordered_by = \"key\"\nprefetch = 2";
    let after = start_after(&fake, &app, other, &ending, false);
    until("it waits", || after.describe()["state"] == "waiting").await;
    sleep(Duration::from_secs(5)).await;
    assert_eq!(app.seen(), ["a1"]);
    app.gate.as_ref().unwrap().add_permits(2);
    until("both are delivered", || fake.settled().len() == 2).await;
    assert!(before.has_ended());
    assert_eq!(fake.settled(), [done("a1"), done("a2")]);
}

#[tokio::test(start_paused = true)]
async fn what_is_to_end_waits_for_nobody() {
    let fake = Arc::new(Fake::with_ladder(&[]));
    let app = Arc::new(App {
        gate: Some(Semaphore::new(0)),
        ..App::default()
    });
    fake.put("a1", 1, Some("a"));
    let before = Arc::new(start(&fake, &app, "ordered_by = \"key\""));
    until("it is under way", || app.seen().len() == 1).await;
    before.stop();
    let ending = [before.clone()];
    let after = start_after(&fake, &app, "ordered_by = \"key\"", &ending, false);
    after.end().await;
    assert!(!before.has_ended());
    app.gate.as_ref().unwrap().add_permits(1);
    before.end().await;
}

#[tokio::test(start_paused = true)]
async fn one_that_begins_paused_takes_nothing_until_it_is_told_to() {
    let (fake, app) = (Arc::new(Fake::with_ladder(&[])), Arc::new(App::default()));
    fake.put("a", 1, None);
    let subscription = start_after(&fake, &app, "", &[], true);
    sleep(Duration::from_secs(5)).await;
    assert_eq!(subscription.describe()["state"], "paused");
    assert!(app.seen().is_empty() && subscription.is_paused());
    subscription.resume();
    until("it is delivered", || fake.settled() == [done("a")]).await;
}

#[tokio::test(start_paused = true)]
async fn paused_it_takes_nothing_and_ended_it_finishes() {
    let fake = Arc::new(Fake::with_ladder(&[]));
    let app = Arc::new(App {
        gate: Some(Semaphore::new(0)),
        ..App::default()
    });
    let subscription = start(&fake, &app, "");
    fake.put("a", 1, None);
    until("it is under way", || app.seen().len() == 1).await;
    subscription.pause();
    until("it is paused", || {
        subscription.describe()["state"] == "paused"
    })
    .await;
    fake.put("b", 1, None);
    sleep(Duration::from_secs(60)).await;
    assert_eq!(app.seen(), ["a"]);
    assert_eq!(*fake.consumers.lock().unwrap(), (1, 1));
    subscription.resume();
    until("it goes on", || app.seen().len() == 2).await;
    let ending = subscription.end();
    tokio::pin!(ending);
    assert!(ending.as_mut().now_or_never().is_none());
    sleep(Duration::from_secs(5)).await;
    assert!(
        ending.as_mut().now_or_never().is_none(),
        "two are under way"
    );
    app.gate.as_ref().unwrap().add_permits(2);
    ending.await;
    assert_eq!(fake.settled().len(), 2);
    assert_eq!(*fake.consumers.lock().unwrap(), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn messages_of_one_key_come_one_after_the_other() {
    let fake = Arc::new(Fake::with_ladder(&[]));
    let app = Arc::new(App {
        gate: Some(Semaphore::new(0)),
        ..App::default()
    });
    for (id, key) in [
        ("a1", "a"),
        ("a2", "a"),
        ("b1", "b"),
        ("a3", "a"),
        ("b2", "b"),
    ] {
        fake.put(id, 1, Some(key));
    }
    let _subscription = start(&fake, &app, "ordered_by = \"key\"");
    until("one of each key", || app.seen().len() == 2).await;
    sleep(Duration::from_secs(5)).await;
    assert_eq!(app.seen(), ["a1", "b1"]);
    app.gate.as_ref().unwrap().add_permits(100);
    until("all", || fake.settled().len() == 5).await;
    let seen = app.seen();
    let of = |key: char| {
        seen.iter()
            .filter(|id| id.starts_with(key))
            .cloned()
            .collect::<Vec<_>>()
    };
    assert_eq!(of('a'), ["a1", "a2", "a3"]);
    assert_eq!(of('b'), ["b1", "b2"]);
    assert_eq!(app.at_once.lock().unwrap().1, 2);
}

#[tokio::test(start_paused = true)]
async fn no_more_are_taken_than_prefetch_says() {
    let fake = Arc::new(Fake::with_ladder(&[]));
    let app = Arc::new(App {
        gate: Some(Semaphore::new(0)),
        ..App::default()
    });
    for place in 0..10 {
        fake.put(&place.to_string(), 1, None);
    }
    let subscription = start(&fake, &app, "prefetch = 3");
    until("three", || app.seen().len() == 3).await;
    sleep(Duration::from_secs(5)).await;
    assert_eq!(
        (
            app.seen().len(),
            subscription.describe()["in_flight"].as_u64()
        ),
        (3, Some(3))
    );
    app.gate.as_ref().unwrap().add_permits(100);
    until("all", || fake.settled().len() == 10).await;
}
