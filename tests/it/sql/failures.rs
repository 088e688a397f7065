//! Each failure by its own reason, and nothing told of statements and values.

use serde_json::json;

use super::{config, post, table};
use crate::databases::assert_refusals;
use crate::support::{PostgresServer, Proxy};

#[test]
fn constraints_have_their_reasons() {
    let parent = table("id int8 primary key");
    let name = table(&format!(
        "id int8 constraint only_once_{parent} unique, parent int8 constraint known references {parent}, n int8 not null constraint positive check (n > 0)"
    ));
    let url = PostgresServer::shared().url();
    let block = format!(
        "statement = \"insert into {name} values ($1, $2, $3)\"\nresult = \"affected\"\nparameters = [\
         {{ from = \"body./id\", type = \"int8\" }}, {{ from = \"body./parent\", type = \"int8\", required = false }}, {{ from = \"body./n\", type = \"int8\" }}]"
    );
    let proxy = Proxy::start(&config(&url, "", &[("/put", &block)]));
    assert_eq!(
        post(&proxy, "/put", r#"{"id":1,"n":1}"#).json(),
        json!({"affected": 1})
    );
    assert_refusals(
        &proxy,
        &[
            (
                "/put",
                r#"{"id":1,"n":1}"#,
                409,
                "unique_violation",
                "`only_once_t",
            ),
            (
                "/put",
                r#"{"id":2,"n":1,"parent":7654321}"#,
                409,
                "foreign_key_violation",
                "`known`",
            ),
            (
                "/put",
                r#"{"id":3,"n":null}"#,
                400,
                "not_null_violation",
                "`n`",
            ),
            (
                "/put",
                r#"{"id":4,"n":-7654321}"#,
                400,
                "check_violation",
                "`positive`",
            ),
        ],
        &["7654321", "insert"],
    );
    assert_eq!(
        PostgresServer::shared().sql(&format!("select count(*) from {name}")),
        "1"
    );
}
