//! Each failure by its own reason, and nothing told of statements and values.

use std::thread;

use serde_json::json;

use super::{Data, get, post, state};
use crate::databases::assert_refusals;
use crate::support::{LIMIT, eventually};

#[test]
fn constraints_have_their_reasons() {
    let data = Data::new(
        "create table parent (id integer primary key);
         create table t (id integer constraint once unique, parent integer references parent, n int not null constraint positive check (n > 0), s text check (s <> 'hush'), unique (parent, n));
         create table strict_t (id integer primary key, n integer) strict;
         create trigger no before delete on t begin select raise(abort, 'hush'); end;
         insert into parent values (1)",
    );
    let parameters = "result = \"affected\"\nparameters = [\
         { from = \"body./id\", type = \"int8\" }, { from = \"body./parent\", type = \"int8\", required = false }, { from = \"body./n\", type = \"int8\", required = false }, { from = \"body./s\", required = false }]";
    let put = format!("statement = \"insert into t values ($1, $2, $3, $4)\"\n{parameters}");
    let strict = "statement = \"insert into strict_t values (1, $1)\"\nresult = \"affected\"\nparameters = [{ from = \"body./n\" }]";
    let key = "statement = \"insert into parent values ($1)\"\nresult = \"affected\"\nparameters = [{ from = \"body./n\" }]";
    let json = "statement = \"select json_extract($1, '$.a') as a\"\nparameters = [{ from = \"query.a\" }]";
    let proxy = data.proxy(
        "",
        &[
            ("/put", &put),
            ("/strict", strict),
            ("/key", key),
            ("/json", json),
            ("/odd", "statement = \"select hush from nowhere\""),
            ("/raise", "statement = \"delete from t\"\nresult = \"none\""),
        ],
    );
    let first = r#"{"id":1,"parent":1,"n":1}"#;
    assert_eq!(post(&proxy, "/put", first).json(), json!({"affected": 1}));
    assert_refusals(
        &proxy,
        &[
            (
                "/put",
                r#"{"id":1,"n":1}"#,
                409,
                "unique_violation",
                "`t.id`",
            ),
            (
                "/put",
                r#"{"id":5,"parent":1,"n":1}"#,
                409,
                "unique_violation",
                "`t.parent, t.n`",
            ),
            (
                "/put",
                r#"{"id":2,"n":1,"parent":77}"#,
                409,
                "foreign_key_violation",
                "a constraint",
            ),
            (
                "/put",
                r#"{"id":3}"#,
                400,
                "not_null_violation",
                "the column `n`",
            ),
            (
                "/put",
                r#"{"id":4,"n":-77}"#,
                400,
                "check_violation",
                "`positive`",
            ),
            (
                "/put",
                r#"{"id":4,"n":3,"s":"hush"}"#,
                400,
                "check_violation",
                "a constraint",
            ),
            ("/strict", r#"{"n":"hush"}"#, 400, "bad_value", "strict_t.n"),
            ("/key", r#"{"n":"hush"}"#, 400, "bad_value", "mismatch"),
            ("/raise", "", 400, "raised_exception", "raised"),
            ("/json?a=hush", "", 400, "bad_value", "function"),
            ("/odd", "", 500, "statement_refused", "SQLITE_ERROR"),
        ],
        &["77", "insert", "hush", "nowhere"],
    );
    assert_eq!(data.number("select count(*) from t"), 1);
    // Operators are told what is wrong with a statement.
    assert!(
        state(&proxy)["last_error"]["error"]
            .as_str()
            .unwrap()
            .contains("nowhere")
    );
}

#[test]
fn a_file_that_another_process_has_locked_is_waited_for_and_told() {
    for mode in ["delete", "wal"] {
        let data = Data::new(&format!(
            "pragma journal_mode = {mode}; create table t (id integer)"
        ));
        let put = "statement = \"insert into t values (1)\"\nresult = \"none\"";
        let both = "statements = [\"select count(*) as n from t\", \"insert into t values (1)\"]\nresult = \"none\"";
        let database = "statement_timeout = \"300ms\"";
        let slow = data.proxy("statement_timeout = \"30s\"", &[("/put", put)]);
        let proxy = data.proxy(
            database,
            &[
                ("/put", put),
                ("/both", both),
                (
                    "/read",
                    "statement = \"select count(*) as n from t\"\nresult = \"one\"",
                ),
            ],
        );
        assert_eq!(get(&proxy, "/read").json(), json!({"n": 0}));
        let other = data.connection();
        other.execute_batch("begin immediate").unwrap();
        for path in ["/put", "/both"] {
            let answer = post(&proxy, path, "");
            answer.assert_refused(503, "lock_not_available");
            assert_eq!(answer.header("retry-after"), Some("1"));
        }
        assert_eq!(get(&proxy, "/read").json(), json!({"n": 0}));
        thread::scope(|scope| {
            let waiting = scope.spawn(|| post(&slow, "/put", ""));
            eventually(LIMIT, "it waits", || state(&slow)["pool"]["in_use"] == 1);
            other.execute_batch("commit").unwrap();
            assert_eq!(waiting.join().unwrap().status, 204);
        });
        assert_eq!(post(&proxy, "/both", "").status, 204);
        assert_eq!(data.number("select count(*) from t"), 2);
        // The journal is the application's.
        let kept = data
            .connection()
            .query_row("pragma journal_mode", [], |row| row.get::<_, String>(0));
        assert_eq!(kept.unwrap(), mode);
    }
}

#[test]
fn nobody_s_change_is_lost_where_two_processes_write() {
    for mode in ["delete", "wal"] {
        let data = Data::new(&format!(
            "pragma journal_mode = {mode}; create table t (n integer); insert into t values (0)"
        ));
        // What it reads decides what it writes.
        let add = "statements = [\"select n from t\", \"update t set n = (select n from t) + 1\"]\ntransaction = \"serializable\"\nresult = \"none\"";
        let proxy = data.proxy(
            "statement_timeout = \"30s\"",
            &[("/add", add), ("/read", "statement = \"select n from t\"")],
        );
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..20 {
                        let answer = post(&proxy, "/add", "");
                        assert_eq!(answer.status, 204, "{}", answer.text());
                        assert_eq!(get(&proxy, "/read").status, 200);
                    }
                });
            }
            scope.spawn(|| {
                let mut other = data.connection();
                for _ in 0..40 {
                    let own = other
                        .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)
                        .unwrap();
                    own.execute("update t set n = n + 1", []).unwrap();
                    own.commit().unwrap();
                }
            });
        });
        assert_eq!(data.number("select n from t"), 120, "{mode}");
    }
}
