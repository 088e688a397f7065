//! Rows that are published, and of which the table does not take that.

use super::{COLUMNS, LIMIT, Table, by_key, setup, state, until_state};
use crate::support::{NatsServer, Origin, Proxy, eventually};

/// Waits until the table has no other rows than these.
fn until_left(table: &Table, ids: &str) {
    eventually(LIMIT, "no others are left", || {
        table.sql("select string_agg(id::text, ',' order by id) from outbox") == ids
    });
}

#[test]
fn what_does_not_go_is_published_once_and_holds_up_nothing() {
    let (table, broker, origin) = (Table::new(), NatsServer::start(), Origin::start());
    // One is told at once, and one when the transaction ends.
    table.sql(
        "create table audit (row bigint references outbox); \
         create table late (row bigint references outbox deferrable initially deferred)",
    );
    table.insert("select 'k' || i % 3, 'made', to_jsonb(i) from generate_series(1, 40) i");
    table.sql("insert into audit values (7), (8); insert into late values (30)");
    let proxy = Proxy::with(&setup(&table.url(), &broker, origin.address(), COLUMNS));
    until_left(&table, "7,8,30");
    table.insert("select 'k' || i % 3, 'made', to_jsonb(i) from generate_series(41, 60) i");
    until_left(&table, "7,8,30");
    eventually(LIMIT, "all are delivered", || origin.complete() == 60);
    for (key, bodies) in by_key(&origin) {
        let numbers: Vec<u32> = bodies.iter().map(|body| body.parse().unwrap()).collect();
        assert!(
            numbers.is_sorted() && numbers.len() == 20,
            "{key}: {numbers:?}"
        );
    }
    eventually(LIMIT, "they are shown", || state(&proxy)["held"] == 3);
    let now = state(&proxy);
    for held in now["held_rows"].as_array().unwrap() {
        assert_eq!(held["reason"], "row_not_settled");
        let detail = held["detail"].as_str().unwrap();
        assert!(
            detail.contains("audit_row_fkey") || detail.contains("late_row_fkey"),
            "{now}"
        );
    }
    table.sql("delete from audit; delete from late");
    until_left(&table, "");
    eventually(LIMIT, "nothing is held", || state(&proxy)["held"] == 0);
    let now = state(&proxy);
    assert_eq!(
        (&now["published"], &now["duplicates"]),
        (&60.into(), &0.into())
    );
}

#[test]
fn what_cannot_be_noted_of_one_row_holds_up_no_other() {
    let (table, broker, origin) = (Table::new(), NatsServer::start(), Origin::start());
    table.sql("alter table outbox alter error type varchar(5)");
    table.insert("values ('a', 'no subject', to_jsonb(1)), ('a', 'made', to_jsonb(2)), ('b', 'made', to_jsonb(3))");
    let proxy = Proxy::with(&setup(&table.url(), &broker, origin.address(), COLUMNS));
    until_left(&table, "1,2");
    eventually(LIMIT, "it is shown", || {
        let now = state(&proxy);
        now["held_rows"][0]["id"] == "1" && now["held_rows"][0]["reason"] == "message_unfit"
    });
    until_state(&proxy, "relaying");
    table.sql("alter table outbox alter error type text");
    until_left(&table, "1");
    eventually(LIMIT, "the others are delivered", || origin.complete() == 2);
    assert!(
        table
            .sql("select error from outbox")
            .contains("has a blank")
    );
}
