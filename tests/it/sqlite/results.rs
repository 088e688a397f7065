//! What is answered with the rows.

use serde_json::json;

use super::{Data, get, post, state};

const ROWS: &str = "with recursive n(i) as (select 1 union all select i + 1 from n where i < $2) select hex(zeroblob($1 / 2)) as a from n";

#[test]
fn a_result_has_the_shape_that_the_route_names() {
    let data = Data::new("create table t (id integer primary key, a text)");
    let id = "parameters = [{ from = \"query.id\", type = \"int8\" }]";
    let blocks = [
        (
            "/put",
            format!("statement = \"insert into t values ($1, 'x')\"\nresult = \"none\"\n{id}"),
        ),
        (
            "/one",
            format!("statement = \"select * from t where id >= $1\"\nresult = \"one\"\n{id}"),
        ),
        (
            "/many",
            format!("statement = \"select * from t where id >= $1 order by id\"\n{id}"),
        ),
        (
            "/set",
            format!(
                "statement = \"update t set a = 'y' where id >= $1\"\nresult = \"affected\"\n{id}"
            ),
        ),
        (
            "/del",
            format!(
                "statement = \"delete from t where id >= $1 returning id\"\nresult = \"one\"\n{id}"
            ),
        ),
        (
            "/count",
            format!("statement = \"select * from t where id >= $1\"\nresult = \"affected\"\n{id}"),
        ),
        (
            "/make",
            "statement = \"create table if not exists u (a)\"\nresult = \"affected\"".to_owned(),
        ),
    ];
    let routes: Vec<(&str, &str)> = blocks
        .iter()
        .map(|(path, block)| (*path, block.as_str()))
        .collect();
    let proxy = data.proxy("", &routes);
    for id in 1..=3 {
        let answer = post(&proxy, &format!("/put?id={id}"), "");
        assert_eq!((answer.status, answer.text()), (204, String::new()));
    }
    assert_eq!(
        get(&proxy, "/one?id=3").json(),
        json!({ "id": 3, "a": "x" })
    );
    get(&proxy, "/one?id=4").assert_refused(404, "no_row");
    get(&proxy, "/one?id=2").assert_refused(500, "more_than_one_row");
    assert_eq!(
        get(&proxy, "/many?id=2").json(),
        json!([{ "id": 2, "a": "x" }, { "id": 3, "a": "x" }])
    );
    assert_eq!(get(&proxy, "/many?id=9").text(), "[]");
    assert_eq!(
        post(&proxy, "/set?id=2", "").json(),
        json!({ "affected": 2 })
    );
    assert_eq!(
        post(&proxy, "/set?id=9", "").json(),
        json!({ "affected": 0 })
    );
    // What is told is of this statement, and not of the one before it.
    post(&proxy, "/set?id=2", "");
    assert_eq!(post(&proxy, "/make", "").json(), json!({ "affected": 0 }));
    assert_eq!(get(&proxy, "/count?id=2").json(), json!({ "affected": 2 }));
    // What is refused has changed nothing.
    post(&proxy, "/del?id=2", "").assert_refused(500, "more_than_one_row");
    post(&proxy, "/del?id=9", "").assert_refused(404, "no_row");
    assert_eq!(post(&proxy, "/del?id=3", "").json(), json!({ "id": 3 }));
    assert_eq!(data.number("select count(*) from t"), 2);
    get(&proxy, "/set?id=0").assert_refused(405, "method_not_allowed");
}

#[test]
fn lines_are_given_to_whoever_asks_for_them() {
    let data = Data::new("create table t (j json); insert into t values ('{\"a\":\n1}'), ('2')");
    let proxy = data.proxy("", &[("/run", "statement = \"select j from t\"")]);
    let fields = [("accept", "application/x-ndjson, application/json;q=0.5")];
    let answer = proxy.client().request("GET", "/run", &fields, "");
    assert_eq!(answer.header("content-type"), Some("application/x-ndjson"));
    assert_eq!(answer.text(), "{\"j\":{\"a\": 1}}\n{\"j\":2}\n");
}

