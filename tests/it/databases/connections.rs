//! Connections: shared, limited, and made again.

use std::time::{Duration, Instant};

use serde_json::json;

use super::kinds::{Kind, Server};
use super::{config, get, post, state};
use crate::support::{LIMIT, Proxy, eventually};

mod any {
    use super::{
        a_database_is_shown_without_its_secrets, a_full_pool_is_told_in_time_and_workers_go_on,
        a_slow_reader_holds_no_connection,
    };

    on_every_kind!(
        a_database_is_shown_without_its_secrets,
        a_full_pool_is_told_in_time_and_workers_go_on,
        a_slow_reader_holds_no_connection,
    );
}

on_servers!(
    a_reload_keeps_connections_where_nothing_changed,
    a_database_that_is_down_is_told_at_once_and_found_again,
    a_wrong_password_is_told_to_operators_only,
);

const QUICK: &str = "statement = \"select 1 as a\"";

fn a_database_is_shown_without_its_secrets<K: Kind>(database: &K) {
    let proxy = database.proxy("", &[("/run", QUICK)]);
    let before = state(&proxy);
    assert_eq!(
        (&before["connected"], &before["kind"]),
        (&json!(null), &json!(K::NAME))
    );
    assert_eq!(get(&proxy, "/run").status, 200);
    let after = state(&proxy);
    assert_eq!(after["connected"], true);
    assert_eq!(after["pool"]["idle"], 1);
    assert_eq!(after["behind_a_pooler"], false);
    let version = after["version"].as_str().unwrap();
    assert!(
        version.contains(K::VERSION) && !version.starts_with("5.5.5"),
        "{version}"
    );
    for text in [
        proxy.admin("GET", "/config", "").text(),
        after.to_string(),
        proxy.log(),
    ] {
        assert!(!text.contains(K::SECRET), "{text}");
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

fn a_full_pool_is_told_in_time_and_workers_go_on<K: Kind>(database: &K) {
    let long = format!("statement = \"{}\"", K::LONG);
    let proxy = database.proxy(
        "pool = { max_connections = 1, max_wait = \"100ms\" }\nstatement_timeout = \"60s\"",
        &[("/slow", &long), ("/run", QUICK)],
    );
    let mut slow = proxy.client();
    slow.send_request("GET", "/slow", &[], "");
    eventually(LIMIT, "it is in use", || {
        state(&proxy)["pool"]["in_use"] == 1
    });
    get(&proxy, "/run").assert_refused(503, "overloaded");
    assert_eq!(get(&proxy, "/nowhere").status, 404);
    drop(slow);
    eventually(LIMIT, "it is given back", || {
        get(&proxy, "/run").status == 200
    });
}

fn a_slow_reader_holds_no_connection<K: Kind>(database: &K) {
    let table = database.table("a bigint");
    let rows = K::ROWS.replace("$1", "10000").replace("$2", "2000");
    // One that reads a table as well.
    let rows = format!(
        "statement = \"select r.a from ({rows}) r, (select count(*) as n from {table}) c\"\nmax_rows = 5000\nmax_bytes = \"64MiB\""
    );
    let proxy = database.proxy(
        "pool.max_connections = 1\nstatement_timeout = \"1s\"",
        &[("/rows", &rows), ("/run", QUICK)],
    );
    for accept in ["application/x-ndjson", "application/json"] {
        let mut slow = proxy.client();
        slow.send_request("GET", "/rows", &[("accept", accept)], "");
        assert!(slow.read_head().start.contains("200"));
        eventually(LIMIT, "it is given back", || {
            state(&proxy)["pool"]["in_use"] == 0 && get(&proxy, "/run").status == 200
        });
        database.assert_unread();
        // It has not got all of it, and cannot take it for all: there is no last chunk.
        assert!(!slow.read_to_end().ends_with(b"\r\n0\r\n\r\n"));
    }
    assert_eq!(post(&proxy, "/run", "").status, 200);
}

fn a_reload_keeps_connections_where_nothing_changed<K: Server>(database: &K) {
    let url = database.url();
    let block = format!("statement = \"{}\"\nresult = \"one\"", K::SESSION);
    let run = ("/run", block.as_str());
    let mut proxy = Proxy::start(&config(&url, "", &[run]));
    let session = |proxy: &Proxy| get(proxy, "/run").json()["a"].clone();
    let first = session(&proxy);
    assert_eq!(session(&proxy), first);
    proxy.reload_with(config(&url, "", &[run, ("/other", &block)]));
    assert_eq!(session(&proxy), first);
    proxy.reload_with(config(&url, "connect_timeout = \"4s\"", &[run]));
    assert_ne!(session(&proxy), first);
}

fn a_database_that_is_down_is_told_at_once_and_found_again<K: Server>(_: &K) {
    let (_one, server) = K::fragile();
    let proxy = server.proxy(
        "connect_timeout = \"60s\"\nstatement_timeout = \"60s\"",
        &[("/run", QUICK)],
    );
    assert_eq!(get(&proxy, "/run").status, 200);
    server.stop();
    for _ in 0..5 {
        // Long before any of the time limits.
        let began = Instant::now();
        get(&proxy, "/run").assert_refused(503, "database_unavailable");
        assert!(began.elapsed() < Duration::from_secs(30));
    }
    assert_eq!(state(&proxy)["connected"], false);
    let why = state(&proxy)["last_error"]["error"].to_string();
    assert!(why.contains("refused"), "{why}");
    eventually(LIMIT, "it is logged", || {
        proxy.log().contains("no connection to the database")
    });
    server.again();
    eventually(LIMIT, "it is found again", || {
        get(&proxy, "/run").status == 200
    });
}

fn a_wrong_password_is_told_to_operators_only<K: Server>(database: &K) {
    let url = database.url().replace("secret", "wrong");
    let proxy = Proxy::start(&config(&url, "", &[("/run", "statement = \"select 1\"")]));
    let answer = get(&proxy, "/run");
    answer.assert_refused(503, "database_unavailable");
    assert!(!answer.text().contains("password"));
    eventually(LIMIT, "it is logged", || {
        proxy.log().contains(K::WRONG_PASSWORD)
    });
}
