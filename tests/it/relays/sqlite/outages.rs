//! What happens when something ends in the middle, or does not get on.

use serde_json::json;

use super::{COLUMNS, LIMIT, Table, in_order, relays_alone, setup, state, until_state};
use crate::support::{Launch, NatsServer, Origin, Proxy, eventually};

#[test]
fn a_process_that_is_killed_in_the_middle_loses_nothing() {
    let (table, broker, origin) = (Table::new(), NatsServer::start(), Origin::start());
    let relay = format!("batch = 5\n{COLUMNS}");
    let setup = setup(&table.url(), &broker, origin.address(), &relay);
    // What holds messages when it ends has them come again out of order, so nothing is delivered before.
    let relays = relays_alone(&setup.toml());
    for round in 0..3 {
        let proxy = Launch::new(relays.clone()).start();
        table.insert(round * 200 + 1, round * 200 + 200);
        eventually(LIMIT, "some are published", || {
            state(&proxy)["published"].as_u64() >= Some(10)
        });
    }
    let _proxy = Proxy::with(&setup);
    eventually(LIMIT, "all are gone", || table.count("true") == 0);
    eventually(LIMIT, "all are delivered", || origin.complete() >= 600);
    in_order(&origin, 120);
}

#[test]
fn a_process_that_is_killed_before_it_deletes_publishes_again_under_the_same_id() {
    let (table, broker, origin) = (Table::new(), NatsServer::start(), Origin::start());
    let setup = setup(&table.url(), &broker, origin.address(), COLUMNS);
    let proxy = Proxy::with(&setup);
    until_state(&proxy, "relaying");
    proxy.admin("POST", "/relays/orders/pause", "");
    until_state(&proxy, "paused");
    table.insert(1, 2);
    let lock = table.lock();
    proxy.admin("POST", "/relays/orders/resume", "");
    eventually(LIMIT, "both are published", || origin.complete() == 2);
    drop(proxy);
    drop(lock);
    assert_eq!(table.count("true"), 2, "both are there still");
    let next = Proxy::with(&setup);
    eventually(LIMIT, "both are gone", || table.count("true") == 0);
    eventually(LIMIT, "both are counted", || state(&next)["published"] == 2);
    assert_eq!(state(&next)["duplicates"], 2, "NATS knows the ids");
}

#[test]
fn what_cannot_be_settled_for_long_is_published_once() {
    let (table, broker, origin) = (Table::new(), NatsServer::start(), Origin::start());
    let toml = setup(&table.url(), &broker, origin.address(), COLUMNS).toml();
    let toml = toml.replace(
        "statement_timeout = \"60s\"",
        "statement_timeout = \"300ms\"",
    );
    let proxy = Launch::new(toml).start();
    until_state(&proxy, "relaying");
    proxy.admin("POST", "/relays/orders/pause", "");
    until_state(&proxy, "paused");
    table.insert(1, 2);
    let lock = table.lock();
    proxy.admin("POST", "/relays/orders/resume", "");
    eventually(LIMIT, "it is told", || {
        let now = state(&proxy);
        now["state"] == "detached"
            && now["last_error"]["detail"] == "somebody else has locked `outbox`"
    });
    drop(lock);
    eventually(LIMIT, "both are gone", || table.count("true") == 0);
    until_state(&proxy, "relaying");
    let now = state(&proxy);
    assert_eq!(
        (&now["published"], &now["duplicates"]),
        (&json!(2), &json!(0))
    );
    eventually(LIMIT, "both are delivered", || origin.complete() == 2);
}

#[test]
fn what_is_under_way_is_settled_before_the_process_ends() {
    let (table, broker, origin) = (Table::new(), NatsServer::start(), Origin::start());
    let setup = setup(&table.url(), &broker, origin.address(), COLUMNS);
    let mut proxy = Proxy::with(&setup);
    until_state(&proxy, "relaying");
    proxy.admin("POST", "/relays/orders/pause", "");
    until_state(&proxy, "paused");
    table.insert(1, 1);
    let lock = table.lock();
    proxy.admin("POST", "/relays/orders/resume", "");
    eventually(LIMIT, "it is published", || origin.complete() == 1);
    proxy.terminate();
    eventually(LIMIT, "it drains", || !proxy.is_ready());
    drop(lock);
    proxy.wait_exit(LIMIT);
    assert_eq!(table.count("true"), 0, "it was deleted");
}

#[test]
fn a_reload_in_the_middle_doubles_nothing() {
    let (table, broker, origin) = (Table::new(), NatsServer::start(), Origin::start());
    let of = |batch: u32, database: &str| {
        let relay = format!("batch = {batch}\n{COLUMNS}");
        let toml = setup(&table.url(), &broker, origin.address(), &relay).toml();
        toml.replace("statement_timeout = \"60s\"", database)
    };
    let mut proxy = Launch::new(of(3, "")).start();
    until_state(&proxy, "relaying");
    table.insert(1, 400);
    for (batch, database) in [
        (4, ""),
        (4, "statement_timeout = \"30s\""),
        (5, "pool = { max_connections = 3 }"),
    ] {
        let before = origin.complete();
        eventually(LIMIT, "it goes on", || {
            origin.complete() > before || before == 400
        });
        proxy.reload_with(of(batch, database));
    }
    eventually(LIMIT, "all are gone", || table.count("true") == 0);
    eventually(LIMIT, "all are delivered", || origin.complete() >= 400);
    in_order(&origin, 80);
    let labels = [("relay", "orders"), ("result", "confirmed")];
    let counted = || proxy.metrics().sum("outrigger_relayed_total", &labels);
    eventually(LIMIT, "all are counted", || counted() >= 400.0);
    assert_eq!(counted(), 400.0, "none twice");
}

#[test]
fn a_broker_that_is_started_anew_gets_every_row() {
    let (table, mut broker, origin) = (Table::new(), NatsServer::start(), Origin::start());
    let proxy = Proxy::with(&setup(&table.url(), &broker, origin.address(), COLUMNS));
    until_state(&proxy, "relaying");
    broker.kill();
    table.insert(1, 200);
    until_state(&proxy, "waiting");
    assert_eq!(table.count("attempts = 0"), 200);
    broker.again();
    eventually(LIMIT, "all are gone", || table.count("true") == 0);
    eventually(LIMIT, "all are delivered", || origin.complete() >= 200);
}