#[test]
fn what_is_too_large_is_refused_before_the_answer_begins() {
    let block = format!(
        "statement = \"{ROWS}\"\n\
         parameters = [{{ from = \"query.size\", type = \"int4\" }}, {{ from = \"query.rows\", type = \"int4\" }}]\n\
         max_rows = 5\nmax_bytes = \"10KiB\""
    );
    let data = Data::new("");
    let proxy = data.proxy("", &[("/run", &block)]);
    assert_eq!(get(&proxy, "/run?size=100&rows=5").status, 200);
    for query in [
        "size=1&rows=6",
        "size=5000&rows=3",
        "size=20000000&rows=1",
        // More than may be in memory on the way there.
        "size=200000000&rows=1",
        "size=2&rows=300000000",
    ] {
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

#[test]
fn a_large_result_is_whole() {
    let block = format!(
        "statement = \"{ROWS}\"\n\
         parameters = [{{ from = \"query.size\", type = \"int4\" }}, {{ from = \"query.rows\", type = \"int4\" }}]\n\
         max_rows = 100000\nmax_bytes = \"64MiB\""
    );
    let data = Data::new("");
    let proxy = data.proxy("", &[("/run", &block)]);
    for (accept, around) in [("application/x-ndjson", 0), ("application/json", 1)] {
        let fields = [("accept", accept)];
        let answer = proxy
            .client()
            .request("GET", "/run?size=2000&rows=5000", &fields, "");
        assert_eq!(answer.status, 200);
        // Each row has a comma or a line's end, and the list its brackets.
        assert_eq!(
            answer.length,
            5000 * (2000 + "{\"a\":\"\"},".len() as u64) + around
        );
    }
}

#[test]
fn statements_hold_together_or_not_at_all() {
    let data = Data::new("create table t (id integer primary key)");
    let block = "statements = [\"insert into t (id) values ($1)\", \"insert into t (id) values ($2)\", \"select count(*) as n from t where $3 > 0\"]\n\
         parameters = [{ from = \"query.a\", type = \"int8\" }, { from = \"query.b\", type = \"int8\" }, { from = \"query.c\", type = \"int8\", default = 1 }]\nresult = \"one\"";
    let proxy = data.proxy("", &[("/run", block)]);
    assert_eq!(post(&proxy, "/run?a=1&b=2", "").json(), json!({ "n": 2 }));
    post(&proxy, "/run?a=3&b=2", "").assert_refused(409, "unique_violation");
    assert_eq!(post(&proxy, "/run?a=4&b=5", "").json(), json!({ "n": 4 }));
    assert_eq!(state(&proxy)["pool"]["in_use"], 0);
}

#[test]
fn a_table_that_is_altered_is_read_as_it_is() {
    let data = Data::new("create table t (id integer); insert into t values (1)");
    let proxy = data.proxy("", &[("/run", "statement = \"select * from t\"")]);
    assert_eq!(get(&proxy, "/run").json(), json!([{ "id": 1 }]));
    data.connection()
        .execute_batch("alter table t add b boolean default 1")
        .unwrap();
    assert_eq!(get(&proxy, "/run").json(), json!([{ "id": 1, "b": true }]));
    data.connection().execute_batch("drop table t").unwrap();
    get(&proxy, "/run").assert_refused(500, "statement_refused");
}

#[test]
fn two_columns_of_one_name_are_told() {
    let data = Data::new("");
    let proxy = data.proxy("", &[("/run", "statement = \"select 1 as a, 2 as a\"")]);
    let answer = get(&proxy, "/run");
    answer.assert_refused(500, "statement_refused");
    assert!(answer.text().contains("`a`"));
}

#[test]
fn nothing_of_a_connection_is_seen_by_the_next_one() {
    let mark = "statement = \"create temp table mark (a)\"\nresult = \"none\"";
    let look = "statement = \"select * from temp.mark\"";
    let data = Data::new("");
    let proxy = data.proxy(
        "pool.max_connections = 1",
        &[("/mark", mark), ("/look", look)],
    );
    for _ in 0..2 {
        assert_eq!(post(&proxy, "/mark", "").status, 204);
        get(&proxy, "/look").assert_refused(500, "statement_refused");
    }
}
