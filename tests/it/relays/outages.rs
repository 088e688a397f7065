//! What happens when something ends in the middle.

use std::collections::BTreeSet;

use serde_json::json;

use super::{COLUMNS, LIMIT, PsqlSession, Table, setup, state, until_state};
use crate::support::{NatsServer, Origin, PostgresServer, Proxy, Script, eventually};

/// Deleting waits while somebody holds a lock.
const GATE: &str = "create function gate() returns trigger language plpgsql as \
    $$ begin perform pg_advisory_xact_lock_shared(1); return null; end $$; \
    create trigger gate after delete on outbox for each statement execute function gate()";

/// Has deleting wait until the session ends.
fn close_gate(table: &Table) -> PsqlSession {
    table.sql(GATE);
    let session = table.session("begin; select pg_advisory_xact_lock(1);");
    eventually(LIMIT, "the gate is closed", || {
        table.sql("select count(*) from pg_locks where locktype = 'advisory' and objid = 1 and mode = 'ExclusiveLock' and granted \
                   and database = (select oid from pg_database where datname = current_database())") == "1"
    });
    session
}

/// Waits until a process is between the confirmation and the commit.
fn until_deleting(table: &Table) {
    eventually(LIMIT, "it is between both", || {
        table.sql(
            "select count(*) from pg_stat_activity where query like 'delete from \"outbox\"%' and state = 'active' \
             and wait_event_type = 'Lock' and datname = current_database()",
        ) == "1"
    });
}

#[test]
fn a_process_that_is_killed_before_it_deletes_publishes_again_under_the_same_id() {
    let (table, broker, origin) = (Table::new(), NatsServer::start(), Origin::start());
    let setup = setup(&table.url(), &broker, origin.address(), COLUMNS);
    let proxy = Proxy::with(&setup);
    until_state(&proxy, "relaying");
    let gate = close_gate(&table);
    table.insert("values ('a', 'made', to_jsonb(1)), ('b', 'made', to_jsonb(2))");
    until_deleting(&table);
    drop(proxy);
    gate.end("commit;");
    assert_eq!(table.count("true"), 2, "both are there still");
    let next = Proxy::with(&setup);
    eventually(LIMIT, "both are gone", || table.count("true") == 0);
    eventually(LIMIT, "both are counted", || state(&next)["published"] == 2);
    assert_eq!(state(&next)["duplicates"], 2, "NATS knows the ids");
    eventually(LIMIT, "both are delivered", || origin.complete() == 2);
}

#[test]
fn a_connection_that_is_cut_before_it_deletes_loses_nothing_and_doubles_nothing() {
    let (table, broker, origin) = (Table::new(), NatsServer::start(), Origin::start());
    let setup = setup(&table.url(), &broker, origin.address(), COLUMNS);
    let proxy = Proxy::with(&setup);
    until_state(&proxy, "relaying");
    let gate = close_gate(&table);
    table.insert("values ('a', 'made', to_jsonb(1))");
    until_deleting(&table);
    table.sql(
        "select pg_terminate_backend(pid) from pg_stat_activity \
         where query like 'delete from \"outbox\"%' and pid <> pg_backend_pid() and datname = current_database()",
    );
    eventually(LIMIT, "it is told", || {
        state(&proxy)["last_error"]["reason"] == "database_failed"
    });
    eventually(LIMIT, "it is logged", || {
        let told = "may be published again by another process, under the same ids";
        proxy.log().contains(told)
    });
    gate.end("commit;");
    eventually(LIMIT, "it is gone", || table.count("true") == 0);
    until_state(&proxy, "relaying");
    let now = state(&proxy);
    assert_eq!(
        (&now["published"], &now["duplicates"]),
        (&json!(1), &json!(0))
    );
    eventually(LIMIT, "it is delivered", || origin.complete() == 1);
}

