//! What is answered with the rows.

use serde_json::json;

use super::{config, get, post, proxy, table};
use crate::support::{PostgresServer, Proxy};

#[test]
fn a_result_has_the_shape_that_the_route_names() {
    let table = table("id int8 primary key, a text");
    let url = PostgresServer::shared().url();
    let id = "parameters = [{ from = \"query.id\", type = \"int8\" }]";
    let blocks = [
        (
            "/put",
            format!(
                "statement = \"insert into {table} values ($1, 'x')\"\nresult = \"none\"\n{id}"
            ),
        ),
        (
            "/one",
            format!("statement = \"select * from {table} where id >= $1\"\nresult = \"one\"\n{id}"),
        ),
        (
            "/many",
            format!("statement = \"select * from {table} where id >= $1 order by id\"\n{id}"),
        ),
        (
            "/set",
            format!(
                "statement = \"update {table} set a = 'y' where id >= $1\"\nresult = \"affected\"\n{id}"
            ),
        ),
        (
            "/del",
            format!(
                "statement = \"delete from {table} where id >= $1 returning id\"\nresult = \"one\"\n{id}"
            ),
        ),
    ];
    let routes: Vec<(&str, &str)> = blocks
        .iter()
        .map(|(path, block)| (*path, block.as_str()))
        .collect();
    let proxy = Proxy::start(&config(&url, "", &routes));
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
    assert_eq!(
        post(&proxy, "/set?id=2", "").json(),
        json!({ "affected": 2 })
    );
    // What is refused has changed nothing.
    post(&proxy, "/del?id=2", "").assert_refused(500, "more_than_one_row");
    post(&proxy, "/del?id=9", "").assert_refused(404, "no_row");
    assert_eq!(post(&proxy, "/del?id=3", "").json(), json!({ "id": 3 }));
    assert_eq!(
        get(&proxy, "/many?id=0").json().as_array().unwrap().len(),
        2
    );
    // Nor does a method change anything that says so.
    get(&proxy, "/set?id=0").assert_refused(405, "method_not_allowed");
    let options = proxy.client().request("OPTIONS", "/set?id=0", &[], "");
    assert_eq!(options.status, 204);
}

#[test]
fn lines_are_given_to_whoever_asks_for_them() {
    let proxy = proxy(
        "statement = \"select i, E'{\\\"a\\\":\\n1}'::json as j from generate_series(1, 3) i\"",
    );
    let fields = [("accept", "application/x-ndjson, application/json;q=0.5")];
    let answer = proxy.client().request("GET", "/run", &fields, "");
    assert_eq!(answer.header("content-type"), Some("application/x-ndjson"));
    let text = answer.text();
    assert_eq!(text.lines().count(), 3);
    assert_eq!(text.lines().next(), Some(r#"{"i":1,"j":{"a": 1}}"#));
}

#[test]
fn what_is_too_large_is_refused_before_the_answer_begins() {
    // Where the series stands among the columns, the server sends rows while it makes more of them.
    let block = "statement = \"select repeat('x', $1) as a, generate_series(1, $2) as i\"\n\
                 parameters = [{ from = \"query.size\", type = \"int4\" }, { from = \"query.rows\", type = \"int4\" }]\n\
                 max_rows = 5\nmax_bytes = \"10KiB\"";
    let proxy = proxy(block);
    assert_eq!(get(&proxy, "/run?size=100&rows=5").status, 200);
    for query in [
        "size=1&rows=6",
        "size=5000&rows=3",
        "size=20000000&rows=1",
        "size=1&rows=3000000",
    ] {
        let answer = get(&proxy, &format!("/run?{query}"));
        answer.assert_refused(413, "result_too_large");
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
fn statements_hold_together_or_not_at_all() {
    let table = table("id int8 primary key, n int8 not null default 0");
    let url = PostgresServer::shared().url();
    let block = format!(
        "statements = [\"insert into {table} (id) values ($1)\", \"insert into {table} (id) values ($2)\", \"select count(*) as n from {table} where $3 > 0\"]\n\
         parameters = [{{ from = \"query.a\", type = \"int8\" }}, {{ from = \"query.b\", type = \"int8\" }}, {{ from = \"query.c\", type = \"int8\", default = 1 }}]\nresult = \"one\""
    );
    let proxy = Proxy::start(&config(&url, "", &[("/run", &block)]));
    assert_eq!(post(&proxy, "/run?a=1&b=2", "").json(), json!({ "n": 2 }));
    post(&proxy, "/run?a=3&b=2", "").assert_refused(409, "unique_violation");
    assert_eq!(post(&proxy, "/run?a=4&b=5", "").json(), json!({ "n": 4 }));
    assert_eq!(super::state(&proxy)["pool"]["in_use"], 0);
}

#[test]
fn a_plan_that_does_not_fit_any_more_is_made_anew() {
    let table = table("id int8");
    let server = PostgresServer::shared();
    let proxy = proxy(&format!("statement = \"select * from {table}\""));
    server.sql(&format!("insert into {table} values (1)"));
    assert_eq!(get(&proxy, "/run").json(), json!([{ "id": 1 }]));
    assert_eq!(get(&proxy, "/run").json(), json!([{ "id": 1 }]));
    server.sql(&format!(
        "alter table {table} alter id type text, add b bool"
    ));
    assert_eq!(
        get(&proxy, "/run").json(),
        json!([{ "id": "1", "b": null }])
    );
    assert_eq!(
        get(&proxy, "/run").json(),
        json!([{ "id": "1", "b": null }])
    );
}

#[test]
fn two_columns_of_one_name_are_told() {
    let proxy = proxy("statement = \"select 1 as a, 2 as a\"");
    let answer = get(&proxy, "/run");
    answer.assert_refused(500, "statement_refused");
    assert!(answer.text().contains("`a`"));
}
