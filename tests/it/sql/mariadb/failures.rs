//! Each failure by its own reason, and nothing told of statements and values.

use serde_json::json;

use super::{config, get, post, state, table};
use crate::databases::assert_refusals;
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
    let routes = [("/put", block.as_str()), ("/less", &less)];
    let proxy = Proxy::start(&config(&url, "", &routes));
    let first = r#"{"id":1,"n":1}"#;
    assert_eq!(post(&proxy, "/put", first).json(), json!({"affected": 1}));
    assert_refusals(
        &proxy,
        &[
            ("/put", first, 409, "unique_violation", "`only_once`"),
            (
                "/put",
                r#"{"id":2,"n":1,"parent":7777777}"#,
                409,
                "foreign_key_violation",
                "`known_t",
            ),
            (
                "/put",
                r#"{"id":3,"n":null}"#,
                400,
                "not_null_violation",
                "`n`",
            ),
            (
                "/put",
                r#"{"id":4,"n":-7777777}"#,
                400,
                "check_violation",
                "`positive`",
            ),
            (
                "/put",
                r#"{"id":5,"n":1,"s":"7777777"}"#,
                400,
                "bad_value",
                "`s`",
            ),
            (
                "/put",
                r#"{"id":6,"n":1,"e":"7777777"}"#,
                400,
                "bad_value",
                "`e`",
            ),
            (
                "/put",
                r#"{"id":7,"n":1,"d":"7777777"}"#,
                400,
                "bad_value",
                "`d`",
            ),
            ("/less", "", 400, "not_null_violation", ""),
        ],
        &["7777777", "insert"],
    );
    assert_eq!(
        MariaDbServer::shared().sql(&format!("select count(*) from {name}")),
        "1"
    );
}

#[test]
fn a_limit_of_the_statement_s_own_is_told_as_one_of_ours() {
    let block = "statement = \"set statement max_statement_time = 0.1 for select sleep(30)\"";
    let routes = [
        ("/most", block),
        ("/quick", "statement = \"select 1 as a\""),
    ];
    let url = MariaDbServer::shared().url();
    let proxy = Proxy::start(&config(&url, "pool.max_connections = 1", &routes));
    for _ in 0..2 {
        post(&proxy, "/most", "").assert_refused(504, "statement_timeout");
        assert_eq!(get(&proxy, "/quick").json(), json!([{ "a": 1 }]));
    }
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
