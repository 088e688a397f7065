//! What callers send, as values.

use serde_json::json;

use super::{Data, get, post};

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
