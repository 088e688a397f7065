//! What one statement leaves to the next on the same connection: nothing.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use serde_json::json;

use super::{config, get, post, state, table};
use crate::support::{LIMIT, PostgresServer, Proxy, eventually};

#[test]
fn a_statement_that_a_connection_has_forgotten_is_prepared_again() {
    let server = PostgresServer::shared();
    let name = format!("f{:x}", fastrand::u64(..));
    server.sql(&format!(
        "create function {name}() returns void language plpgsql as $$ begin execute 'deallocate all'; end $$"
    ));
    let forget = format!("statement = \"select {name}()::text as a\"");
    let put = table("id int8");
    let put = format!("statement = \"insert into {put} values (1)\"\nresult = \"affected\"");
    let routes = [
        ("/forget", forget.as_str()),
        ("/put", &put),
        ("/run", "statement = \"select 1 as a\""),
    ];
    let proxy = Proxy::start(&config(&server.url(), "pool.max_connections = 1", &routes));
    for _ in 0..3 {
        assert_eq!(get(&proxy, "/run").json(), json!([{ "a": 1 }]));
        assert_eq!(post(&proxy, "/put", "").json(), json!({ "affected": 1 }));
        assert_eq!(get(&proxy, "/forget").status, 200);
        assert_eq!(post(&proxy, "/put", "").json(), json!({ "affected": 1 }));
    }
}

#[test]
fn what_fails_at_the_very_end_is_not_taken_for_done() {
    let server = PostgresServer::shared();
    let late = format!("late_{:x}", fastrand::u64(..));
    let table = table(&format!(
        "id int8, constraint {late} unique (id) deferrable initially deferred"
    ));
    let one = format!(
        "statement = \"insert into {table} select 1 from generate_series(1, 2)\"\nresult = \"affected\""
    );
    let rows = format!(
        "statement = \"insert into {table} select 2 from generate_series(1, 2) returning id\""
    );
    let several = format!(
        "statements = [\"insert into {table} values (3)\", \"insert into {table} values (3)\"]\nresult = \"none\""
    );
    let routes = [
        ("/one", one.as_str()),
        ("/rows", &rows),
        ("/several", &several),
    ];
    let proxy = Proxy::start(&config(&server.url(), "pool.max_connections = 1", &routes));
    for _ in 0..2 {
        for path in ["/one", "/rows", "/several"] {
            let answer = post(&proxy, path, "");
            answer.assert_refused(409, "unique_violation");
            assert!(answer.text().contains(&late), "{}", answer.text());
        }
    }
    assert_eq!(server.sql(&format!("select count(*) from {table}")), "0");
    let left = server.sql("select count(*) from pg_stat_activity where state like 'idle in transaction%' and query like '%deferr%'");
    assert_eq!(
        (left.as_str(), &state(&proxy)["pool"]["in_use"]),
        ("0", &json!(0))
    );
}

#[test]
fn who_leaves_has_only_its_own_statement_cancelled() {
    let url = PostgresServer::shared().url();
    let routes = [
        (
            "/slow",
            "statement = \"select pg_sleep(60) as left_behind\"",
        ),
        (
            "/run",
            "statement = \"select $1 as a, pg_sleep(0.002)::text as b\"\nresult = \"one\"\nparameters = [{ from = \"query.a\", type = \"int8\" }]",
        ),
    ];
    let database = "pool = { max_connections = 4, max_wait = \"60s\" }\nconnect_timeout = \"60s\"\nstatement_timeout = \"60s\"";
    let proxy = Proxy::start(&config(&url, database, &routes));
    let (done, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        let leaving = scope.spawn(|| {
            let mut left = 0;
            while !done.load(Ordering::SeqCst) {
                let before = answered.load(Ordering::SeqCst);
                let mut gone = proxy.client();
                gone.send_request("GET", "/slow", &[], "");
                // More of them than of the others would keep all connections from those.
                eventually(LIMIT, "others are answered", || {
                    done.load(Ordering::SeqCst) || answered.load(Ordering::SeqCst) > before
                });
                drop(gone);
                left += 1;
            }
            left
        });
        let staying: Vec<_> = (0..4)
            .map(|caller| {
                let (proxy, answered) = (&proxy, &answered);
                scope.spawn(move || {
                    let mut client = proxy.client();
                    for number in 0..100 {
                        let own = caller * 1000 + number;
                        let answer = client.request("GET", &format!("/run?a={own}"), &[], "");
                        assert_eq!(answer.status, 200, "{}", answer.text());
                        assert_eq!(answer.json()["a"], own);
                        answered.fetch_add(1, Ordering::SeqCst);
                    }
                })
            })
            .collect();
        let results: Vec<_> = staying.into_iter().map(|one| one.join()).collect();
        done.store(true, Ordering::SeqCst);
        assert!(leaving.join().unwrap() > 0);
        assert!(results.iter().all(Result::is_ok));
    });
    eventually(LIMIT, "nothing is in use", || {
        state(&proxy)["pool"]["in_use"] == 0
    });
    // Also what the server had not begun with when it was told to stop.
    let running = "select count(*) from pg_stat_activity where state = 'active' and query = 'select pg_sleep(60) as left_behind'";
    eventually(LIMIT, "nothing runs on", || {
        PostgresServer::shared().sql(running) == "0"
    });
}
