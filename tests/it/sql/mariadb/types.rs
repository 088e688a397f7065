//! The table of the reference: what the values of MariaDB are in JSON.

use serde_json::{Value, json};

use super::{get, proxy, table};
use crate::support::MariaDbServer;

#[test]
fn every_type_is_what_the_reference_says() {
    let rows = [
        ("tinyint", "-128", json!(-128)),
        ("tinyint unsigned", "255", json!(255)),
        ("bool", "true", json!(1)),
        ("smallint", "-32768", json!(-32768)),
        ("smallint unsigned", "65535", json!(65535)),
        ("mediumint", "-8388608", json!(-8_388_608)),
        ("mediumint unsigned", "16777215", json!(16_777_215)),
        ("int", "-2147483648", json!(-2_147_483_648_i64)),
        ("int unsigned", "4294967295", json!(4_294_967_295_u32)),
        (
            "bigint",
            "9007199254740991",
            json!(9_007_199_254_740_991_i64),
        ),
        ("bigint", "9007199254740992", json!("9007199254740992")),
        (
            "bigint",
            "-9223372036854775808",
            json!("-9223372036854775808"),
        ),
        (
            "bigint unsigned",
            "9223372036854775808",
            json!("9223372036854775808"),
        ),
        (
            "bigint unsigned",
            "18446744073709551615",
            json!("18446744073709551615"),
        ),
        ("decimal(10,0)", "42", json!(42)),
        ("decimal(10,2)", "0.10", json!("0.10")),
        (
            "decimal(40,1)",
            "123456789012345678901234567890.5",
            json!("123456789012345678901234567890.5"),
        ),
        ("float", "0.1", json!(0.1)),
        ("float", "16777216", json!(16_777_216)),
        ("float", "1e30", json!(1e30)),
        ("double", "0.1", json!(0.1)),
        (
            "double",
            "1.7976931348623157e308",
            json!(1.797_693_134_862_315_7e308),
        ),
        ("double", "-2", json!(-2)),
        ("bit(1)", "b'1'", json!(1)),
        ("bit(12)", "b'100000000001'", json!(2049)),
        (
            "bit(64)",
            "b'1111111111111111111111111111111111111111111111111111111111111111'",
            json!("18446744073709551615"),
        ),
        ("date", "'2026-01-31'", json!("2026-01-31")),
        ("date", "'0000-00-00'", json!("0000-00-00")),
        ("date", "'2026-00-00'", json!("2026-00-00")),
        ("time", "'12:30:00'", json!("12:30:00")),
        ("time(3)", "'-12:30:00.5'", json!("-12:30:00.500")),
        ("time", "'838:59:59'", json!("838:59:59")),
        ("time(6)", "'-100:00:00.000001'", json!("-100:00:00.000001")),
        (
            "datetime",
            "'2026-01-31 12:00:00'",
            json!("2026-01-31T12:00:00"),
        ),
        (
            "datetime(6)",
            "'2026-01-31 12:00:00.5'",
            json!("2026-01-31T12:00:00.500000"),
        ),
        ("datetime", "'2026-01-31'", json!("2026-01-31T00:00:00")),
        ("datetime", "'0000-00-00'", json!("0000-00-00 00:00:00")),
        (
            "timestamp null",
            "'2026-01-31 12:00:00'",
            json!("2026-01-31T12:00:00Z"),
        ),
        (
            "timestamp(3) null",
            "'2026-01-31 12:00:00.5'",
            json!("2026-01-31T12:00:00.500Z"),
        ),
        ("year", "2026", json!(2026)),
        ("year", "0", json!(0)),
        ("char(3)", "'x'", json!("x")),
        ("varchar(20)", "'a\"b\\\\c'", json!("a\"b\\c")),
        ("text", "'ü😀'", json!("ü😀")),
        ("varchar(20) character set latin1", "'ü'", json!("ü")),
        ("binary(3)", "x'00ff'", json!("AP8A")),
        ("varbinary(3)", "x'00ff'", json!("AP8=")),
        ("blob", "x'00ff'", json!("AP8=")),
        ("longblob", "x''", json!("")),
        (
            "json",
            "'{\"a\": [1.10, null]}'",
            serde_json::from_str("{\"a\":[1.10,null]}").unwrap(),
        ),
        ("json", "'null'", json!(null)),
        ("enum('glad', 'sad')", "'sad'", json!("sad")),
        ("set('a', 'b', 'c')", "'c,a'", json!("a,c")),
        (
            "uuid",
            "'A0EEBC99-9c0b-4ef8-bb6d-6bb9bd380a11'",
            json!("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        ),
        ("inet6", "'2001:db8::1'", json!("2001:db8::1")),
        ("inet4", "'10.0.0.1'", json!("10.0.0.1")),
        (
            "point",
            "point(1, 2)",
            json!("AAAAAAEBAAAAAAAAAAAA8D8AAAAAAAAAQA=="),
        ),
        ("int", "null", json!(null)),
        ("text", "null", json!(null)),
    ];
    let columns: Vec<String> = rows
        .iter()
        .enumerate()
        .map(|(number, (kind, _, _))| format!("c{number} {kind}"))
        .collect();
    let name = table(&columns.join(", "));
    let values: Vec<&str> = rows.iter().map(|(_, value, _)| *value).collect();
    MariaDbServer::shared().sql(&format!(
        "set names utf8mb4; set sql_mode = 'STRICT_ALL_TABLES', time_zone = '+00:00'; insert into {name} values ({})",
        values.join(", ")
    ));
    let proxy = proxy(&format!(
        "statement = \"select * from {name}\"\nresult = \"one\""
    ));
    // Prepared, and once more.
    for _ in 0..2 {
        let answer = get(&proxy, "/run");
        assert_eq!(answer.status, 200, "{}", answer.text());
        let row = answer.json();
        for (number, (kind, value, expected)) in rows.iter().enumerate() {
            assert_eq!(&row[format!("c{number}")], expected, "{kind} {value}");
        }
    }
}

#[test]
fn expressions_have_types_too() {
    let rows = [
        ("1", json!(1)),
        ("true", json!(1)),
        ("1.50", json!("1.50")),
        ("1e0", json!(1)),
        ("'x'", json!("x")),
        ("x'00'", json!("AA==")),
        ("cast('2026-01-31' as date)", json!("2026-01-31")),
        ("from_unixtime(0)", json!("1970-01-01T00:00:00")),
        ("sum(1)", json!(1)),
        ("count(*)", json!(1)),
        ("json_object('a', 1)", json!({"a": 1})),
        ("json_arrayagg(1)", json!([1])),
        ("null", json!(null)),
        ("@@time_zone", json!("+00:00")),
    ];
    let columns: Vec<String> = rows
        .iter()
        .enumerate()
        .map(|(number, (sql, _))| format!("{sql} as c{number}"))
        .collect();
    let proxy = proxy(&format!(
        "statement = '''select {}'''\nresult = \"one\"",
        columns.join(", ")
    ));
    let answer = get(&proxy, "/run");
    assert_eq!(answer.status, 200, "{}", answer.text());
    let row = answer.json();
    for (number, (sql, expected)) in rows.iter().enumerate() {
        assert_eq!(&row[format!("c{number}")], expected, "{sql}");
    }
}

#[test]
fn big_numbers_are_numbers_where_that_is_wanted() {
    let proxy = proxy(
        "statement = 'select 18446744073709551615 as a, 0.10 as b'\nbig_numbers = \"number\"",
    );
    let text = get(&proxy, "/run").text();
    assert_eq!(text, r#"[{"a":18446744073709551615,"b":0.10}]"#);
}

#[test]
fn what_is_no_json_stays_a_text() {
    let name = table("a json");
    MariaDbServer::shared().sql(&format!(
        "set check_constraint_checks = 0; insert into {name} values ('{{')"
    ));
    let proxy = proxy(&format!("statement = 'select a from {name}'"));
    let rows: Value = get(&proxy, "/run").json();
    assert_eq!(rows, json!([{"a": "{"}]));
}
