//! What is answered with the rows.

use super::{Data, get, post};

const ROWS: &str = "with recursive n(i) as (select 1 union all select i + 1 from n where i < $2) select hex(zeroblob($1 / 2)) as a from n";

#[test]
fn a_large_result_is_whole() {
    let block = format!(
        "statement = \"{ROWS}\"\n\
         parameters = [{{ from = \"query.size\", type = \"int4\" }}, {{ from = \"query.rows\", type = \"int4\" }}]\n\
         max_rows = 100000\nmax_bytes = \"64MiB\""
    );
    let data = Data::new("");
    let proxy = data.proxy("", &[("/run", &block)]);
    for (accept, around) in [("application/x-ndjson", 0), ("application/json", 1)] {
        let fields = [("accept", accept)];
        let answer = proxy
            .client()
            .request("GET", "/run?size=2000&rows=5000", &fields, "");
        assert_eq!(answer.status, 200);
        // Each row has a comma or a line's end, and the list its brackets.
        assert_eq!(
            answer.length,
            5000 * (2000 + "{\"a\":\"\"},".len() as u64) + around
        );
    }
}

#[test]
fn nothing_of_a_connection_is_seen_by_the_next_one() {
    let mark = "statement = \"create temp table mark (a)\"\nresult = \"none\"";
    let look = "statement = \"select * from temp.mark\"";
    let data = Data::new("");
    let proxy = data.proxy(
        "pool.max_connections = 1",
        &[("/mark", mark), ("/look", look)],
    );
    for _ in 0..2 {
        assert_eq!(post(&proxy, "/mark", "").status, 204);
        get(&proxy, "/look").assert_refused(500, "statement_refused");
    }
}
