//! Each failure by its own reason, and nothing told of statements and values.

use std::thread;

use serde_json::json;

use super::{config, get, post, state, table};
use crate::support::{LIMIT, MariaDbServer, Proxy, eventually};

#[test]
fn constraints_have_their_reasons() {
    let parent = table("id bigint primary key");
    let name = table(&format!(
        "id bigint, parent bigint, n bigint not null, s varchar(5) not null, e enum('a'), d date, unique key only_once (id), constraint known_{parent} foreign key (parent) references {parent} (id), constraint positive check (n > 0)"
    ));
    let url = MariaDbServer::shared().url();
    let block = format!(
        "statement = \"insert into {name} values ($1, $2, $3, $4, $5, $6)\"\nresult = \"affected\"\nparameters = [\
         {{ from = \"body./id\", type = \"int8\" }}, {{ from = \"body./parent\", type = \"int8\", required = false }}, {{ from = \"body./n\", type = \"int8\" }},\
         {{ from = \"body./s\", default = \"x\" }}, {{ from = \"body./e\", default = \"a\" }}, {{ from = \"body./d\", default = \"2026-01-01\" }}]"
    );
    let less = format!("statement = \"insert into {name} (id) values (99)\"\nresult = \"none\"");
    let odd = "statement = \"select hush from nowhere\"";
    let proxy = Proxy::start(&config(
        &url,
        "",
        &[("/put", &block), ("/odd", odd), ("/less", &less)],
    ));
    let first = r#"{"id":1,"n":1}"#;
    assert_eq!(post(&proxy, "/put", first).json(), json!({"affected": 1}));
    for (body, status, reason, told) in [
        (first, 409, "unique_violation", "`only_once`"),
        (
            r#"{"id":2,"n":1,"parent":7777777}"#,
            409,
            "foreign_key_violation",
            "`known_t",
        ),
        (r#"{"id":3,"n":null}"#, 400, "not_null_violation", "`n`"),
        (
            r#"{"id":4,"n":-7777777}"#,
            400,
            "check_violation",
            "`positive`",
        ),
        (r#"{"id":5,"n":1,"s":"7777777"}"#, 400, "bad_value", "`s`"),
        (r#"{"id":6,"n":1,"e":"7777777"}"#, 400, "bad_value", "`e`"),
        (r#"{"id":7,"n":1,"d":"7777777"}"#, 400, "bad_value", "`d`"),
    ] {
        let answer = post(&proxy, "/put", body);
        answer.assert_refused(status, reason);
        let text = answer.json()["detail"].to_string();
        assert!(
            text.contains(told) && !text.contains("7777777") && !text.contains("insert"),
            "{text}"
        );
    }
    post(&proxy, "/less", "").assert_refused(400, "not_null_violation");
    let answer = get(&proxy, "/odd");
    answer.assert_refused(500, "statement_refused");
    assert!(answer.text().contains("1146") && !answer.text().contains("nowhere"));
    assert_eq!(
        MariaDbServer::shared().sql(&format!("select count(*) from {name}")),
        "1"
    );
}

#[test]
fn an_error_of_the_statement_s_own_is_told_without_its_words() {
    let name = format!("p{:x}", fastrand::u64(..));
    let server = MariaDbServer::shared();
    server.define(&format!(
        "create procedure {name}() signal sqlstate '45000' set message_text = 'hush'"
    ));
    let block = format!("statement = \"call {name}()\"\nresult = \"none\"");
    let proxy = Proxy::start(&config(&server.url(), "", &[("/run", &block)]));
    let answer = post(&proxy, "/run", "");
    answer.assert_refused(400, "raised_exception");
    assert!(!answer.text().contains("hush"));
}

#[test]
fn a_statement_that_takes_too_long_is_stopped() {
    let table = table("id bigint");
    let url = MariaDbServer::shared().url();
    let routes = [
        ("/sleep", "statement = \"select sleep(30)\"".to_owned()),
        (
            "/put",
            format!("statement = \"insert into {table} select sleep(30)\"\nresult = \"none\""),
        ),
        (
            "/most",
            "statement = \"set statement max_statement_time = 0.1 for select sleep(30)\""
                .to_owned(),
        ),
        ("/quick", "statement = \"select 1 as a\"".to_owned()),
    ];
    let routes: Vec<(&str, &str)> = routes
        .iter()
        .map(|(path, block)| (*path, block.as_str()))
        .collect();
    let database = "statement_timeout = \"1s\"\npool.max_connections = 1";
    let proxy = Proxy::start(&config(&url, database, &routes));
    let mut unknown = 0;
    for _ in 0..2 {
        get(&proxy, "/sleep").assert_refused(504, "statement_timeout");
        let put = post(&proxy, "/put", "");
        put.assert_refused(504, "statement_timeout");
        unknown += usize::from(put.text().contains("not known"));
        post(&proxy, "/most", "").assert_refused(504, "statement_timeout");
        assert_eq!(get(&proxy, "/quick").json(), json!([{ "a": 1 }]));
    }
    let server = MariaDbServer::shared();
    let running = || {
        server.sql(&format!("select count(*) from information_schema.processlist where info like '%{table}%' and id <> connection_id()"))
    };
    eventually(LIMIT, "nothing of it runs", || running() == "0");
    let stored = server.sql(&format!("select count(*) from {table}"));
    // A sleep that is stopped late may end as if it had been slept.
    assert!(stored.parse::<usize>().unwrap() <= unknown, "{stored}");
}

#[test]
fn a_caller_who_leaves_leaves_nothing_behind() {
    let table = table("id bigint");
    let server = MariaDbServer::shared();
    let block = format!(
        "statements = [\"insert into {table} values (1)\", \"select sleep(30) from {table} limit 1\"]\nresult = \"none\""
    );
    let database = "pool.max_connections = 2\nstatement_timeout = \"20s\"";
    let proxy = Proxy::start(&config(&server.url(), database, &[("/run", &block)]));
    let mut callers: Vec<_> = (0..2).map(|_| proxy.client()).collect();
    for caller in &mut callers {
        caller.send_request("POST", "/run", &[], "");
    }
    let running = || {
        server.sql(&format!("select count(*) from information_schema.processlist where info like '%{table}%' and id <> connection_id()"))
    };
    eventually(LIMIT, "both run", || running() == "2");
    drop(callers);
    eventually(LIMIT, "none runs", || running() == "0");
    eventually(LIMIT, "no connection is in use", || {
        state(&proxy)["pool"]["in_use"] == 0
    });
    assert_eq!(server.sql(&format!("select count(*) from {table}")), "0");
}

#[test]
fn transactions_in_each_others_way_are_run_again() {
    let table = table("id bigint primary key, n bigint not null");
    let server = MariaDbServer::shared();
    server.sql(&format!("insert into {table} values (1, 0), (2, 0)"));
    let both = |first: i32, second: i32| {
        format!(
            "statements = [\"update {table} set n = n + 1 where id = {first}\", \"select sleep(0.02)\", \"update {table} set n = n + 1 where id = {second}\"]\nresult = \"none\""
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
    let proxy = Proxy::start(&config(&server.url(), "", &routes));
    let run = |path: &str, times: usize| {
        let mut client = proxy.client();
        for _ in 0..times {
            let answer = client.request("POST", path, &[], "");
            assert_eq!(answer.status, 204, "{}", answer.text());
        }
    };
    thread::scope(|scope| {
        let run = &run;
        scope.spawn(move || run("/there", 10));
        scope.spawn(move || run("/back", 10));
    });
    assert_eq!(
        server.sql(&format!("select n from {table} order by id")),
        "20\n20"
    );
    thread::scope(|scope| {
        let run = &run;
        for _ in 0..4 {
            scope.spawn(move || run("/serial", 10));
        }
    });
    assert_eq!(
        server.sql(&format!("select n from {table} where id = 1")),
        "60"
    );
}

#[test]
fn a_lock_that_is_not_to_be_had_is_told() {
    let table = table("id bigint primary key, n bigint not null");
    let server = MariaDbServer::shared();
    server.sql(&format!("insert into {table} values (1, 0)"));
    let hold = format!(
        "statements = [\"update {table} set n = n + 1\", \"select sleep(30) from {table}\"]\nresult = \"none\""
    );
    let want = format!(
        "statement = \"set statement innodb_lock_wait_timeout = 0 for update {table} set n = n + 1\"\nresult = \"none\""
    );
    let database = "statement_timeout = \"20s\"";
    let routes = [("/hold", hold.as_str()), ("/want", &want)];
    let proxy = Proxy::start(&config(&server.url(), database, &routes));
    let mut holder = proxy.client();
    holder.send_request("POST", "/hold", &[], "");
    eventually(LIMIT, "it is held", || {
        server.sql(&format!("select count(*) from information_schema.processlist where info like '%sleep(30) from {table}%' and id <> connection_id()")) == "1"
    });
    post(&proxy, "/want", "").assert_refused(503, "lock_not_available");
    drop(holder);
    eventually(LIMIT, "it is to be had", || {
        post(&proxy, "/want", "").status == 204
    });
}

#[test]
fn a_statement_that_ends_its_transaction_is_told() {
    let name = format!("p{:x}", fastrand::u64(..));
    let table = table("id bigint");
    let server = MariaDbServer::shared();
    server.define(&format!("create procedure {name}() begin commit; end"));
    let block = format!(
        "statements = [\"insert into {table} values (1)\", \"call {name}()\", \"insert into {table} values (2)\"]\nresult = \"none\""
    );
    let proxy = Proxy::start(&config(&server.url(), "", &[("/run", &block)]));
    let answer = post(&proxy, "/run", "");
    answer.assert_refused(504, "outcome_unknown");
    assert!(answer.text().contains("ended the transaction"));
    assert_eq!(server.sql(&format!("select count(*) from {table}")), "1");
}

#[test]
fn what_a_procedure_leaves_open_is_not_told_to_be_done() {
    let name = format!("p{:x}", fastrand::u64(..));
    let table = table("id bigint");
    let server = MariaDbServer::shared();
    server.define(&format!(
        "create procedure {name}() begin start transaction; insert into {table} values (1); end"
    ));
    let block = format!("statement = \"call {name}()\"\nresult = \"none\"");
    let proxy = Proxy::start(&config(&server.url(), "", &[("/run", &block)]));
    let answer = post(&proxy, "/run", "");
    answer.assert_refused(500, "statement_refused");
    assert!(answer.text().contains("25001"));
    assert_eq!(server.sql(&format!("select count(*) from {table}")), "0");
    assert_eq!(state(&proxy)["pool"]["in_use"], 0);
}
