//! What is answered with the rows.

use serde_json::json;

use super::{get, post, proxy, table};
use crate::support::MariaDbServer;

#[test]
fn a_row_that_is_longer_than_a_packet_comes_whole() {
    let proxy = proxy(
        "statement = \"select repeat(chr(65 + n), 8500000) as a, repeat('b', 8500000) as b from (select 0 as n union all select 1) t\"\nmax_bytes = \"64MiB\"",
    );
    let server = MariaDbServer::shared();
    server.sql("set global max_allowed_packet = 67108864");
    let answer = get(&proxy, "/run");
    assert_eq!(answer.status, 200);
    let names = r#"[{"a":"","b":""},{"a":"","b":""}]"#.len() as u64;
    assert_eq!(answer.length, names + 4 * 8_500_000);
    assert!(answer.text().starts_with("[{\"a\":\"AAA"));
}

#[test]
fn the_key_of_a_new_row_is_read_in_the_same_transaction() {
    let table = table("id bigint auto_increment primary key, a text");
    let proxy = proxy(&format!(
        "statements = [\"insert into {table} (a) values ('x')\", \"select last_insert_id() as id\"]\nresult = \"one\""
    ));
    for id in 1..=3 {
        assert_eq!(post(&proxy, "/run", "").json(), json!({ "id": id }));
    }
}

#[test]
fn a_procedure_gives_its_first_rows() {
    let name = format!("p{:x}", fastrand::u64(..));
    MariaDbServer::shared().define(&format!(
        "create procedure {name}(in n int) begin select n as a union select n + 1; select 'no' as b; end"
    ));
    let proxy = proxy(&format!(
        "statement = \"call {name}($1)\"\nparameters = [{{ from = \"query.n\", type = \"int4\" }}]"
    ));
    for _ in 0..2 {
        assert_eq!(
            post(&proxy, "/run?n=4", "").json(),
            json!([{ "a": 4 }, { "a": 5 }])
        );
    }
}
