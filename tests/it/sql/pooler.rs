//! Behind pgbouncer in transaction mode, where each statement may be run by another server process.

use std::thread;

use serde_json::json;

use super::{config, get, post, state, table};
use crate::support::{Pgbouncer, PostgresServer, Proxy};

#[test]
fn statements_are_right_whichever_process_runs_them() {
    let server = PostgresServer::shared();
    let bouncer = Pgbouncer::before(&server);
    let table = table("id int8 primary key");
    let put = format!(
        "statements = [\"set local statement_timeout = '10s'\", \"insert into {table} values ($1)\"]\nresult = \"none\"\nparameters = [{{ from = \"query.a\", type = \"int8\" }}]"
    );
    let read = "statement = \"select $1 as a, now() - $2 < '1 day' as b\"\nresult = \"one\"\nparameters = [{ from = \"query.a\", type = \"int8\" }, { from = \"query.t\", type = \"timestamptz\", default = \"2026-01-01\" }]";
    let sleep = "statement = \"select pg_sleep(30)\"";
    let routes = [("/put", put.as_str()), ("/read", read), ("/sleep", sleep)];
    let database =
        "pool.max_connections = 20\npool.max_wait = \"20s\"\nstatement_timeout = \"20s\"";
    let proxy = Proxy::start(&config(&bouncer.url(), database, &routes));
    thread::scope(|scope| {
        for caller in 0..16 {
            let proxy = &proxy;
            scope.spawn(move || {
                let mut client = proxy.client();
                for number in 0..40 {
                    let own = caller * 1000 + number;
                    let answer = client.request("GET", &format!("/read?a={own}"), &[], "");
                    assert_eq!(answer.status, 200, "{}", answer.text());
                    assert_eq!(answer.json()["a"], own);
                    let answer = client.request("POST", &format!("/put?a={own}"), &[], "");
                    assert_eq!(answer.status, 204, "{}", answer.text());
                }
            });
        }
    });
    assert_eq!(server.sql(&format!("select count(*) from {table}")), "640");
    assert_eq!(state(&proxy)["behind_a_pooler"], true);
    post(&proxy, "/put?a=1", "").assert_refused(409, "unique_violation");
    // A caller who leaves has its statement cancelled through the pooler.
    let mut gone = proxy.client();
    gone.send_request("GET", "/sleep", &[], "");
    drop(gone);
    assert_eq!(
        get(&proxy, "/read?a=1").json(),
        json!({ "a": 1, "b": false })
    );
}
