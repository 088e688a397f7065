//! What is answered with the rows.

use serde_json::json;

use super::kinds::Kind;
use super::{get, post, state};
use crate::support::Proxy;

on_every_kind!(
    a_result_has_the_shape_that_the_route_names,
    what_is_told_is_of_the_statement_and_of_none_before_it,
    lines_are_given_to_whoever_asks_for_them,
    what_is_too_large_is_refused_before_the_answer_begins,
    statements_hold_together_or_not_at_all,
    a_table_that_is_altered_is_read_as_it_is,
    two_columns_of_one_name_are_told,
);

const ID: &str = "parameters = [{ from = \"query.id\", type = \"int8\" }]";

/// Routes of a table of one's own, whose blocks are lines with the table's name for `T`.
fn routes<K: Kind>(database: &K, table: &str, blocks: &[(&str, &str, &str)]) -> Proxy {
    let blocks: Vec<(&str, String)> = blocks
        .iter()
        .map(|(path, statement, result)| {
            let statement = statement.replace('T', table);
            let parameters = if statement.contains("$1") { ID } else { "" };
            let block = format!("statement = \"{statement}\"\nresult = \"{result}\"\n{parameters}");
            (*path, block)
        })
        .collect();
    let routes: Vec<(&str, &str)> = blocks
        .iter()
        .map(|(path, block)| (*path, block.as_str()))
        .collect();
    database.proxy("", &routes)
}

fn a_result_has_the_shape_that_the_route_names<K: Kind>(database: &K) {
    let table = database.table("id bigint primary key, a text");
    let proxy = routes(
        database,
        &table,
        &[
            ("/put", "insert into T values ($1, 'x')", "none"),
            ("/one", "select * from T where id >= $1", "one"),
            (
                "/many",
                "select * from T where id >= $1 order by id",
                "many",
            ),
            ("/set", "update T set a = 'y' where id >= $1", "affected"),
            ("/del", "delete from T where id >= $1 returning id", "one"),
        ],
    );
    for id in 1..=3 {
        let answer = post(&proxy, &format!("/put?id={id}"), "");
        assert_eq!((answer.status, answer.text()), (204, String::new()));
    }
    let answer = get(&proxy, "/one?id=3");
    assert_eq!(answer.json(), json!({ "id": 3, "a": "x" }));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    get(&proxy, "/one?id=4").assert_refused(404, "no_row");
    get(&proxy, "/one?id=2").assert_refused(500, "more_than_one_row");
    assert_eq!(
        get(&proxy, "/many?id=2").json(),
        json!([{ "id": 2, "a": "x" }, { "id": 3, "a": "x" }])
    );
    assert_eq!(get(&proxy, "/many?id=9").text(), "[]");
    // Found is what counts, whether or not they are so already.
    for _ in 0..2 {
        let answer = post(&proxy, "/set?id=2", "");
        assert_eq!(answer.json(), json!({ "affected": 2 }));
    }
    assert_eq!(
        post(&proxy, "/set?id=9", "").json(),
        json!({ "affected": 0 })
    );
    // What is refused has changed nothing.
    post(&proxy, "/del?id=2", "").assert_refused(500, "more_than_one_row");
    post(&proxy, "/del?id=9", "").assert_refused(404, "no_row");
    assert_eq!(post(&proxy, "/del?id=3", "").json(), json!({ "id": 3 }));
    assert_eq!(
        get(&proxy, "/many?id=0").json().as_array().unwrap().len(),
        2
    );
    assert_eq!(database.number(&format!("select count(*) from {table}")), 2);
    // Nor does a method change anything that says so.
    get(&proxy, "/set?id=0").assert_refused(405, "method_not_allowed");
    let options = proxy.client().request("OPTIONS", "/set?id=0", &[], "");
    assert_eq!(options.status, 204);
}

fn what_is_told_is_of_the_statement_and_of_none_before_it<K: Kind>(database: &K) {
    let table = database.table("id bigint primary key, a text");
    database.sql(&format!("insert into {table} values (1, 'x'), (2, 'x')"));
    let proxy = routes(
        database,
        &table,
        &[
            ("/set", "update T set a = 'y'", "affected"),
            (
                "/make",
                "create table if not exists T_u (a int)",
                "affected",
            ),
            ("/count", "select * from T where id >= $1", "affected"),
        ],
    );
    assert_eq!(post(&proxy, "/set", "").json(), json!({ "affected": 2 }));
    assert_eq!(post(&proxy, "/make", "").json(), json!({ "affected": 0 }));
    assert_eq!(get(&proxy, "/count?id=1").json(), json!({ "affected": 2 }));
}