#[test]
fn a_broker_that_is_started_anew_gets_every_row() {
    let (table, mut broker, origin) = (Table::new(), NatsServer::start(), Origin::start());
    let setup = setup(&table.url(), &broker, origin.address(), COLUMNS);
    let proxy = Proxy::with(&setup);
    until_state(&proxy, "relaying");
    broker.kill();
    table.insert("select 'k' || i % 10, 'made', to_jsonb(i) from generate_series(1, 200) i");
    until_state(&proxy, "waiting");
    assert_eq!(table.count("true"), 200);
    broker.again();
    eventually(LIMIT, "all are gone", || table.count("true") == 0);
    eventually(LIMIT, "all are delivered", || origin.complete() >= 200);
    assert_eq!(
        table.count("attempts > 0"),
        0,
        "that was no fault of theirs"
    );
}

#[test]
fn a_database_that_ends_at_any_time_loses_nothing() {
    let (_alone, server) = PostgresServer::fragile();
    server.again();
    let (table, broker, origin) = (Table::on(server), NatsServer::start(), Origin::start());
    let relay = format!("batch = 5\nnotify = \"outbox\"\n{COLUMNS}");
    let proxy = Proxy::with(&setup(&table.url(), &broker, origin.address(), &relay));
    until_state(&proxy, "relaying");
    for round in 0..3 {
        table.insert(&format!(
            "select 'k' || i % 10, 'made', to_jsonb({round} * 200 + i) from generate_series(1, 200) i"
        ));
        eventually(LIMIT, "it has begun", || origin.complete() > round * 200);
        table.server.kill();
        table.server.again();
    }
    eventually(LIMIT, "all are gone", || table.count("true") == 0);
    eventually(LIMIT, "all are delivered", || origin.complete() >= 600);
    let ids: BTreeSet<String> = origin
        .requests()
        .iter()
        .filter_map(|request| request.header("outrigger-message-id").map(str::to_owned))
        .collect();
    assert_eq!(ids.len(), 600);
    eventually(LIMIT, "it listens again", || {
        state(&proxy)["listens"] == true
    });
}

#[test]
fn what_is_under_way_is_settled_before_the_process_ends() {
    let (table, broker, origin) = (Table::new(), NatsServer::start(), Origin::start());
    let setup = setup(&table.url(), &broker, origin.address(), COLUMNS);
    let mut proxy = Proxy::with(&setup);
    until_state(&proxy, "relaying");
    let gate = close_gate(&table);
    table.insert("values ('a', 'made', to_jsonb(1))");
    until_deleting(&table);
    proxy.terminate();
    eventually(LIMIT, "it drains", || !proxy.is_ready());
    gate.end("commit;");
    proxy.wait_exit(LIMIT);
    assert_eq!(table.count("true"), 0, "it was deleted");
    let next = Proxy::with(&setup);
    until_state(&next, "relaying");
    assert_eq!(state(&next)["published"], 0);
}

#[test]
fn a_request_that_does_not_end_leaves_time_to_settle() {
    let (table, broker) = (Table::new(), NatsServer::start());
    let origin = Origin::start().on("/app/slow", Script::new().stall());
    let setup = setup(&table.url(), &broker, origin.address(), COLUMNS)
        .also("[shutdown]\ndrain_timeout = \"10s\"\n");
    let mut proxy = Proxy::with(&setup);
    until_state(&proxy, "relaying");
    let mut caller = proxy.client();
    caller.send_request("GET", "/app/slow", &[], "");
    eventually(LIMIT, "the request arrives", || {
        origin.requests().len() == 1
    });
    proxy.terminate();
    eventually(LIMIT, "it drains", || !proxy.is_ready());
    table.insert("values ('a', 'made', to_jsonb(1))");
    eventually(LIMIT, "what is written meanwhile is published", || {
        table.count("true") == 0
    });
    until_state(&proxy, "ending");
    proxy.wait_exit(LIMIT);
}
