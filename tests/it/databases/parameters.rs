//! What callers send, as values.

use serde_json::json;

use super::kinds::Kind;
use super::post;
use crate::support::injections;

on_every_kind!(
    what_is_no_value_of_its_type_is_refused_by_name,
    no_text_of_a_caller_is_a_part_of_a_statement,
);

fn what_is_no_value_of_its_type_is_refused_by_name<K: Kind>(database: &K) {
    let block = format!(
        r#"
statement = "{}"
parameters = [
    {{ from = "query.a", type = "int4" }},
    {{ from = "query.b", type = "date", default = "2026-01-01" }},
    {{ from = "body./c", type = "bool", required = false }},
    {{ from = "body./d", type = "{}", required = false }},
]"#,
        K::FOUR,
        K::FOURTH
    );
    let proxy = database.proxy("", &[("/run", &block)]);
    let refused = |target: &str, body: &str, named: &str| {
        let answer = post(&proxy, target, body);
        answer.assert_refused(400, "bad_value");
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(
            detail.contains(named) && !detail.contains("hush"),
            "{target}: {detail}"
        );
    };
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
        refused(target, body, named);
    }
    for unfit in K::UNFIT {
        refused("/run?a=1", &format!("{{\"d\":{unfit}}}"), "`body./d`");
    }
    post(&proxy, "/run?a=1", "{").assert_refused(400, "invalid_body");
    for (body, c) in [(r#"{"c":null}"#, json!(null)), (r#"{"c":true}"#, K::yes())] {
        assert_eq!(
            post(&proxy, "/run?a=1", body).json(),
            json!([{ "a": 1, "b": "2026-01-01", "c": c, "d": null }])
        );
    }
}

fn no_text_of_a_caller_is_a_part_of_a_statement<K: Kind>(database: &K) {
    let table = database.table(&format!("{}, a text not null", K::NUMBERED));
    let put = format!(
        "statement = \"insert into {table} (a) values ($1) returning a\"\nresult = \"one\"\nparameters = [{{ from = \"body./a\" }}]"
    );
    let like = format!(
        "statement = \"select a from {table} where a = {} limit 1\"\nresult = \"one\"\nparameters = [{{ from = \"query.a\" }}]",
        K::EXACTLY
    );
    let proxy = database.proxy("", &[("/put", &put), ("/like", &like)]);
    let mut client = proxy.client();
    let all = injections();
    assert!(all.len() >= 500, "{}", all.len());
    for text in &all {
        let body = json!({ "a": text }).to_string();
        let answer = client.request("POST", "/put", &[], &body);
        assert_eq!(answer.json(), json!({ "a": text }));
        let query: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let answer = client.request("GET", &format!("/like?a={query}"), &[], "");
        assert_eq!(answer.json(), json!({ "a": text }));
    }
    let stored = database.number(&format!("select count(*) from {table}"));
    assert_eq!(stored, all.len());
}
