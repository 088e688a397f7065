//! What happens when something ends in the middle.

use serde_json::json;

use super::{COLUMNS, LIMIT, Table, in_order, relays_alone, setup, state, until_state};
use crate::support::{Launch, MariaDbServer, NatsServer, Origin, Proxy, eventually};

#[test]
fn a_process_that_is_killed_in_the_middle_loses_nothing() {
    let (table, broker, origin) = (Table::new(), NatsServer::start(), Origin::start());
    table.sql("alter table outbox add published_at timestamp(6) null");
    let columns = COLUMNS.replace("error =", "published_at = \"published_at\", error =");
    let relay = format!("after = \"mark\"\nbatch = 5\n{columns}");
    let setup = setup(&table.url(), &broker, origin.address(), &relay);
    // What holds messages when it ends has them come again out of order, so nothing is delivered before.
    let relays = relays_alone(&setup.toml());
    table.insert(1, 500);
    for _ in 0..3 {
        let proxy = Launch::new(relays.clone()).start();
        eventually(LIMIT, "some are published", || {
            state(&proxy)["published"].as_u64() >= Some(10)
        });
    }
    let _proxy = Proxy::with(&setup);
    eventually(LIMIT, "all are marked", || {
        table.count("published_at between now(6) - interval 1 minute and now(6)") == 500
    });
    eventually(LIMIT, "all are delivered", || origin.complete() >= 500);
    in_order(&origin, 100);
}

#[test]
fn a_process_that_is_killed_before_it_deletes_publishes_again_under_the_same_id() {
    let (table, broker, origin) = (Table::new(), NatsServer::start(), Origin::start());
    let setup = setup(&table.url(), &broker, origin.address(), COLUMNS);
    let proxy = Proxy::with(&setup);
    until_state(&proxy, "relaying");
    let gate = table.close_gate();
    table.insert(1, 2);
    table.until_deleting();
    drop(proxy);
    gate.end("do release_all_locks();");
    eventually(LIMIT, "both are free", || table.free("true") == 2);
    let next = Proxy::with(&setup);
    eventually(LIMIT, "both are gone", || table.count("true") == 0);
    eventually(LIMIT, "both are counted", || state(&next)["published"] == 2);
    assert_eq!(state(&next)["duplicates"], 2, "NATS knows the ids");
    eventually(LIMIT, "both are delivered", || origin.complete() == 2);
}

#[test]
fn a_connection_that_is_cut_before_it_deletes_loses_nothing_and_doubles_nothing() {
    let (table, broker, origin) = (Table::new(), NatsServer::start(), Origin::start());
    let proxy = Proxy::with(&setup(&table.url(), &broker, origin.address(), COLUMNS));
    until_state(&proxy, "relaying");
    let gate = table.close_gate();
    table.insert(1, 1);
    table.until_deleting();
    let id = table.sql(&format!(
        "select id from information_schema.processlist where db = '{}' and state = 'User lock'",
        table.name
    ));
    table.sql(&format!("kill {id}"));
    eventually(LIMIT, "it is told", || {
        state(&proxy)["last_error"]["reason"] == "database_failed"
    });
    eventually(LIMIT, "it is logged", || {
        let told = "may be published again by another process, under the same ids";
        proxy.log().contains(told)
    });
    gate.end("do release_all_locks();");
    eventually(LIMIT, "it is gone", || table.count("true") == 0);
    until_state(&proxy, "relaying");
    let now = state(&proxy);
    assert_eq!(
        (&now["published"], &now["duplicates"]),
        (&json!(1), &json!(0))
    );
}

#[test]
fn what_is_under_way_is_settled_before_the_process_ends() {
    let (table, broker, origin) = (Table::new(), NatsServer::start(), Origin::start());
    let setup = setup(&table.url(), &broker, origin.address(), COLUMNS);
    let mut proxy = Proxy::with(&setup);
    until_state(&proxy, "relaying");
    let gate = table.close_gate();
    table.insert(1, 1);
    table.until_deleting();
    proxy.terminate();
    eventually(LIMIT, "it drains", || !proxy.is_ready());
    gate.end("do release_all_locks();");
    proxy.wait_exit(LIMIT);
    assert_eq!(table.count("true"), 0, "it was deleted");
}

#[test]
fn a_reload_in_the_middle_doubles_nothing() {
    let (table, broker, origin) = (Table::new(), NatsServer::start(), Origin::start());
    let of = |batch: u32| {
        let relay = format!("batch = {batch}\n{COLUMNS}");
        setup(&table.url(), &broker, origin.address(), &relay)
    };
    let mut proxy = Proxy::with(&of(3));
    until_state(&proxy, "relaying");
    table.insert(1, 400);
    for batch in 4..8 {
        let before = origin.complete();
        eventually(LIMIT, "it goes on", || {
            origin.complete() > before || before == 400
        });
        proxy.reload_with(of(batch).toml());
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
    assert_eq!(table.free("attempts = 0"), 200, "they are there, and free");
    broker.again();
    eventually(LIMIT, "all are gone", || table.count("true") == 0);
    eventually(LIMIT, "all are delivered", || origin.complete() >= 200);
}

#[test]
fn a_database_that_ends_at_any_time_loses_nothing() {
    let (_alone, server) = MariaDbServer::fragile();
    server.again();
    let (table, broker, origin) = (Table::on(server), NatsServer::start(), Origin::start());
    let relay = format!("batch = 5\n{COLUMNS}");
    let proxy = Proxy::with(&setup(&table.url(), &broker, origin.address(), &relay));
    until_state(&proxy, "relaying");
    for round in 0..3 {
        table.insert(round * 200 + 1, round * 200 + 200);
        eventually(LIMIT, "it has begun", || {
            origin.complete() > round as usize * 200
        });
        table.server.kill();
        table.server.again();
    }
    eventually(LIMIT, "all are gone", || table.count("true") == 0);
    eventually(LIMIT, "all are delivered", || origin.complete() >= 600);
    in_order(&origin, 120);
    assert_eq!(
        state(&proxy)["duplicates"],
        0,
        "it remembers what is published"
    );
}
