//! What becomes of rows.

use serde_json::json;

use super::{COLUMNS, LIMIT, Table, in_order, relays_alone, setup, state};
use crate::support::{Launch, NatsServer, Origin, Proxy, eventually};

#[test]
fn a_row_becomes_a_message_and_is_gone() {
    let (table, broker, origin) = (Table::new(), NatsServer::start(), Origin::start());
    table.sql(
        "set names utf8mb4; alter table outbox modify payload json; \
         insert into outbox (aggregate_id, kind, payload, headers, content_type) values \
         ('a', 'made', '{\"total\": 1}', '{\"X-Tenant\": \"acme\"}', 'application/vnd.order+json'), \
         ('a', 'made', '{\"total\": \"\u{e9}\u{1f980}\"}', null, null)",
    );
    let proxy = Proxy::with(&setup(&table.url(), &broker, origin.address(), COLUMNS));
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
    assert_eq!(requests[1].text(), "{\"total\": \"\u{e9}\u{1f980}\"}");
    eventually(LIMIT, "the rows are gone", || table.count("true") == 0);
    let now = state(&proxy);
    let expected = (&json!("relaying"), &json!(2), &json!(false));
    assert_eq!(
        (&now["state"], &now["published"], &now["listens"]),
        expected
    );
}

#[test]
fn two_processes_publish_side_by_side_in_order() {
    let (table, broker, origin) = (Table::new(), NatsServer::start(), Origin::start());
    let relay = format!("batch = 10\n{COLUMNS}");
    let setup = setup(&table.url(), &broker, origin.address(), &relay);
    let one = Proxy::with(&setup);
    // Who delivers in order is one as well.
    let other = Launch::new(relays_alone(&setup.toml())).start();
    for round in 0..4 {
        table.insert(round * 100 + 1, round * 100 + 100);
    }
    eventually(LIMIT, "all are gone", || table.count("true") == 0);
    eventually(LIMIT, "all are delivered", || origin.complete() >= 400);
    in_order(&origin, 80);
    let published = |proxy: &Proxy| state(proxy)["published"].as_u64().unwrap();
    let both = || published(&one) + published(&other);
    eventually(LIMIT, "all are counted", || both() >= 400);
    assert_eq!(both(), 400, "none twice");
}

#[test]
fn each_row_has_its_own_reason_and_holds_up_no_other() {
    let (table, broker, origin) = (Table::new(), NatsServer::start(), Origin::start());
    table.sql(
        "create table audit (row_id bigint, constraint audit_row foreign key (row_id) references outbox (id)); \
         insert into outbox (aggregate_id, kind, payload) values ('k', 'no subject', 1), ('k', 'made', 2), ('k', 'made', 3), \
         (null, 'made', 4); insert into audit values (2)",
    );
    let proxy = Proxy::with(&setup(&table.url(), &broker, origin.address(), COLUMNS));
    eventually(LIMIT, "it is set aside", || {
        table.count("error like '%has a blank%'") == 1
    });
    eventually(LIMIT, "the others are gone", || table.count("true") == 2);
    eventually(LIMIT, "they are delivered", || origin.complete() == 3);
    eventually(LIMIT, "it is shown", || {
        let held = &state(&proxy)["held_rows"][0];
        held["reason"] == "row_not_settled" && held["detail"].to_string().contains("audit_row")
    });
    table.sql("drop table audit; update outbox set error = null, kind = 'made' where id = 1");
    eventually(LIMIT, "all are gone", || table.count("true") == 0);
    eventually(LIMIT, "it is delivered", || origin.complete() == 4);
    assert_eq!(state(&proxy)["duplicates"], 0);
}

