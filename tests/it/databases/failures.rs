//! Each failure by its own reason, and nothing told of statements and values.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use super::kinds::Kind;
use super::{get, post, state};
use crate::support::{LIMIT, Proxy, eventually};

on_every_kind!(
    a_statement_that_is_refused_is_not_shown,
    a_statement_that_takes_too_long_is_cancelled,
    a_caller_who_leaves_leaves_nothing_behind,
    transactions_in_each_others_way_are_run_again,
);

/// A request that is refused: its path and body, its status and reason, and what the detail names.
type Refused<'a> = (&'a str, &'a str, u16, &'a str, &'a str);

/// Sends each, and sees to it that no detail has anything of what is `hidden`.
pub fn assert_refusals(proxy: &Proxy, all: &[Refused], hidden: &[&str]) {
    for (path, body, status, reason, named) in all {
        let answer = post(proxy, path, body);
        answer.assert_refused(*status, reason);
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains(named), "{path} {body}: {detail}");
        for hidden in hidden {
            assert!(!detail.contains(hidden), "{path} {body}: {detail}");
        }
    }
}

fn a_statement_that_is_refused_is_not_shown<K: Kind>(database: &K) {
    let table = database.table("id bigint primary key");
    let put = format!("statement = \"insert into {table} values (1)\"\nresult = \"affected\"");
    let odd = "statement = \"select hush from nowhere\"";
    let proxy = database.proxy("", &[("/put", &put), ("/odd", odd)]);
    assert_eq!(post(&proxy, "/put", "").json(), json!({ "affected": 1 }));
    assert_refusals(
        &proxy,
        &[
            ("/odd", "", 500, "statement_refused", K::NO_TABLE),
            ("/put", "", 409, "unique_violation", ""),
        ],
        &["hush", "nowhere", "insert"],
    );
    // Operators are told what is wrong with it.
    let found = proxy
        .admin("GET", "/requests?reason=statement_refused", "")
        .json();
    let (one, attempt) = (&found[0], &found[0]["attempts"][0]);
    assert!(
        one["cause"].as_str().unwrap().contains("nowhere"),
        "{found}"
    );
    let asked = (&one["database"], &attempt["database"]);
    assert_eq!(asked, (&json!("main"), &json!("main")), "{found}");
    assert_eq!(attempt["outcome"], "statement_refused");
    for phase in ["queue", "first_byte"] {
        assert!(attempt["phases"][phase].is_f64(), "{found}");
    }
    eventually(LIMIT, "the log has it", || {
        let log = proxy.log();
        let mut lines = log
            .lines()
            .filter(|line| line.contains("statement_refused"));
        lines.any(|line| line.contains("nowhere"))
    });
    assert_eq!(database.number(&format!("select count(*) from {table}")), 1);
    let metrics = proxy.metrics();
    let counted = metrics.sum(
        "outrigger_statements_total",
        &[("route", "r0"), ("result", "unique_violation")],
    );
    assert_eq!(counted, 1.0);
}

fn a_statement_that_takes_too_long_is_cancelled<K: Kind>(database: &K) {
    let table = database.table("id bigint");
    let long = format!("{} /* {table} */", K::LONG);
    let sleep = format!("statement = \"{long}\"");
    let put = format!("statement = \"insert into {table} {long}\"\nresult = \"none\"");
    let twice =
        format!("statements = [\"insert into {table} values (1)\", \"{long}\"]\nresult = \"none\"");
    let proxy = database.proxy(
        "statement_timeout = \"500ms\"\npool.max_connections = 1",
        &[
            ("/sleep", &sleep),
            ("/put", &put),
            ("/twice", &twice),
            ("/quick", "statement = \"select 1 as a\""),
        ],
    );
    let mut unknown = 0;
    for _ in 0..2 {
        for path in ["/sleep", "/put", "/twice"] {
            let began = Instant::now();
            let answer = post(&proxy, path, "");
            answer.assert_refused(504, "statement_timeout");
            // Long before it would have ended.
            assert!(began.elapsed() < Duration::from_secs(20));
            unknown += usize::from(answer.text().contains("not known"));
        }
        // What was cancelled is not this one.
        assert_eq!(get(&proxy, "/quick").json(), json!([{ "a": 1 }]));
    }
    eventually(LIMIT, "nothing of it runs", || {
        database.running(&table).unwrap_or(0) == 0
    });
    let most = if K::may_end_all_the_same() {
        unknown
    } else {
        0
    };
    eventually(LIMIT, "what was done is undone", || {
        database.number(&format!("select count(*) from {table}")) <= most
    });
}

fn a_caller_who_leaves_leaves_nothing_behind<K: Kind>(database: &K) {
    let table = database.table("id bigint");
    let long = format!("{} /* {table} */", K::LONG);
    let write =
        format!("statements = [\"insert into {table} values (1)\", \"{long}\"]\nresult = \"none\"");
    let read = format!("statement = \"{long}\"");
    let put = format!("statement = \"insert into {table} values (2)\"\nresult = \"none\"");
    let proxy = database.proxy(
        "pool.max_connections = 2\nstatement_timeout = \"20s\"",
        &[("/write", &write), ("/read", &read), ("/put", &put)],
    );
    let mut callers = [proxy.client(), proxy.client()];
    callers[0].send_request("POST", "/write", &[], "");
    callers[1].send_request("GET", "/read", &[], "");
    eventually(LIMIT, "both run", || {
        state(&proxy)["pool"]["in_use"] == 2 && database.running(&table).unwrap_or(2) == 2
    });
    drop(callers);
    eventually(LIMIT, "no connection is in use", || {
        state(&proxy)["pool"]["in_use"] == 0
    });
    eventually(LIMIT, "none runs", || {
        database.running(&table).unwrap_or(0) == 0
    });
    assert_eq!(post(&proxy, "/put", "").status, 204);
    assert_eq!(database.number(&format!("select sum(id) from {table}")), 2);
}

fn transactions_in_each_others_way_are_run_again<K: Kind>(database: &K) {
    let table = database.table("id bigint primary key, n bigint not null");
    database.sql(&format!("insert into {table} values (1, 0), (2, 0)"));
    let both = |first: i32, second: i32| {
        format!(
            "statements = [\"update {table} set n = n + 1 where id = {first}\", \"{}\", \"update {table} set n = n + 1 where id = {second}\"]\nresult = \"none\"",
            K::PAUSE
        )
    };
    let serial = format!(
        "statements = [\"select n from {table} where id = 1\", \"update {table} set n = n + 1 where id = 1\"]\ntransaction = \"serializable\"\nresult = \"none\""
    );
    let (there, back) = (both(1, 2), both(2, 1));
    let proxy = database.proxy(
        "statement_timeout = \"60s\"",
        &[("/there", &there), ("/back", &back), ("/serial", &serial)],
    );
    let run = |path: &str, times: usize| {
        let mut client = proxy.client();
        for _ in 0..times {
            let answer = client.request("POST", path, &[], "");
            assert_eq!(answer.status, 204, "{}", answer.text());
        }
    };
    thread::scope(|scope| {
        let run = &run;
        for path in ["/there", "/back", "/there", "/back"] {
            scope.spawn(move || run(path, 5));
        }
    });
    let stored = || database.sql(&format!("select n from {table} order by id"));
    assert_eq!(stored(), "20\n20");
    thread::scope(|scope| {
        let run = &run;
        for _ in 0..4 {
            scope.spawn(move || run("/serial", 10));
        }
    });
    assert_eq!(stored(), "60\n20");
}
