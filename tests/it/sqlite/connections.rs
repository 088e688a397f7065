//! Connections: threads that are there while they are needed, limited, and never in the way of anything else.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use super::{Data, ENDLESS, get, post, state};
use crate::support::{LIMIT, Proxy, eventually};

const QUICK: &str = "statement = \"select 1 as a\"";

#[test]
fn a_database_is_shown_and_has_threads_as_long_as_it_is_used() {
    let data = Data::new("");
    let mut proxy = data.proxy(
        "pool = { max_connections = 3, idle_timeout = \"300ms\" }",
        &[("/run", QUICK)],
    );
    let before = state(&proxy);
    assert_eq!(
        (&before["connected"], &before["kind"]),
        (&json!(null), &json!("SQLite"))
    );
    assert_eq!(proxy.threads("sqlite"), 0);
    assert_eq!(get(&proxy, "/run").status, 200);
    let after = state(&proxy);
    assert_eq!(after["connected"], true);
    assert!(after["version"].as_str().unwrap().starts_with("3."));
    let metrics = proxy.metrics();
    assert_eq!(
        metrics.sum("outrigger_database_up", &[("database", "main")]),
        1.0
    );
    thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                for _ in 0..20 {
                    assert_eq!(get(&proxy, "/run").status, 200);
                    assert!(proxy.threads("sqlite") <= 3);
                }
            });
        }
    });
    eventually(LIMIT, "what is idle is closed", || {
        proxy.threads("sqlite") == 0
    });
    assert_eq!(get(&proxy, "/run").status, 200);
    proxy.reload_with("[listeners.main]\nlisten = \"127.0.0.1:0\"\n");
    eventually(LIMIT, "a database that is gone has none", || {
        proxy.threads("sqlite") == 0
    });
    assert!(!proxy.log().contains("panicked"));
}

#[test]
fn a_reload_goes_on_with_the_file() {
    let data = Data::new("create table t (id integer primary key)");
    let put = "statement = \"insert into t default values\"\nresult = \"none\"";
    let text = |database: &str| super::config(&data.url(), database, &[("/put", put)]);
    let mut proxy = Proxy::start(&text(""));
    let stop = AtomicBool::new(false);
    let (address, began) = (proxy.address(), Instant::now());
    let confirmed = thread::scope(|scope| {
        let callers: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut count = 0;
                    while !stop.load(Ordering::SeqCst) && began.elapsed() < LIMIT {
                        let mut client = crate::support::Client::tcp(address);
                        let answer = client.request("POST", "/put", &[], "");
                        assert_eq!(answer.status, 204, "{}", answer.text());
                        count += 1;
                    }
                    count
                })
            })
            .collect();
        for database in ["connect_timeout = \"4s\"", "pool.max_connections = 2", ""] {
            proxy.reload_with(text(database));
        }
        stop.store(true, Ordering::SeqCst);
        callers
            .into_iter()
            .map(|caller| caller.join().unwrap())
            .sum::<i64>()
    });
    assert_eq!(data.number("select count(*) from t"), confirmed);
}

#[test]
fn a_full_pool_is_told_in_time_and_workers_go_on() {
    let data = Data::new("");
    let slow = format!("statement = \"{ENDLESS}\"");
    let mut proxy = data.proxy(
        "statement_timeout = \"60s\"\npool = { max_connections = 2, max_wait = \"100ms\" }",
        &[("/slow", &slow), ("/run", QUICK)],
    );
    let mut callers = [proxy.client(), proxy.client()];
    for caller in &mut callers {
        caller.send_request("GET", "/slow", &[], "");
    }
    eventually(LIMIT, "both are in use", || {
        state(&proxy)["pool"]["in_use"] == 2
    });
    for _ in 0..4 {
        // What runs has the threads of its connections, and no worker.
        get(&proxy, "/run").assert_refused(503, "overloaded");
        assert_eq!(get(&proxy, "/nowhere").status, 404);
    }
    drop(callers);
    eventually(LIMIT, "they are given back", || {
        get(&proxy, "/run").status == 200
    });
    proxy.terminate();
    assert!(proxy.wait_exit(LIMIT).success());
}

#[test]
fn a_proxy_that_is_killed_leaves_what_was_confirmed_and_nothing_else() {
    for mode in ["delete", "wal"] {
        let data = Data::new(&format!(
            "pragma journal_mode = {mode}; create table t (id integer)"
        ));
        let put = "statement = \"insert into t values (1)\"\nresult = \"none\"";
        let half = format!(
            "statements = [\"insert into t values (100)\", \"{ENDLESS}\"]\nresult = \"none\""
        );
        let mut proxy = data.proxy(
            "statement_timeout = \"60s\"",
            &[("/put", put), ("/half", &half)],
        );
        for round in 1..=3 {
            assert_eq!(post(&proxy, "/put", "").status, 204);
            let mut caller = proxy.client();
            caller.send_request("POST", "/half", &[], "");
            let other = rusqlite::Connection::open(data.path()).unwrap();
            other.busy_timeout(Duration::ZERO).unwrap();
            eventually(LIMIT, "it writes", || {
                other.execute_batch("begin immediate; rollback").is_err()
            });
            drop(other);
            proxy.restart();
            assert_eq!(post(&proxy, "/put", "").status, 204);
            assert_eq!(data.number("select sum(id) from t"), 2 * round);
        }
    }
}
