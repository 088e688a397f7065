//! What becomes of messages that nobody takes.

use super::*;

#[tokio::test(start_paused = true)]
async fn an_application_that_is_not_there_costs_no_attempt() {
    let (fake, app) = (Arc::new(Fake::with_ladder(&[5])), Arc::new(App::default()));
    app.say((0..6).map(|_| not_there()));
    for id in ["a", "b", "c"] {
        fake.put(id, 1, None);
    }
    let subscription = start(&fake, &app, "prefetch = 2");
    until("it says so", || {
        subscription.describe()["state"] == "waiting"
    })
    .await;
    let described = subscription.describe();
    assert!(
        described["why"]
            .as_str()
            .unwrap()
            .contains("connect_failed"),
        "{described}"
    );
    assert!(fake.settled().is_empty());
    until("all are delivered", || fake.settled().len() == 3).await;
    let mut settled = fake.settled();
    settled.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(settled, [done("a"), done("b"), done("c")]);
    assert_eq!(subscription.describe()["state"], "delivering");
    assert_eq!(fake.consumers.lock().unwrap().0, 1, "nothing went back");
}

#[tokio::test(start_paused = true)]
async fn a_route_that_has_gone_gives_no_message_up() {
    let (fake, app) = (Arc::new(Fake::with_ladder(&[5])), Arc::new(App::default()));
    app.say([Outcome {
        refused: Some("no_route"),
        unsent: true,
        ..status(404)
    }]);
    fake.put("a", 1, None);
    let subscription = start(&fake, &app, "");
    until("it is delivered", || fake.settled() == [done("a")]).await;
    assert_eq!(subscription.describe()["dead_lettered"], 0);
}

#[tokio::test(start_paused = true)]
async fn what_nobody_takes_for_long_goes_back() {
    let (fake, app) = (Arc::new(Fake::with_ladder(&[5])), Arc::new(App::default()));
    app.say((0..1000).map(|_| not_there()));
    fake.put("a", 1, None);
    let began = Instant::now();
    let _subscription = start(&fake, &app, "");
    while fake.settled().is_empty() {
        assert!(began.elapsed() < Duration::from_secs(700));
        sleep(Duration::from_secs(1)).await;
    }
    assert!(began.elapsed() >= Duration::from_secs(600));
    assert_eq!(fake.settled(), [("a".to_owned(), Verdict::Return)]);
    until("it consumes anew", || fake.consumers.lock().unwrap().0 == 2).await;
}

#[tokio::test(start_paused = true)]
async fn what_has_nowhere_to_go_is_kept() {
    let (fake, app) = (Arc::new(Fake::default()), Arc::new(App::default()));
    app.say([status(400), status(500)]);
    fake.put("a", 1, None);
    let subscription = start(&fake, &app, "");
    until("it says so", || {
        subscription.describe()["state"] == "waiting"
    })
    .await;
    until("it is delivered", || fake.settled() == [done("a")]).await;
}

#[tokio::test(start_paused = true)]
async fn what_fails_in_the_proxy_itself_is_not_tried_without_end() {
    let fake = Arc::new(Fake::with_ladder(&[]));
    let app = Arc::new(App {
        panics_at: Some("a"),
        ..App::default()
    });
    fake.put("a", 1, None);
    let subscription = start(&fake, &app, "prefetch = 1");
    until("it waits", || subscription.describe()["state"] == "waiting").await;
    fake.put("a", 1, None);
    sleep(Duration::from_millis(400)).await;
    assert_eq!(app.seen(), ["a"]);
    until("it is tried again", || app.seen().len() == 2).await;
    fake.put("b", 1, None);
    until("another one is delivered", || fake.settled() == [done("b")]).await;
    assert_eq!(subscription.describe()["state"], "delivering");
}

#[tokio::test(start_paused = true)]
async fn what_no_request_can_be_made_of_is_a_dead_letter() {
    let names = |count: usize| (0..count).map(|nth| (format!("x-{nth}"), "v".to_owned()));
    let large = || [("x".to_owned(), "v".repeat(300 << 10))].into_iter();
    let headers: [Vec<_>; 2] = [names(40_000).collect(), large().collect()];
    for headers in headers {
        let (fake, app) = (Arc::new(Fake::with_ladder(&[5])), Arc::new(App::default()));
        fake.put_with("a", headers);
        let _subscription = start(&fake, &app, "");
        until("it is settled", || !fake.settled().is_empty()).await;
        let reason = "headers_too_large".to_owned();
        let dead = Verdict::DeadLetter { reason };
        assert_eq!(fake.settled(), [("a".to_owned(), dead)]);
        assert!(app.seen().is_empty());
    }
}

/// Handed back one by one, they would come behind what is behind them.
#[tokio::test(start_paused = true)]
async fn what_has_an_order_goes_back_when_nothing_is_under_way() {
    let fake = Arc::new(Fake::with_ladder(&[]));
    let app = Arc::new(App {
        gate: Some(Semaphore::new(0)),
        ..App::default()
    });
    for id in ["a", "b", "c"] {
        fake.put(id, 1, Some("k"));
    }
    let subscription = start(&fake, &app, "prefetch = 2\nordered_by = \"key\"");
    until("one is delivered", || app.seen() == ["a"]).await;
    subscription.pause();
    sleep(Duration::from_secs(5)).await;
    assert!(fake.settled().is_empty());
    app.gate.as_ref().unwrap().add_permits(1);
    let left = ("b".to_owned(), Verdict::Leave);
    until("both go", || fake.settled() == [done("a"), left.clone()]).await;
    assert_eq!(app.seen(), ["a"]);
}
