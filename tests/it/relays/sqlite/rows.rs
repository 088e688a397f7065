//! What becomes of rows.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use rusqlite::Connection;
use serde_json::json;

use super::{COLUMNS, LIMIT, Table, in_order, relays_alone, setup, state, until_state};
use crate::support::{Launch, NatsServer, Origin, Proxy, SOON, check_live, eventually, stays};

#[test]
fn a_row_becomes_a_message_and_is_gone_as_soon_as_the_file_changes() {
    let (table, broker, origin) = (Table::new(), NatsServer::start(), Origin::start());
    let toml = setup(&table.url(), &broker, origin.address(), COLUMNS).toml();
    let proxy = Launch::new(toml.replace("poll = \"100ms\"", "poll = \"1h\"")).start();
    eventually(LIMIT, "it listens", || state(&proxy)["listens"] == true);
    until_state(&proxy, "relaying");
    table.sql(
        "insert into outbox (aggregate_id, kind, payload, headers, content_type) values \
         ('a', 'made', '{\"total\":1}', '{\"X-Tenant\":\"acme\"}', 'application/vnd.order+json'), \
         ('a', 'made', jsonb('{\"total\":2}'), null, null)",
    );
    eventually(LIMIT, "both are delivered", || origin.complete() == 2);
    let requests = origin.requests();
    for (place, name, value) in [
        (0, "outrigger-message-id", Some("orders:1")),
        (0, "content-type", Some("application/vnd.order+json")),
        (0, "x-tenant", Some("acme")),
        (1, "outrigger-message-id", Some("orders:2")),
        (1, "content-type", Some("application/json")),
        (1, "x-tenant", None),
    ] {
        assert_eq!(requests[place].header(name), value, "{place} {name}");
    }
    assert_eq!(requests[1].text(), "{\"total\":2}");
    eventually(LIMIT, "the rows are gone", || table.count("true") == 0);
    for round in 3..6 {
        table.insert(1, 1);
        eventually(LIMIT, "it is delivered", || origin.complete() == round);
    }
    assert_eq!(state(&proxy)["published"], json!(5));
}

#[test]
fn the_application_writes_while_rows_are_held() {
    for journal in ["wal", "delete"] {
        let (table, broker, origin) = (Table::with(journal), NatsServer::start(), Origin::start());
        let setup = setup(&table.url(), &broker, origin.address(), COLUMNS);
        let one = Proxy::with(&setup);
        let other = Launch::new(relays_alone(&setup.toml())).start();
        until_state(&one, "relaying");
        until_state(&other, "relaying");
        broker.freeze(true);
        table.insert(1, 10);
        eventually(LIMIT, "one of them has the rows", || {
            let standby = |proxy: &Proxy| state(proxy)["state"] == "standby";
            standby(&one) || standby(&other)
        });
        // No lock is waited for, but for that of somebody who reads where there is a rollback journal.
        let connection = Connection::open(table.path()).unwrap();
        let longest = if journal == "wal" {
            Duration::ZERO
        } else {
            SOON
        };
        connection.busy_timeout(longest).unwrap();
        for number in 11..=30 {
            let insert = "insert into outbox (aggregate_id, kind, payload) values ('k' || (?1 % 5), 'made', ?1)";
            connection.execute(insert, [number]).unwrap();
        }
        assert_eq!(table.count("true"), 30);
        broker.freeze(false);
        eventually(LIMIT, "all are gone", || table.count("true") == 0);
        eventually(LIMIT, "all are delivered", || origin.complete() == 30);
        in_order(&origin, 6);
    }
}

