//! The table of the reference: what the values of SQLite are in JSON.

use serde_json::json;

use super::{Data, get, post};

#[test]
fn every_value_is_what_the_reference_says() {
    let rows = [
        ("", "null", json!(null)),
        (
            "integer",
            "9007199254740991",
            json!(9_007_199_254_740_991_i64),
        ),
        ("integer", "9007199254740992", json!("9007199254740992")),
        (
            "integer",
            "-9223372036854775808",
            json!("-9223372036854775808"),
        ),
        ("real", "0.1", json!(0.1)),
        ("real", "3", json!(3.0)),
        ("real", "1e300", json!(1e300)),
        ("real", "9e999", json!("Infinity")),
        ("real", "-9e999", json!("-Infinity")),
        ("real", "9e999 - 9e999", json!(null)),
        ("text", "'a\"b'", json!("a\"b")),
        ("text", "cast(x'61ff62' as text)", json!("a\u{fffd}b")),
        ("text", "'a' || char(0) || 'b'", json!("a\u{0}b")),
        ("text", "42", json!("42")),
        ("blob", "x'00ff'", json!("AP8=")),
        ("blob", "zeroblob(0)", json!("")),
        ("boolean", "1", json!(true)),
        ("boolean", "false", json!(false)),
        ("boolean", "2", json!(2)),
        ("boolean", "'yes'", json!("yes")),
        ("json", "'{\"a\": [1.5, null]}'", json!({"a": [1.5, null]})),
        ("json", "'{a: 1}'", json!("{a: 1}")),
        ("json", "null", json!(null)),
        ("jsonb", "jsonb('{}')", json!("DA==")),
        (
            "timestamp",
            "'2026-01-31 12:00:00'",
            json!("2026-01-31T12:00:00"),
        ),
        (
            "datetime",
            "'2026-01-31 12:00:00.5+00:00'",
            json!("2026-01-31T12:00:00.5Z"),
        ),
        (
            "datetime",
            "'2026-01-31T12:00:00Z'",
            json!("2026-01-31T12:00:00Z"),
        ),
        ("datetime", "1769860800", json!(1_769_860_800)),
        ("date", "'2026-01-31'", json!("2026-01-31")),
        ("decimal(10, 2)", "'0.10'", json!(0.1)),
        ("decimal(10, 2)", "12", json!(12)),
        (
            "numeric",
            "'12345678901234567890.5'",
            json!(1.2345678901234567e19),
        ),
        ("varchar(3)", "'longer'", json!("longer")),
        ("integer", "'no number'", json!("no number")),
    ];
    let declared: Vec<String> = rows
        .iter()
        .enumerate()
        .map(|(number, (of, _, _))| format!("c{number} {of}"))
        .collect();
    let values: Vec<&str> = rows.iter().map(|(_, value, _)| *value).collect();
    let data = Data::new(&format!(
        "create table t ({}); insert into t values ({})",
        declared.join(", "),
        values.join(", ")
    ));
    let proxy = data.proxy(
        "",
        &[("/run", "statement = \"select * from t\"\nresult = \"one\"")],
    );
    // Prepared, and once more.
    for _ in 0..2 {
        let answer = get(&proxy, "/run");
        assert_eq!(answer.status, 200, "{}", answer.text());
        let row = answer.json();
        for (number, (of, value, expected)) in rows.iter().enumerate() {
            assert_eq!(&row[format!("c{number}")], expected, "{of} {value}");
        }
    }
}

#[test]
fn what_has_no_declaration_is_what_it_is_kept_as() {
    let data = Data::new("create table t (a boolean, j json); insert into t values (1, '[1]')");
    let block = "statement = \"select a, j, a + 0 as b, json_array(1) as k, (select j from t) as l from t\"\nresult = \"one\"";
    let proxy = data.proxy("", &[("/run", block)]);
    assert_eq!(
        get(&proxy, "/run").json(),
        json!({"a": true, "j": [1], "b": 1, "k": "[1]", "l": [1]})
    );
}

#[test]
fn big_numbers_are_numbers_where_that_is_wanted() {
    let data = Data::new("");
    let block =
        "statement = \"select 9223372036854775807 as a, 0.1 as b\"\nbig_numbers = \"number\"";
    let proxy = data.proxy("", &[("/run", block)]);
    assert_eq!(
        get(&proxy, "/run").text(),
        r#"[{"a":9223372036854775807,"b":0.1}]"#
    );
}

#[test]
fn a_parameter_is_kept_as_its_type_says() {
    let rows = [
        ("bool", json!(true), "integer", json!(1)),
        (
            "int8",
            json!("9223372036854775807"),
            "integer",
            json!("9223372036854775807"),
        ),
        ("float8", json!(1), "real", json!(1.0)),
        ("float8", json!("-Infinity"), "real", json!("-Infinity")),
        ("numeric", json!(7), "integer", json!(7)),
        ("numeric", json!("0.10"), "real", json!(0.1)),
        ("text", json!("007"), "text", json!("007")),
        (
            "uuid",
            json!("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
            "text",
            json!("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        ),
        ("bytea", json!("AP8="), "blob", json!("AP8=")),
        ("jsonb", json!({"a": 1}), "text", json!("{\"a\":1}")),
        ("date", json!("2026-01-31"), "text", json!("2026-01-31")),
        (
            "timestamptz",
            json!("2026-01-31T12:00:00Z"),
            "text",
            json!("2026-01-31T12:00:00Z"),
        ),
        ("inferred", json!("x"), "text", json!("x")),
        ("int8[]", json!([1, null]), "text", json!("[1,null]")),
        ("text", json!(null), "null", json!(null)),
    ];
    let routes: Vec<(String, String)> = rows
        .iter()
        .enumerate()
        .map(|(number, (of, _, _, _))| {
            let block = format!("statement = \"select typeof($1) as t, $1 as v\"\nresult = \"one\"\nparameters = [{{ from = \"body./v\", type = \"{of}\" }}]");
            (format!("/{number}"), block)
        })
        .collect();
    let routes: Vec<(&str, &str)> = routes
        .iter()
        .map(|(path, block)| (path.as_str(), block.as_str()))
        .collect();
    let data = Data::new("");
    let proxy = data.proxy("", &routes);
    for (number, (of, given, kept, expected)) in rows.iter().enumerate() {
        let answer = post(
            &proxy,
            &format!("/{number}"),
            &json!({ "v": given }).to_string(),
        );
        assert_eq!(
            answer.json(),
            json!({"t": kept, "v": expected}),
            "{of} {given}"
        );
    }
}
