//! What callers send, as values.

use serde_json::{Value, json};

use super::{config, proxy, table};
use crate::support::{MariaDbServer, Proxy};

#[test]
fn parameters_come_from_every_part_of_a_request() {
    let url = MariaDbServer::shared().url();
    let block = r#"
statement = "select $1 as p, $2 as q, $3 as h, $4 as b, $1 + 1 as again, $5 as d, $6 as n, $7 as j, $8 as o, $9 as t, $10 as y, $11 as s, $12 as f"
result = "one"
parameters = [
    { from = "path.id", type = "int8" },
    { from = "query.q" },
    { from = "header.x-h", type = "uuid" },
    { from = "body./a/0/b", type = "numeric" },
    { from = "query.none", type = "int4", default = 7 },
    { from = "query.none", required = false },
    { from = "body", type = "json" },
    { from = "body./bytes", type = "bytea" },
    { from = "body./at", type = "timestamptz" },
    { from = "body./day", type = "date" },
    { from = "body./span", type = "time" },
    { from = "body./f", type = "float8" },
]"#;
    let proxy = Proxy::start(&config(&url, "", &[("/run/{id}", block)]));
    let body = r#"{"a":[{"b":123456789012345678901.50}],"bytes":"AP8=","at":"2026-01-31T12:00:00.25+02:00","day":"2026-01-31","span":"-30:00","f":0.1}"#;
    let fields = [("x-h", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11")];
    let answer = proxy
        .client()
        .request("POST", "/run/%37?q=a%20%26+b&q=c", &fields, body);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let mut row = answer.json();
    let document: Value = serde_json::from_str(row["j"].as_str().unwrap()).unwrap();
    assert_eq!(document, serde_json::from_str::<Value>(body).unwrap());
    row["j"].take();
    let expected: Value = serde_json::from_str(
        r#"{"p":7,"q":"a & b","h":"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11","b":"123456789012345678901.50","again":8,
            "d":7,"n":null,"j":null,"o":"AP8=","t":"2026-01-31T10:00:00.250000","y":"2026-01-31","s":"-30:00:00","f":0.1}"#,
    )
    .unwrap();
    assert_eq!(row, expected);
}

#[test]
fn a_limit_may_be_a_parameter_and_no_digit_is_lost_in_comparing() {
    let name = table("id bigint primary key, u bigint unsigned");
    MariaDbServer::shared().sql(&format!(
        "insert into {name} values (9007199254740993, 18446744073709551615), (9007199254740992, 1)"
    ));
    let proxy = proxy(&format!(
        "statement = \"select id from {name} where id = $1 limit $2\"\n\
         parameters = [{{ from = \"query.id\", type = \"int8\" }}, {{ from = \"query.n\", type = \"int4\" }}]"
    ));
    let answer = super::get(&proxy, "/run?id=9007199254740993&n=5");
    assert_eq!(answer.json(), json!([{ "id": "9007199254740993" }]));
    let answer = super::get(&proxy, "/run?id=9007199254740993&n=0");
    assert_eq!(answer.json(), json!([]));
}
