//! Each failure by its own reason, and nothing told of statements and values.

use std::thread;

use serde_json::json;

use super::{config, get, post, table};
use crate::support::{LIMIT, PostgresServer, Proxy, eventually};

#[test]
fn constraints_have_their_reasons() {
    let parent = table("id int8 primary key");
    let name = table(&format!(
        "id int8 constraint only_once_{parent} unique, parent int8 constraint known references {parent}, n int8 not null constraint positive check (n > 0)"
    ));
    let url = PostgresServer::shared().url();
    let block = format!(
        "statement = \"insert into {name} values ($1, $2, $3)\"\nresult = \"affected\"\nparameters = [\
         {{ from = \"body./id\", type = \"int8\" }}, {{ from = \"body./parent\", type = \"int8\", required = false }}, {{ from = \"body./n\", type = \"int8\" }}]"
    );
    let odd = "statement = \"select hush from nowhere\"";
    let proxy = Proxy::start(&config(&url, "", &[("/put", &block), ("/odd", odd)]));
    assert_eq!(
        post(&proxy, "/put", r#"{"id":1,"n":1}"#).json(),
        json!({"affected": 1})
    );
    for (body, status, reason, told) in [
        (r#"{"id":1,"n":1}"#, 409, "unique_violation", "`only_once_t"),
        (
            r#"{"id":2,"n":1,"parent":7654321}"#,
            409,
            "foreign_key_violation",
            "`known`",
        ),
        (r#"{"id":3,"n":null}"#, 400, "not_null_violation", "`n`"),
        (
            r#"{"id":4,"n":-7654321}"#,
            400,
            "check_violation",
            "`positive`",
        ),
    ] {
        let answer = post(&proxy, "/put", body);
        answer.assert_refused(status, reason);
        let text = answer.json()["detail"].to_string();
        assert!(
            text.contains(told) && !text.contains("7654321") && !text.contains("insert"),
            "{text}"
        );
    }
    let answer = get(&proxy, "/odd");
    answer.assert_refused(500, "statement_refused");
    assert!(answer.text().contains("42P01") && !answer.text().contains("nowhere"));
    let metrics = proxy.metrics();
    let counted = metrics.sum(
        "outrigger_statements_total",
        &[("route", "r0"), ("result", "unique_violation")],
    );
    assert_eq!(counted, 1.0);
}

#[test]
fn a_statement_that_takes_too_long_is_cancelled() {
    let table = table("id int8");
    let url = PostgresServer::shared().url();
    let routes = [
        ("/sleep", "statement = \"select pg_sleep(30)\"".to_owned()),
        (
            "/put",
            format!(
                "statement = \"insert into {table} select 1 from pg_sleep(30)\"\nresult = \"none\""
            ),
        ),
        ("/quick", "statement = \"select 1 as a\"".to_owned()),
    ];
    let routes: Vec<(&str, &str)> = routes
        .iter()
        .map(|(path, block)| (*path, block.as_str()))
        .collect();
    let database = "statement_timeout = \"1s\"\npool.max_connections = 1";
    let proxy = Proxy::start(&config(&url, database, &routes));
    for _ in 0..2 {
        get(&proxy, "/sleep").assert_refused(504, "statement_timeout");
        post(&proxy, "/put", "").assert_refused(504, "statement_timeout");
        assert_eq!(get(&proxy, "/quick").json(), json!([{ "a": 1 }]));
    }
    let server = PostgresServer::shared();
    let running = || {
        server.sql(&format!("select count(*) from pg_stat_activity where query like '%{table}%' and pid <> pg_backend_pid()"))
    };
    eventually(LIMIT, "nothing of it runs", || running() == "0");
    assert_eq!(server.sql(&format!("select count(*) from {table}")), "0");
}

#[test]
fn a_caller_who_leaves_leaves_nothing_behind() {
    let table = table("id int8");
    let server = PostgresServer::shared();
    let block = format!(
        "statements = [\"insert into {table} values (1)\", \"select pg_sleep(30)\"]\nresult = \"none\""
    );
    let database = "pool.max_connections = 2\nstatement_timeout = \"20s\"";
    let proxy = Proxy::start(&config(&server.url(), database, &[("/run", &block)]));
    let mut callers: Vec<_> = (0..2).map(|_| proxy.client()).collect();
    for caller in &mut callers {
        caller.send_request("POST", "/run", &[], "");
    }
    let running = || {
        server.sql(&format!("select count(*) from pg_stat_activity where state = 'active' and query like '%pg_sleep(30)%' and query not like '%count%' and backend_start > (select min(backend_start) from pg_stat_activity) and datname = 'test' and pid in (select pid from pg_locks where relation = '{table}'::regclass)"))
    };
    eventually(LIMIT, "both run", || running() == "2");
    drop(callers);
    // Long before it would end by itself.
    eventually(LIMIT, "none runs", || running() == "0");
    eventually(LIMIT, "no connection is in use", || {
        super::state(&proxy)["pool"]["in_use"] == 0
    });
    assert_eq!(server.sql(&format!("select count(*) from {table}")), "0");
}

#[test]
fn transactions_in_each_others_way_are_run_again() {
    let table = table("id int8 primary key, n int8 not null");
    let server = PostgresServer::shared();
    server.sql(&format!("insert into {table} values (1, 0), (2, 0)"));
    let both = |first: i32, second: i32| {
        format!(
            "statements = [\"update {table} set n = n + 1 where id = {first}\", \"select pg_sleep(0.02)\", \"update {table} set n = n + 1 where id = {second}\"]\nresult = \"none\""
        )
    };
    let serial = format!(
        "statements = [\"select n from {table} where id = 1\", \"update {table} set n = n + 1 where id = 1\"]\ntransaction = \"serializable\"\nresult = \"none\""
    );
    let (there, back) = (both(1, 2), both(2, 1));
    let routes = [
        ("/there", there.as_str()),
        ("/back", &back),
        ("/serial", &serial),
    ];
    let database = "statement_timeout = \"60s\"";
    let proxy = Proxy::start(&config(&server.url(), database, &routes));
    let run = |path: &'static str, times: usize| {
        for _ in 0..times {
            let answer = post(&proxy, path, "");
            assert_eq!(answer.status, 204, "{}", answer.text());
        }
    };
    thread::scope(|scope| {
        for path in ["/there", "/back", "/there", "/back"] {
            scope.spawn(move || run(path, 5));
        }
    });
    assert_eq!(
        server.sql(&format!("select n from {table} order by id")),
        "20\n20"
    );
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(move || run("/serial", 10));
        }
    });
    assert_eq!(
        server.sql(&format!("select n from {table} where id = 1")),
        "60"
    );
}
