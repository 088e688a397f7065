//! Connections are kept clean.

use serde_json::json;

use super::{config, get, state};
use crate::support::{PostgresServer, Proxy};

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
