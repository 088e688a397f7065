//! What a relay locks, and what that keeps nobody from.

use super::{COLUMNS, LIMIT, Table, setup, state, until_state};
use crate::support::{Launch, MariaDbServer, NatsServer, Origin, Proxy, eventually};

#[test]
fn the_application_writes_while_rows_are_held() {
    let (table, broker, origin) = (Table::new(), NatsServer::start(), Origin::start());
    table.sql(
        "alter table outbox add index (aggregate_id), add index (kind, created_at); \
         insert into outbox (id, aggregate_id, kind, payload) values (5, 'k', 'made', 1)",
    );
    let toml = setup(&table.url(), &broker, origin.address(), COLUMNS).toml();
    let toml = toml.replace("subject =", "confirm_timeout = \"60s\", subject =");
    let proxy = Launch::new(toml).start();
    until_state(&proxy, "relaying");
    eventually(LIMIT, "they are gone", || table.count("true") == 0);
    // What the broker does not confirm is held.
    broker.freeze(true);
    table.sql(
        "insert into outbox (id, aggregate_id, kind, payload) select seq * 10, concat('k', seq % 5), 'made', seq from seq_1_to_40",
    );
    eventually(LIMIT, "they are held", || table.free("true") == 0);
    // Before, between and behind them; each waits for no lock.
    table.sql(
        "set innodb_lock_wait_timeout = 0; \
         insert into outbox (id, aggregate_id, kind, payload) values (1, 'k1', 'made', 1), (105, 'k2', 'made', 1), (205, 'k', 'made', 1); \
         insert into outbox (aggregate_id, kind, payload) select concat('k', seq % 9), 'made', seq from seq_1_to_40; \
         update outbox set aggregate_id = 'k3' where id = 105; delete from outbox where id = 205",
    );
    assert_eq!(table.free("true"), 42, "what is new is free");
    broker.freeze(false);
    eventually(LIMIT, "all are gone", || table.count("true") == 0);
    eventually(LIMIT, "all are counted", || {
        state(&proxy)["published"] == 83
    });
}

#[test]
fn what_the_application_has_open_holds_up_no_row() {
    let (table, broker, origin) = (Table::new(), NatsServer::start(), Origin::start());
    let proxy = Proxy::with(&setup(&table.url(), &broker, origin.address(), COLUMNS));
    until_state(&proxy, "relaying");
    table.insert(1, 3);
    eventually(LIMIT, "they are gone", || table.count("true") == 0);
    // A row that is not committed, in a table that is so small that it is read as a whole.
    let open = table.open(
        "set innodb_lock_wait_timeout = 0; begin; \
         insert into outbox (id, aggregate_id, kind, payload) values (9, 'k1', 'made', 9), (1000, 'k1', 'made', 1000);",
    );
    eventually(LIMIT, "they are open", || {
        table.sql(
            "set session transaction isolation level read uncommitted; select count(*) from outbox",
        ) == "2"
    });
    table.sql("insert into outbox (id, aggregate_id, kind, payload) select seq, 'k', 'made', seq from seq_10_to_400");
    eventually(LIMIT, "the others are gone", || table.count("true") == 0);
    assert_eq!(state(&proxy)["state"], "relaying");
    assert!(
        state(&proxy).get("last_error").is_none(),
        "{}",
        state(&proxy)
    );
    open.end("commit;");
    eventually(LIMIT, "what came late is published", || {
        state(&proxy)["published"] == 3 + 391 + 2
    });
}

#[test]
fn a_row_that_the_application_has_locked_holds_back_its_key_and_no_other() {
    one_is_locked(&Table::new());
}

/// MariaDB (10.11.19) then answers `skip locked` at a locked row with an error that speaks of a commit.
#[test]
fn a_server_on_which_nobody_waits_for_a_lock_relays_alike() {
    let (_alone, server) = MariaDbServer::fragile();
    let table = Table::on(server);
    let waits = table.sql("select @@global.innodb_lock_wait_timeout");
    table.sql("set global innodb_lock_wait_timeout = 0");
    one_is_locked(&table);
    table.sql(&format!("set global innodb_lock_wait_timeout = {waits}"));
}

fn one_is_locked(table: &Table) {
    let (broker, origin) = (NatsServer::start(), Origin::start());
    let proxy = Proxy::with(&setup(&table.url(), &broker, origin.address(), COLUMNS));
    until_state(&proxy, "relaying");
    proxy.admin("POST", "/relays/orders/pause", "");
    until_state(&proxy, "paused");
    table.sql(
        "insert into outbox (aggregate_id, kind, payload) values ('a', 'made', 1), ('a', 'made', 2), ('b', 'made', 3)",
    );
    let open = table.open("begin; select id from outbox where id = 1 for update;");
    eventually(LIMIT, "it is locked", || table.free("true") == 2);
    proxy.admin("POST", "/relays/orders/resume", "");
    eventually(LIMIT, "the other one is gone", || table.count("true") == 2);
    assert_eq!(table.count("aggregate_id = 'a'"), 2);
    open.end("commit;");
    eventually(LIMIT, "all are gone", || table.count("true") == 0);
    eventually(LIMIT, "all are delivered", || origin.complete() == 3);
    let bodies: Vec<String> = origin.requests().iter().map(|one| one.text()).collect();
    assert_eq!(bodies, ["3", "1", "2"]);
}