#[test]
fn two_processes_take_turns() {
    let (table, broker, origin) = (Table::new(), NatsServer::start(), Origin::start());
    // The other one comes by a link, and calls the table otherwise.
    let link = table.0.path().join("link.db");
    std::os::unix::fs::symlink("shop.db", &link).unwrap();
    let relay = format!("batch = 10\n{COLUMNS}");
    let setup = setup(&table.url(), &broker, origin.address(), &relay);
    let one = Proxy::with(&setup);
    let toml = relays_alone(&setup.toml()).replace("shop.db", "link.db");
    let other = Launch::new(toml.replace("\"outbox\"", "\"main.Outbox\"")).start();
    for round in 0..10 {
        table.insert(round * 40 + 1, round * 40 + 40);
    }
    eventually(LIMIT, "all are gone", || table.count("true") == 0);
    eventually(LIMIT, "all are delivered", || origin.complete() >= 400);
    in_order(&origin, 80);
    let published = |proxy: &Proxy| state(proxy)["published"].as_u64().unwrap();
    let both = || published(&one) + published(&other);
    eventually(LIMIT, "all are counted", || both() >= 400);
    assert_eq!(both(), 400, "none twice");
    drop(one);
    table.insert(1, 1);
    eventually(LIMIT, "the one that is left goes on", || {
        table.count("true") == 0
    });
    assert_eq!(state(&other)["state"], "relaying");
}

#[test]
fn each_row_has_its_own_reason_and_holds_up_no_other() {
    let (table, broker, origin) = (Table::new(), NatsServer::start(), Origin::start());
    // One is told at once, one by a trigger, and one when the transaction ends.
    table.sql(
        "create table audit (row int references outbox); \
         create table late (row int references outbox deferrable initially deferred); \
         create trigger kept before delete on outbox when old.id = 4 begin select raise(abort, 'kept'); end",
    );
    table.insert(1, 40);
    table.sql(
        "insert into audit values (2); insert into late values (30); \
         insert into outbox (aggregate_id, kind, payload) values ('k', 'no subject', 1), ('k', 'made', 2), (null, 'made', 3)",
    );
    let proxy = Proxy::with(&setup(&table.url(), &broker, origin.address(), COLUMNS));
    let left = || table.text("select group_concat(id) from (select id from outbox order by id)");
    eventually(LIMIT, "no others are left", || {
        left().as_deref() == Some("2,4,30,41")
    });
    eventually(LIMIT, "they are delivered", || origin.complete() == 42);
    eventually(LIMIT, "they are shown", || state(&proxy)["held"] == 3);
    let now = state(&proxy);
    for held in now["held_rows"].as_array().unwrap() {
        assert_eq!(held["reason"], "row_not_settled", "{now}");
    }
    let error = table.text("select error from outbox where id = 41");
    assert!(
        error.as_deref().unwrap().contains("has a blank"),
        "{error:?}"
    );
    table.sql(
        "drop trigger kept; delete from audit; delete from late; \
         update outbox set error = null, kind = 'made' where id = 41",
    );
    eventually(LIMIT, "all are gone", || table.count("true") == 0);
    eventually(LIMIT, "it is delivered", || origin.complete() == 43);
    assert_eq!(state(&proxy)["duplicates"], 0);
}

#[test]
fn ids_of_many_types_do_as_well() {
    let (broker, origin) = (NatsServer::start(), Origin::start());
    for (place, (id, value, marked)) in [
        ("text", "'x' || i", "text"),
        ("blob", "randomblob(16)", "integer"),
        ("", "i", "real"),
        ("uuid", "hex(randomblob(16))", "int"),
    ]
    .into_iter()
    .enumerate()
    {
        let table = Table::new();
        table.sql(&format!(
            "create table \"Events\" (\"key\" {id} primary key, seq integer, kind text, body blob, published_at {marked}); \
             with recursive n(i) as (select 1 union all select i + 1 from n where i < 20) \
             insert into \"Events\" (\"key\", seq, kind, body) select {value}, i, 'made', unhex(format('00ff%02x', i)) from n"
        ));
        let columns = "after = \"mark\"\n\
             columns = { id = \"key\", payload = \"body\", sequence = \"seq\", published_at = \"published_at\" }";
        let toml = setup(&table.url(), &broker, origin.address(), columns).toml();
        let toml = toml
            .replace("\"outbox\"", "\"Events\"")
            .replace("x-key = \"${row.aggregate_id}\"", "x-key = \"x\"")
            .replace("[relays.orders]", &format!("[relays.orders{place}]"));
        let _proxy = Launch::new(toml).start();
        eventually(LIMIT, &format!("all are delivered: {id}"), || {
            origin.complete() == 20 * (place + 1)
        });
        eventually(LIMIT, "all are marked", || {
            let marked = "abs(julianday('now') - julianday(published_at, 'auto')) < 0.001";
            let count = format!("select count(*) || '' from \"Events\" where {marked}");
            table.text(&count).as_deref() == Some("20")
        });
    }
    for (place, request) in origin.requests().iter().enumerate() {
        let number = u8::try_from(place % 20 + 1).unwrap();
        assert_eq!(&*request.body, [0, 255, number], "in order");
    }
}

