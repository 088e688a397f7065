//! The table of the reference: what the values of PostgreSQL are in JSON.

use serde_json::json;

use super::{get, proxy};

#[test]
fn every_type_is_what_the_reference_says() {
    let rows = [
        ("true", json!(true)),
        ("null::int8", json!(null)),
        ("32767::int2", json!(32767)),
        ("(-2147483648)::int4", json!(-2_147_483_648_i64)),
        ("9007199254740991::int8", json!(9_007_199_254_740_991_i64)),
        ("9007199254740992::int8", json!("9007199254740992")),
        (
            "(-9223372036854775808)::int8",
            json!("-9223372036854775808"),
        ),
        ("4294967295::oid", json!(4_294_967_295_u32)),
        ("42::numeric", json!(42)),
        ("0.10::numeric", json!("0.10")),
        (
            "123456789012345678901234567890.5::numeric",
            json!("123456789012345678901234567890.5"),
        ),
        ("'NaN'::numeric", json!("NaN")),
        ("'infinity'::numeric", json!("Infinity")),
        ("1.5::float4", json!(1.5)),
        ("0.1::float8", json!(0.1)),
        ("'NaN'::float8", json!("NaN")),
        ("'-infinity'::float8", json!("-Infinity")),
        ("'a\"b'::text", json!("a\"b")),
        ("'x'::char(3)", json!("x  ")),
        (
            "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid",
            json!("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        ),
        ("'2026-01-31'::date", json!("2026-01-31")),
        ("'infinity'::date", json!("infinity")),
        ("'12:30:00.5'::time", json!("12:30:00.5")),
        (
            "'2026-01-31 12:00:00.5+02'::timestamptz",
            json!("2026-01-31T10:00:00.5Z"),
        ),
        ("'infinity'::timestamptz", json!("infinity")),
        ("'-infinity'::timestamptz", json!("-infinity")),
        (
            "'0044-03-15 12:00:00+00 BC'::timestamptz",
            json!("0044-03-15 12:00:00+00 BC"),
        ),
        (
            "'2026-01-31 12:00:00'::timestamp",
            json!("2026-01-31T12:00:00"),
        ),
        ("'1 day 02:00:00'::interval", json!("1 day 02:00:00")),
        ("'\\x00ff'::bytea", json!("AP8=")),
        (
            "'{\"a\": [1.10, null]}'::json",
            serde_json::from_str("{\"a\":[1.10,null]}").unwrap(),
        ),
        ("'{\"a\": {\"b\": true}}'::jsonb", json!({"a": {"b": true}})),
        ("'null'::jsonb", json!(null)),
        ("array[1, null, 3]", json!([1, null, 3])),
        ("array[[1, 2], [3, 4]]", json!([[1, 2], [3, 4]])),
        (
            "array['a,b', 'NULL', 'c\"d', '']",
            json!(["a,b", "NULL", "c\"d", ""]),
        ),
        ("array[]::text[]", json!([])),
        (
            "array[9007199254740993]::int8[]",
            json!(["9007199254740993"]),
        ),
        (
            "array['2026-01-31 12:00:00+00']::timestamptz[]",
            json!(["2026-01-31T12:00:00Z"]),
        ),
        ("array['{\"a\": 1}']::jsonb[]", json!([{"a": 1}])),
        ("array['\\x01'::bytea]", json!(["AQ=="])),
        ("row(1, 'x')", json!("(1,x)")),
        ("'12.50'::money", json!("$12.50")),
        ("'10.0.0.0/8'::cidr", json!("10.0.0.0/8")),
        ("int4range(1, 5)", json!("[1,5)")),
    ];
    let columns: Vec<String> = rows
        .iter()
        .enumerate()
        .map(|(number, (sql, _))| format!("{sql} as c{number}"))
        .collect();
    let statement = format!("select {}", columns.join(", "));
    let proxy = proxy(&format!("statement = '''{statement}'''\nresult = \"one\""));
    // Prepared, and once more.
    for _ in 0..2 {
        let answer = get(&proxy, "/run");
        assert_eq!(answer.status, 200, "{}", answer.text());
        let row = answer.json();
        for (number, (sql, expected)) in rows.iter().enumerate() {
            assert_eq!(&row[format!("c{number}")], expected, "{sql}");
        }
    }
}

#[test]
fn big_numbers_are_numbers_where_that_is_wanted() {
    let proxy = proxy(
        "statement = 'select 9223372036854775807 as a, 0.10 as b, array[0.50] as c'\nbig_numbers = \"number\"",
    );
    let text = get(&proxy, "/run").text();
    assert_eq!(text, r#"[{"a":9223372036854775807,"b":0.10,"c":[0.50]}]"#);
}

#[test]
fn types_of_one_s_own_are_text() {
    let name = format!("mood{:x}", fastrand::u64(..));
    let server = crate::support::PostgresServer::shared();
    server.sql(&format!("create type {name} as enum ('glad', 'sad')"));
    let proxy = proxy(&format!(
        "statement = \"select $1::{name} as m, array[$1::{name}] as l\"\nparameters = [{{ from = \"query.m\", type = \"inferred\" }}]\nresult = \"one\""
    ));
    assert_eq!(
        get(&proxy, "/run?m=sad").json(),
        json!({"m": "sad", "l": "{sad}"})
    );
    get(&proxy, "/run?m=odd").assert_refused(400, "bad_value");
}
