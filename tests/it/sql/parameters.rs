//! What callers send, as values.

use serde_json::Value;

use super::config;
use crate::support::{PostgresServer, Proxy};

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
