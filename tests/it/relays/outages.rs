//! What happens when something ends in the middle.

use std::collections::BTreeSet;

use super::{COLUMNS, Table, setup, state, until_state};
use crate::support::{LIMIT, NatsServer, Origin, PostgresServer, Proxy, eventually};

/// Deleting takes so long that something can happen between it and the confirmation.
const SLOW_DELETE: &str = "create function slow() returns trigger language plpgsql as \
    $$ begin perform pg_sleep(2); return null; end $$; \
    create trigger slow after delete on outbox for each statement execute function slow()";

fn is_deleting(table: &Table) -> bool {
    let asked = "select count(*) from pg_stat_activity where query like 'delete from \"outbox\"%' and state = 'active' \
                 and wait_event = 'PgSleep'";
    table.sql(asked) == "1"
}

#[test]
fn a_process_that_is_killed_before_it_deletes_publishes_again_under_the_same_id() {
    let (table, broker, origin) = (Table::new(), NatsServer::start(), Origin::start());
    let setup = setup(&table.url(), &broker, origin.address(), COLUMNS);
    let proxy = Proxy::with(&setup);
    until_state(&proxy, "relaying");
    table.sql(SLOW_DELETE);
    table.insert("values ('a', 'made', to_jsonb(1)), ('b', 'made', to_jsonb(2))");
    eventually(LIMIT, "it is between both", || is_deleting(&table));
    drop(proxy);
    assert_eq!(table.count("true"), 2, "both are there still");
    let next = Proxy::with(&setup);
    eventually(LIMIT, "both are gone", || table.count("true") == 0);
    eventually(LIMIT, "NATS knows the ids", || {
        let now = state(&next);
        now["published"] == 2 && now["duplicates"] == 2
    });
    eventually(LIMIT, "both are delivered", || origin.requests().len() == 2);
}

#[test]
fn a_connection_that_is_cut_before_it_deletes_loses_nothing() {
    let (table, broker, origin) = (Table::new(), NatsServer::start(), Origin::start());
    let setup = setup(&table.url(), &broker, origin.address(), COLUMNS);
    let proxy = Proxy::with(&setup);
    until_state(&proxy, "relaying");
    table.sql(SLOW_DELETE);
    table.insert("values ('a', 'made', to_jsonb(1))");
    eventually(LIMIT, "it is between both", || is_deleting(&table));
    table.sql(
        "select pg_terminate_backend(pid) from pg_stat_activity \
         where query like 'delete from \"outbox\"%' and pid <> pg_backend_pid()",
    );
    eventually(LIMIT, "it is gone", || table.count("true") == 0);
    eventually(LIMIT, "NATS knows the id", || {
        let now = state(&proxy);
        now["published"] == 2 && now["duplicates"] == 1
    });
    assert_eq!(state(&proxy)["last_error"]["reason"], "database_failed");
    let log = proxy.log();
    assert!(
        log.contains("may be published again, under the same ids"),
        "{log}"
    );
    eventually(LIMIT, "it is delivered", || origin.requests().len() == 1);
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
    eventually(LIMIT, "all are delivered", || {
        origin.requests().len() >= 200
    });
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
        eventually(LIMIT, "it has begun", || {
            origin.requests().len() > round * 200
        });
        table.server.kill();
        table.server.again();
    }
    eventually(LIMIT, "all are gone", || table.count("true") == 0);
    eventually(LIMIT, "all are delivered", || {
        origin.requests().len() >= 600
    });
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
    table.sql(SLOW_DELETE);
    table.insert("values ('a', 'made', to_jsonb(1))");
    eventually(LIMIT, "it is between both", || is_deleting(&table));
    proxy.terminate();
    proxy.wait_exit(LIMIT);
    assert_eq!(table.count("true"), 0, "it was deleted");
    let next = Proxy::with(&setup);
    until_state(&next, "relaying");
    assert_eq!(state(&next)["published"], 0);
}