#[test]
fn a_table_that_is_not_as_it_should_be_is_told_and_nothing_is_published() {
    let (table, broker, origin) = (Table::new(), NatsServer::start(), Origin::start());
    table.sql("alter table outbox rename to away");
    let setup = setup(&table.url(), &broker, origin.address(), COLUMNS);
    let proxy = Proxy::with(&setup);
    until_state(&proxy, "detached");
    let tells = |what: &str| {
        eventually(LIMIT, what, || {
            let why = &state(&proxy)["why"];
            why.as_str().is_some_and(|why| why.contains(what))
        });
        let (code, said) = check_live(&setup.toml());
        let line: String = said.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(code == Some(2) && line.contains(what), "{said}");
    };
    tells("there is no table `outbox` in the database");
    table.sql("alter table away rename to outbox; alter table outbox rename headers to meta");
    tells("has no column `headers`; it has `aggregate_id`");
    table.insert(1, 5);
    assert!(origin.requests().is_empty());
    table.sql("alter table outbox rename meta to headers");
    eventually(LIMIT, "all are gone", || table.count("true") == 0);
    let (code, said) = check_live(&setup.toml());
    assert_eq!(code, Some(0), "{said}");
    let read_only = setup.toml().replace("shop.db", "shop.db?mode=ro");
    let (code, said) = check_live(&read_only);
    let line: String = said.split_whitespace().collect::<Vec<_>>().join(" ");
    let told = "the database takes no changes: its file, its folder or its URL is read only";
    assert!(code == Some(2) && line.contains(told), "{said}");
}

#[test]
fn nothing_is_published_without_the_lock_beside_the_file() {
    let (table, broker, origin) = (Table::new(), NatsServer::start(), Origin::start());
    // What cannot be opened, whoever one is.
    let lock = table.0.path().join("shop.db-relay-outbox");
    std::os::unix::fs::symlink("nowhere/at/all", &lock).unwrap();
    table.insert(1, 5);
    let proxy = Proxy::with(&setup(&table.url(), &broker, origin.address(), COLUMNS));
    until_state(&proxy, "detached");
    let why = state(&proxy)["why"].to_string();
    let told = "the lock beside the file of the database cannot be taken";
    assert!(why.contains(told), "{why}");
    stays(Duration::from_millis(200), "nothing is published", || {
        origin.requests().is_empty() && table.count("true") == 5
    });
    std::fs::remove_file(&lock).unwrap();
    eventually(LIMIT, "all are gone", || table.count("true") == 0);
    let mode = |path| std::fs::metadata(path).unwrap().permissions().mode();
    assert_eq!(
        mode(lock),
        mode(table.path()),
        "whoever may open one may open both"
    );
}

#[test]
fn a_row_may_be_large() {
    let broker = NatsServer::with("max_payload: 8MB");
    let (table, origin) = (Table::new(), Origin::start());
    table.sql(
        "insert into outbox (aggregate_id, kind, payload) values ('a', 'made', zeroblob(3000000)), ('a', 'made', 'y'), \
         ('a', 'made', zeroblob(4000001)), ('a', 'made', 'z')",
    );
    let toml = setup(&table.url(), &broker, origin.address(), COLUMNS).toml();
    let toml = toml.replace("subject =", "max_body = \"4000000B\", subject =");
    let _proxy = Launch::new(toml).start();
    eventually(LIMIT, "the others are delivered", || origin.complete() == 3);
    let lengths: Vec<u64> = origin.requests().iter().map(|one| one.length).collect();
    assert_eq!(lengths, [3_000_000, 1, 1]);
    eventually(LIMIT, "one is set aside", || {
        let error = table.text("select error from outbox");
        error.is_some_and(|error| error.contains("the payload has 4000001 bytes"))
    });
}
