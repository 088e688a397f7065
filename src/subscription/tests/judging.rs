//! What becomes of a message, by what is answered.

use super::*;

#[tokio::test(start_paused = true)]
async fn an_answer_decides_what_becomes_of_a_message() {
    let retry = |step| Verdict::Retry { step };
    let dead = |reason: &str| Verdict::DeadLetter {
        reason: reason.to_owned(),
    };
    let later = Outcome {
        retry_after: Some(Duration::from_secs(50)),
        ..status(503)
    };
    let reset = Outcome {
        refused: Some("upstream_reset"),
        ..status(502)
    };
    for (says, attempt, expected) in [
        (status(204), 1, Verdict::Done),
        (status(500), 1, retry(0)),
        (status(429), 2, retry(1)),
        (status(408), 3, retry(2)),
        (status(500), 4, dead("status_500")),
        (later.clone(), 1, retry(1)),
        (later, 4, dead("status_503")),
        (reset.clone(), 2, retry(1)),
        (reset, 9, dead("upstream_reset")),
        (status(404), 1, dead("status_404")),
        (status(422), 2, dead("status_422")),
        (status(302), 1, dead("status_302")),
    ] {
        let fake = Arc::new(Fake::with_ladder(&[5, 60, 600]));
        let app = Arc::new(App::default());
        let told = format!("{says:?}, attempt {attempt}");
        app.say([says]);
        fake.put("a", attempt, None);
        let _subscription = start(&fake, &app, "");
        until(&told, || !fake.settled().is_empty()).await;
        assert_eq!(fake.settled(), [("a".to_owned(), expected)], "{told}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_application_of_dapr_answers_in_its_own_words() {
    let answer = |status_word: &str| Outcome {
        body: Bytes::from(json!({ "status": status_word }).to_string()),
        ..status(200)
    };
    for (word, expected) in [
        ("SUCCESS", Verdict::Done),
        ("RETRY", Verdict::Retry { step: 0 }),
        ("DROP", Verdict::Done),
        ("", Verdict::Done),
        ("success", Verdict::Retry { step: 0 }),
        ("FAILED", Verdict::Retry { step: 0 }),
    ] {
        let fake = Arc::new(Fake::with_ladder(&[5]));
        let app = Arc::new(App::default());
        app.say([answer(word)]);
        fake.put("a", 1, None);
        let subscription = start(&fake, &app, "answer = \"dapr\"");
        until(word, || !fake.settled().is_empty()).await;
        assert_eq!(fake.settled(), [("a".to_owned(), expected)], "{word}");
        let dropped = u64::from(word == "DROP");
        until(word, || subscription.describe()["in_flight"] == 0).await;
        assert_eq!(subscription.describe()["dropped"], dropped);
    }
}

#[tokio::test(start_paused = true)]
async fn what_takes_too_long_is_tried_again() {
    let fake = Arc::new(Fake::with_ladder(&[5]));
    let app = Arc::new(App {
        gate: Some(Semaphore::new(0)),
        ..App::default()
    });
    fake.put("a", 1, None);
    let began = Instant::now();
    let subscription = start(&fake, &app, "timeout = \"3s\"");
    until("it is given up", || !fake.settled().is_empty()).await;
    assert_eq!(
        fake.settled(),
        [("a".to_owned(), Verdict::Retry { step: 0 })]
    );
    assert!(began.elapsed() >= Duration::from_secs(3) && began.elapsed() < Duration::from_secs(4));
    until("it is told", || {
        subscription.describe()["last_failures"][0]["reason"] == "timeout"
    })
    .await;
}
