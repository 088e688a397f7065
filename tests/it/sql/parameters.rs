//! What callers send, as values.

use serde_json::{Value, json};

use super::{config, post, proxy};
use crate::support::{PostgresServer, Proxy, injections};

#[test]
fn parameters_come_from_every_part_of_a_request() {
    let url = PostgresServer::shared().url();
    let block = r#"
statement = "select $1 as p, $2 as q, $3 as h, $4 as b, $5 as l, $6 as d, $7 as n, $8 as j, $9 as o"
result = "one"
parameters = [
    { from = "path.id", type = "int8" },
    { from = "query.q" },
    { from = "header.x-h", type = "uuid" },
    { from = "body./a/0/b", type = "numeric" },
    { from = "body./list", type = "text[]" },
    { from = "query.none", type = "int4", default = 7 },
    { from = "query.none", required = false },
    { from = "body", type = "jsonb" },
    { from = "body./bytes", type = "bytea" },
]"#;
    let proxy = Proxy::start(&config(&url, "", &[("/run/{id}", block)]));
    let body =
        r#"{"a":[{"b":123456789012345678901.50}],"list":["x",null,"\"{}\\,"],"bytes":"AP8="}"#;
    let fields = [("x-h", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11")];
    let answer = proxy
        .client()
        .request("POST", "/run/%37?q=a%20%26+b&q=c", &fields, body);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let expected: Value = serde_json::from_str(&format!(
        r#"{{"p":7,"q":"a & b","h":"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11","b":"123456789012345678901.50",
            "l":["x",null,"\"{{}}\\,"],"d":7,"n":null,"j":{body},"o":"AP8="}}"#
    ))
    .unwrap();
    assert_eq!(answer.json(), expected);
}

#[test]
fn what_is_no_value_of_its_type_is_refused_by_name() {
    let proxy = proxy(
        r#"
statement = "select $1 as a, $2 as b, $3 as c"
parameters = [
    { from = "query.a", type = "int4" },
    { from = "query.b", type = "date", default = "2026-01-01" },
    { from = "body./c", type = "bool", required = false },
]"#,
    );
    for (target, body, named) in [
        ("/run", "", "`query.a` is missing"),
        ("/run?a=x", "", "`query.a` is no int4"),
        ("/run?a=2147483648", "", "`query.a` is no int4"),
        ("/run?a=1%00", "", "`query.a`"),
        ("/run?a=%ff", "", "`query.a`"),
        ("/run?a=1&b=hush", "", "`query.b`"),
        ("/run?a=1&b=2026-02-30", "", "`query.b`"),
        ("/run?a=1", r#"{"c":"maybe"}"#, "`body./c`"),
        ("/run?a=1", r#"{"c":[true]}"#, "`body./c` is a list"),
    ] {
        let answer = post(&proxy, target, body);
        answer.assert_refused(400, "bad_value");
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(
            detail.contains(named) && !detail.contains("hush"),
            "{target}: {detail}"
        );
    }
    post(&proxy, "/run?a=1", "{").assert_refused(400, "invalid_body");
    let ok = post(&proxy, "/run?a=1", r#"{"c":null}"#);
    assert_eq!(ok.json(), json!([{"a": 1, "b": "2026-01-01", "c": null}]));
}

#[test]
fn no_text_of_a_caller_is_a_part_of_a_statement() {
    let table = super::table("id int8 generated always as identity, a text not null");
    let url = PostgresServer::shared().url();
    let routes = [
        (
            "/put",
            format!(
                "statement = \"insert into {table} (a) values ($1) returning a\"\nresult = \"one\"\nparameters = [{{ from = \"body./a\" }}]"
            ),
        ),
        (
            "/like",
            format!(
                "statement = \"select a from {table} where a = $1 limit 1\"\nresult = \"one\"\nparameters = [{{ from = \"query.a\" }}]"
            ),
        ),
    ];
    let routes: Vec<(&str, &str)> = routes
        .iter()
        .map(|(path, block)| (*path, block.as_str()))
        .collect();
    let proxy = Proxy::start(&config(&url, "", &routes));
    let mut client = proxy.client();
    let all = injections();
    assert!(all.len() >= 500, "{}", all.len());
    for text in &all {
        let body = json!({ "a": text }).to_string();
        let answer = client.request("POST", "/put", &[], &body);
        assert_eq!(answer.json(), json!({ "a": text }));
        let query: String = form(text);
        let answer = client.request("GET", &format!("/like?a={query}"), &[], "");
        assert_eq!(answer.json(), json!({ "a": text }));
    }
    let stored = PostgresServer::shared().sql(&format!("select count(*) from {table}"));
    assert_eq!(stored, all.len().to_string());
}

/// Percent-encoded.
fn form(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