#[test]
fn rows_that_fail_wait_and_others_go_on() {
    let (table, broker, origin) = (Table::new(), NatsServer::start(), Origin::start());
    // What no stream has, again and again: of keys that are text of all kinds.
    table.sql(
        "insert into outbox (aggregate_id, kind, payload) values ('it''s \"k\" \\\\ \u{e9}', 'made', 1), \
         ('it''s \"k\" \\\\ \u{e9}', 'made', 2), ('K', 'made', 3), ('k', 'made', 4)",
    );
    let toml = setup(&table.url(), &broker, origin.address(), COLUMNS).toml();
    let toml = toml.replace(
        "subject = \"orders.${row.kind}\"",
        "subject = \"${row.kind}.x\"",
    );
    let proxy = Launch::new(toml.replace("poll =", "attempts = 2\npoll =")).start();
    eventually(LIMIT, "the first ones are set aside", || {
        table.sql("select group_concat(id order by id) from outbox where error is not null and attempts = 2") == "1,2,3,4"
    });
    assert_eq!(state(&proxy)["published"], 0);
    table.sql("insert into outbox (aggregate_id, kind, payload) values ('k', 'orders', 5)");
    eventually(LIMIT, "another goes on", || origin.complete() == 1);
}

#[test]
fn ids_of_many_types_do_as_well() {
    let (broker, origin) = (NatsServer::start(), Origin::start());
    for (place, (id, value)) in [
        ("bigint unsigned", "18446744073709551000 + seq"),
        ("uuid", "uuid()"),
        ("binary(16)", "unhex(md5(seq))"),
        (
            "char(9) character set latin1",
            "convert(concat('\u{e9}', seq) using latin1)",
        ),
        ("varchar(99) collate utf8mb4_unicode_ci", "concat('x', seq)"),
        ("decimal(30,0)", "123456789012345678901000 + seq"),
    ]
    .into_iter()
    .enumerate()
    {
        let table = Table::new();
        table.sql(&format!(
            "create table `Events` (`key` {id} primary key, seq bigint auto_increment unique, kind text, body varbinary(99), \
             published_at timestamp(6) null); \
             insert into `Events` (`key`, kind, body) select {value}, 'made', unhex(concat('00ff', lpad(hex(seq), 2, '0'))) \
             from seq_1_to_20"
        ));
        let columns = "after = \"mark\"\n\
             columns = { id = \"key\", payload = \"body\", sequence = \"seq\", published_at = \"published_at\" }";
        let toml = setup(&table.url(), &broker, origin.address(), columns).toml();
        let toml = toml
            .replace("\"outbox\"", &format!("\"{}.Events\"", table.name))
            .replace("x-key = \"${row.aggregate_id}\"", "x-key = \"x\"")
            .replace("[relays.orders]", &format!("[relays.orders{place}]"));
        let _proxy = Launch::new(toml).start();
        eventually(LIMIT, &format!("all are delivered: {id}"), || {
            origin.complete() == 20 * (place + 1)
        });
        eventually(LIMIT, "all are marked", || {
            table.sql("select count(*) from `Events` where published_at between now(6) - interval 1 minute and now(6)") == "20"
        });
    }
    for (place, request) in origin.requests().iter().enumerate() {
        let number = u8::try_from(place % 20 + 1).unwrap();
        assert_eq!(&*request.body, [0, 255, number], "in order");
    }
}

#[test]
fn a_row_may_be_larger_than_a_packet() {
    let broker = NatsServer::with("max_payload: 8MB");
    let (table, origin) = (Table::new(), Origin::start());
    table.sql(
        "insert into outbox (aggregate_id, kind, payload) values ('a', 'made', repeat('x', 3000000)), ('a', 'made', 'y'), \
         ('a', 'made', repeat('x', 4000001)), ('a', 'made', 'z')",
    );
    let toml = setup(&table.url(), &broker, origin.address(), COLUMNS).toml();
    let toml = toml.replace("subject =", "max_body = \"4000000B\", subject =");
    let _proxy = Launch::new(toml).start();
    eventually(LIMIT, "the others are delivered", || origin.complete() == 3);
    let lengths: Vec<u64> = origin.requests().iter().map(|one| one.length).collect();
    assert_eq!(lengths, [3_000_000, 1, 1]);
    eventually(LIMIT, "one is set aside", || {
        table
            .sql("select error from outbox")
            .contains("the payload has 4000001 bytes")
    });
}
