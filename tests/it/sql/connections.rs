//! Connections: shared, limited, kept clean, and made again.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{config, get, post, proxy, state};
use crate::support::{LIMIT, PostgresServer, Proxy, eventually};

#[test]
fn a_database_is_shown_without_its_secrets() {
    let proxy = proxy("statement = \"select 1 as a\"");
    let before = state(&proxy);
    assert_eq!(
        (&before["connected"], &before["kind"]),
        (&json!(null), &json!("PostgreSQL"))
    );
    get(&proxy, "/run");
    let after = state(&proxy);
    assert_eq!(after["connected"], true);
    assert_eq!(after["pool"]["idle"], 1);
    assert_eq!(after["behind_a_pooler"], false);
    for text in [
        proxy.admin("GET", "/config", "").text(),
        after.to_string(),
        proxy.log(),
    ] {
        assert!(!text.contains("secret@"), "{text}");
    }
    let metrics = proxy.metrics();
    assert_eq!(
        metrics.sum("outrigger_database_up", &[("database", "main")]),
        1.0
    );
    let idle = metrics.sum(
        "outrigger_database_connections",
        &[("database", "main"), ("state", "idle")],
    );
    assert_eq!(idle, 1.0);
}

#[test]
fn a_full_pool_is_told_in_time() {
    let url = PostgresServer::shared().url();
    let database = "pool = { max_connections = 1, max_wait = \"100ms\" }";
    let database = format!("{database}\nstatement_timeout = \"60s\"");
    let routes = [
        ("/slow", "statement = \"select pg_sleep(60)\""),
        ("/run", "statement = \"select 1 as a\""),
    ];
    let proxy = Proxy::start(&config(&url, &database, &routes));
    let mut slow = proxy.client();
    slow.send_request("GET", "/slow", &[], "");
    eventually(LIMIT, "it is in use", || {
        state(&proxy)["pool"]["in_use"] == 1
    });
    get(&proxy, "/run").assert_refused(503, "overloaded");
    drop(slow);
    eventually(LIMIT, "it is given back", || {
        get(&proxy, "/run").status == 200
    });
}

#[test]
fn nothing_of_a_session_is_seen_by_the_next_one() {
    let url = PostgresServer::shared().url();
    let routes = [
        (
            "/mark",
            "statement = \"select set_config('outrigger.mark', 'hush', false) as a, pg_advisory_lock(4711)::text as b\"",
        ),
        (
            "/look",
            "statement = \"select current_setting('outrigger.mark', true) as a, (select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()) as n\"\nresult = \"one\"",
        ),
    ];
    let proxy = Proxy::start(&config(&url, "pool.max_connections = 1", &routes));
    for _ in 0..2 {
        assert_eq!(get(&proxy, "/mark").status, 200);
        let seen = get(&proxy, "/look").json();
        assert!(seen["a"].is_null() || seen["a"] == "", "{seen}");
        assert_eq!(seen["n"], 0);
    }
}

#[test]
fn nor_what_a_function_has_set_where_each_use_ends_with_a_reset() {
    let server = PostgresServer::shared();
    let name = format!("f{:x}", fastrand::u64(..));
    server.sql(&format!(
        "create function {name}() returns text language sql as $$ select set_config('outrigger.mark', 'hush', false) $$"
    ));
    let mark = format!("statement = \"select {name}() as a\"");
    let look =
        "statement = \"select current_setting('outrigger.mark', true) as a\"\nresult = \"one\"";
    let routes = [("/mark", mark.as_str()), ("/look", look)];
    let database = "pool.max_connections = 1\nreset = \"always\"";
    let proxy = Proxy::start(&config(&server.url(), database, &routes));
    for _ in 0..2 {
        assert_eq!(get(&proxy, "/mark").json(), json!([{ "a": "hush" }]));
        let seen = get(&proxy, "/look").json();
        assert!(seen["a"].is_null() || seen["a"] == "", "{seen}");
    }
    assert_eq!(state(&proxy)["pool"]["idle"], 1);
}

#[test]
fn a_reload_keeps_connections_where_nothing_changed() {
    let url = PostgresServer::shared().url();
    let block = "statement = \"select pg_backend_pid() as a\"\nresult = \"one\"";
    let text = config(&url, "", &[("/run", block)]);
    let mut proxy = Proxy::start(&text);
    let pid = |proxy: &Proxy| get(proxy, "/run").json()["a"].clone();
    let first = pid(&proxy);
    assert_eq!(pid(&proxy), first);
    let more = config(&url, "", &[("/run", block), ("/other", block)]);
    proxy.reload_with(more.as_str());
    assert_eq!(pid(&proxy), first);
    proxy.reload_with(config(&url, "connect_timeout = \"4s\"", &[("/run", block)]));
    assert_ne!(pid(&proxy), first);
}

#[test]
fn a_database_that_is_down_is_told_at_once_and_found_again() {
    let (_one, server) = PostgresServer::fragile();
    let block = "statement = \"select 1 as a\"";
    let database = "connect_timeout = \"60s\"\nstatement_timeout = \"60s\"";
    let proxy = Proxy::start(&config(&server.url(), database, &[("/run", block)]));
    assert_eq!(get(&proxy, "/run").status, 200);
    server.stop();
    for _ in 0..5 {
        // Long before any of the time limits.
        let began = Instant::now();
        get(&proxy, "/run").assert_refused(503, "database_unavailable");
        assert!(began.elapsed() < Duration::from_secs(30));
    }
    assert_eq!(state(&proxy)["connected"], false);
    assert!(
        state(&proxy)["last_error"]["error"]
            .as_str()
            .unwrap()
            .contains("refused")
    );
    eventually(LIMIT, "it is logged", || {
        proxy.log().contains("no connection to the database")
    });
    server.again();
    eventually(LIMIT, "it is found again", || {
        get(&proxy, "/run").status == 200
    });
}

#[test]
fn a_wrong_password_is_told_to_operators_only() {
    let url = PostgresServer::shared().url().replace("secret", "wrong");
    let proxy = Proxy::start(&config(&url, "", &[("/run", "statement = \"select 1\"")]));
    let answer = get(&proxy, "/run");
    answer.assert_refused(503, "database_unavailable");
    assert!(!answer.text().contains("password"));
    eventually(LIMIT, "it is logged", || proxy.log().contains("28P01"));
}

#[test]
fn a_slow_reader_holds_no_connection() {
    let url = PostgresServer::shared().url();
    let rows = "statement = \"select repeat('x', 10000) as a from generate_series(1, 2000)\"\nmax_rows = 5000\nmax_bytes = \"64MiB\"";
    let database = "pool.max_connections = 1\nstatement_timeout = \"1s\"";
    let routes = [("/rows", rows), ("/run", "statement = \"select 1 as a\"")];
    let proxy = Proxy::start(&config(&url, database, &routes));
    for accept in ["application/x-ndjson", "application/json"] {
        let mut slow = proxy.client();
        slow.send_request("GET", "/rows", &[("accept", accept)], "");
        assert!(slow.read_head().start.contains("200"));
        eventually(LIMIT, "it is given back", || {
            state(&proxy)["pool"]["in_use"] == 0 && get(&proxy, "/run").status == 200
        });
        // It has not got all of it, and cannot take it for all: there is no last chunk.
        assert!(!slow.read_to_end().ends_with(b"\r\n0\r\n\r\n"));
    }
    assert_eq!(post(&proxy, "/run", "").status, 200);
}