fn lines_are_given_to_whoever_asks_for_them<K: Kind>(database: &K) {
    let three =
        "statement = \"select 1 as i, 'x' as a union all select 2, 'y' union all select 3, 'z'\"";
    let document = database.document();
    let document = document.map(|text| format!("statement = \"{text}\""));
    let proxy = database.proxy(
        "",
        &[
            ("/three", three),
            ("/document", document.as_deref().unwrap_or(three)),
        ],
    );
    let fields = [("accept", "application/x-ndjson, application/json;q=0.5")];
    let lines = |path| proxy.client().request("GET", path, &fields, "");
    let answer = lines("/three");
    assert_eq!(answer.header("content-type"), Some("application/x-ndjson"));
    assert_eq!(
        answer.text(),
        "{\"i\":1,\"a\":\"x\"}\n{\"i\":2,\"a\":\"y\"}\n{\"i\":3,\"a\":\"z\"}\n"
    );
    if document.is_some() {
        assert_eq!(lines("/document").text(), "{\"j\":{\"a\": 1}}\n");
    }
}

fn what_is_too_large_is_refused_before_the_answer_begins<K: Kind>(database: &K) {
    let block = format!(
        "statement = \"{}\"\n\
         parameters = [{{ from = \"query.size\", type = \"int4\" }}, {{ from = \"query.rows\", type = \"int4\" }}]\n\
         max_rows = 5\nmax_bytes = \"10KiB\"",
        K::ROWS
    );
    let proxy = database.proxy("", &[("/run", &block)]);
    assert_eq!(get(&proxy, "/run?size=100&rows=5").status, 200);
    for query in ["size=1&rows=6", "size=5000&rows=3"]
        .iter()
        .chain(K::TOO_LARGE)
    {
        get(&proxy, &format!("/run?{query}")).assert_refused(413, "result_too_large");
    }
    assert_eq!(get(&proxy, "/run?size=1&rows=1").status, 200);
    // Lines may be on their way by then: the answer breaks off.
    let fields = [("accept", "application/x-ndjson")];
    let mut client = proxy.client();
    client.send_request("GET", "/run?size=3000&rows=5", &fields, "");
    if let Ok(answer) = client.try_answer() {
        answer.assert_refused(413, "result_too_large");
    }
}

fn statements_hold_together_or_not_at_all<K: Kind>(database: &K) {
    let table = database.table("id bigint primary key, n bigint not null default 0");
    let block = format!(
        "statements = [\"insert into {table} (id) values ($1)\", \"insert into {table} (id) values ($2)\", \"select count(*) as n from {table} where $3 > 0\"]\n\
         parameters = [{{ from = \"query.a\", type = \"int8\" }}, {{ from = \"query.b\", type = \"int8\" }}, {{ from = \"query.c\", type = \"int8\", default = 1 }}]\nresult = \"one\""
    );
    let proxy = database.proxy("", &[("/run", &block)]);
    assert_eq!(post(&proxy, "/run?a=1&b=2", "").json(), json!({ "n": 2 }));
    post(&proxy, "/run?a=3&b=2", "").assert_refused(409, "unique_violation");
    assert_eq!(post(&proxy, "/run?a=4&b=5", "").json(), json!({ "n": 4 }));
    assert_eq!(state(&proxy)["pool"]["in_use"], 0);
}

fn a_table_that_is_altered_is_read_as_it_is<K: Kind>(database: &K) {
    let table = database.table("id bigint");
    database.sql(&format!("insert into {table} values (1)"));
    let proxy = database.proxy(
        "",
        &[("/run", &format!("statement = \"select * from {table}\""))],
    );
    for _ in 0..2 {
        assert_eq!(get(&proxy, "/run").json(), json!([{ "id": 1 }]));
    }
    let (alter, row) = K::altered(&table);
    database.sql(&alter);
    for _ in 0..2 {
        assert_eq!(get(&proxy, "/run").json(), json!([row]));
    }
    database.sql(&format!("drop table {table}"));
    get(&proxy, "/run").assert_refused(500, "statement_refused");
}

fn two_columns_of_one_name_are_told<K: Kind>(database: &K) {
    let proxy = database.proxy("", &[("/run", "statement = \"select 1 as a, 2 as a\"")]);
    let answer = get(&proxy, "/run");
    answer.assert_refused(500, "statement_refused");
    assert!(answer.text().contains("`a`"));
}
