//! Transactions and connections, against a server in memory.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::fake::*;
use crate::database::link::Broken;
use crate::database::{Failure, Kind, Objection, Shape, Statement, Work};

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
    let refused = Err(Failure::refused("42P01"));
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
    let left_open = Err(Failure::refused("25001"));
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
    let refused = |code: &str| Err(Failure::refused(code));
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
    assert_eq!(run(&client, READS).await, Err(Failure::refused("08006")));
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
    let refused = Err(Failure::refused("0A000"));
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
    assert_eq!(refused, Some(Failure::refused(why)));
    assert_eq!(fake.seen.lock().unwrap().opened, 0);
}
