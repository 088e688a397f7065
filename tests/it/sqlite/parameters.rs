//! What callers send, as values.

use serde_json::json;

use super::{Data, get, post};
use crate::support::injections;

#[test]
fn placeholders_mean_the_parameter_of_their_number() {
    let parameters = "result = \"one\"\nparameters = [{ from = \"query.a\" }, { from = \"query.b\", type = \"int8\" }]";
    let data = Data::new("");
    let blocks = [
        "select $2 as x, $1 as y, $2 + $2 as z, '$1 ? :a' as w",
        "select ?2 as x, ?1 as y, ?2 + ?2 as z, '$1 ? :a' as w",
    ]
    .map(|statement| format!("statement = \"{statement}\"\n{parameters}"));
    let list = "statement = \"select value as v from json_each($1) order by value\"\nparameters = [{ from = \"body\", type = \"int8[]\" }]";
    let each = format!("statement = \"select ? as y, ? as x\"\n{parameters}");
    let proxy = data.proxy(
        "",
        &[
            ("/0", &blocks[0]),
            ("/1", &blocks[1]),
            ("/list", list),
            ("/each", &each),
        ],
    );
    for path in ["/0", "/1"] {
        let answer = get(&proxy, &format!("{path}?a=it's&b=7"));
        assert_eq!(
            answer.json(),
            json!({"x": 7, "y": "it's", "z": 14, "w": "$1 ? :a"})
        );
    }
    assert_eq!(
        get(&proxy, "/each?a=it&b=7").json(),
        json!({"x": 7, "y": "it"})
    );
    assert_eq!(
        post(&proxy, "/list", "[3, 1]").json(),
        json!([{"v": 1}, {"v": 3}])
    );
}

#[test]
fn what_is_no_value_of_its_type_is_refused_by_name() {
    let block = r#"
statement = "select $1 as a, $2 as b, $3 as c"
parameters = [
    { from = "query.a", type = "int4" },
    { from = "query.b", type = "date", default = "2026-01-01" },
    { from = "body./c", type = "numeric", required = false },
]"#;
    let data = Data::new("");
    let proxy = data.proxy("", &[("/run", block)]);
    for (target, body, named) in [
        ("/run", "", "`query.a` is missing"),
        ("/run?a=2147483648", "", "`query.a` is no int4"),
        ("/run?a=1%00", "", "`query.a`"),
        ("/run?a=1&b=hush", "", "`query.b`"),
        ("/run?a=1&b=2026-02-30", "", "`query.b`"),
        ("/run?a=1", r#"{"c":123456789012345678.5}"#, "`body./c`"),
        ("/run?a=1", r#"{"c":"NaN"}"#, "`body./c`"),
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
    assert_eq!(
        post(&proxy, "/run?a=1", r#"{"c":null}"#).json(),
        json!([{"a": 1, "b": "2026-01-01", "c": null}])
    );
}

#[test]
fn no_text_of_a_caller_is_a_part_of_a_statement() {
    let data = Data::new("create table t (id integer primary key, a text not null)");
    let put = "statement = \"insert into t (a) values ($1) returning a\"\nresult = \"one\"\nparameters = [{ from = \"body./a\" }]";
    let like = "statement = \"select a from t where a = $1 limit 1\"\nresult = \"one\"\nparameters = [{ from = \"query.a\" }]";
    let proxy = data.proxy("", &[("/put", put), ("/like", like)]);
    let mut client = proxy.client();
    let all = injections();
    assert!(all.len() >= 500, "{}", all.len());
    for text in &all {
        let body = json!({ "a": text }).to_string();
        assert_eq!(
            client.request("POST", "/put", &[], &body).json(),
            json!({ "a": text })
        );
        let query: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let answer = client.request("GET", &format!("/like?a={query}"), &[], "");
        assert_eq!(answer.json(), json!({ "a": text }));
    }
    let stored = usize::try_from(data.number("select count(*) from t")).unwrap();
    assert_eq!(stored, all.len());
}
