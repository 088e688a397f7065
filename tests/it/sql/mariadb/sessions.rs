//! What is left in a session, and what its settings are.

use serde_json::json;

use super::{config, get, post, proxy};
use crate::support::{MariaDbServer, Proxy};

#[test]
fn nothing_of_a_session_is_seen_by_the_next_one() {
    let url = MariaDbServer::shared().url();
    let function = format!("f{:x}", fastrand::u64(..));
    MariaDbServer::shared().define(&format!(
        "create function {function}() returns int begin set @mark = 'hush'; return 1; end"
    ));
    let hidden = format!("statement = \"select {function}() as a\"");
    let routes = [
        (
            "/mark",
            "statement = \"select @mark := 'hush' as a, get_lock('outrigger-mark', 0) as b\"",
        ),
        ("/hidden", &hidden),
        (
            "/look",
            "statement = \"select @mark as a, is_used_lock('outrigger-mark') as b\"\nresult = \"one\"",
        ),
        (
            "/settings",
            "statement = \"select @@sql_mode as a, @@time_zone as b, @@character_set_client as c\"\nresult = \"one\"",
        ),
    ];
    let proxy = Proxy::start(&config(&url, "pool.max_connections = 1", &routes));
    let settings = get(&proxy, "/settings").json();
    assert_eq!(settings["b"], "+00:00");
    assert_eq!(settings["c"], "utf8mb4");
    for path in ["/mark", "/hidden"] {
        for _ in 0..2 {
            assert_eq!(get(&proxy, path).status, 200);
            assert_eq!(get(&proxy, "/look").json(), json!({ "a": null, "b": null }));
            assert_eq!(get(&proxy, "/settings").json(), settings);
        }
    }
}

#[test]
fn a_session_is_made_anew_behind_each_use_where_that_is_wanted() {
    let url = MariaDbServer::shared().url();
    let table = format!("t{:x}", fastrand::u64(..));
    MariaDbServer::shared().sql(&format!(
        "create table {table} (id bigint auto_increment primary key)"
    ));
    let put = format!("statement = \"insert into {table} values ()\"\nresult = \"none\"");
    // The session has it of the statement before.
    let last = "statement = \"select last_insert_id() as a\"\nresult = \"one\"";
    for (reset, left) in [("always", 0), ("auto", 1)] {
        let database = format!("pool.max_connections = 1\nreset = \"{reset}\"");
        let routes = [("/put", put.as_str()), ("/last", last)];
        let proxy = Proxy::start(&config(&url, &database, &routes));
        MariaDbServer::shared().sql(&format!("truncate {table}"));
        assert_eq!(post(&proxy, "/put", "").status, 204);
        assert_eq!(get(&proxy, "/last").json(), json!({ "a": left }));
    }
}

#[test]
fn settings_of_the_server_change_no_meaning() {
    // What `"` and `\` mean is a setting there, by which a placeholder would be none.
    let proxy = proxy(
        "statement = '''select \"a\\\"$1\" as a, $1 as b, '\\'' as c'''\nparameters = [{ from = \"query.x\" }]\nresult = \"one\"",
    );
    let answer = get(&proxy, "/run?x=7");
    assert_eq!(
        answer.json(),
        json!({ "a": "a\"$1", "b": "7", "c": "'" }),
        "{}",
        answer.text()
    );
}

#[test]
fn statements_may_be_prepared_each_time() {
    let url = MariaDbServer::shared().url();
    let block = "statement = \"select $1 as a\"\nparameters = [{ from = \"query.a\" }]";
    let database = "prepare = \"never\"\npool.max_connections = 1";
    let proxy = Proxy::start(&config(&url, database, &[("/run", block)]));
    for number in 0..5 {
        let answer = post(&proxy, &format!("/run?a={number}"), "");
        assert_eq!(answer.json(), json!([{ "a": number.to_string() }]));
    }
}
