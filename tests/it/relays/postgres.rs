//! Rows of PostgreSQL.

use std::time::Duration;

use serde_json::json;

use super::{COLUMNS, LIMIT, Table, by_key, relays_alone, setup, state, until_state};
use crate::support::{
    Launch, NatsServer, Origin, Pgbouncer, Proxy, SOON, check_live, eventually, stays,
};

#[test]
fn a_row_becomes_a_message_and_is_gone() {
    let (table, broker, origin) = (Table::new(), NatsServer::start(), Origin::start());
    table.sql(
        "insert into outbox (aggregate_id, kind, payload, headers, content_type) values \
         ('a', 'made', '{\"total\":1}', '{\"X-Tenant\":\"acme\"}', 'application/vnd.order+json'), \
         ('a', 'made', '{\"total\":2}', null, null)",
    );
    let proxy = Proxy::with(&setup(&table.url(), &broker, origin.address(), COLUMNS));
    eventually(LIMIT, "both are delivered", || origin.complete() == 2);
    let requests = origin.requests();
    for (place, name, value) in [
        (0, "outrigger-message-id", Some("orders:1")),
        (0, "content-type", Some("application/vnd.order+json")),
        (0, "x-tenant", Some("acme")),
        (0, "x-key", Some("a")),
        (1, "outrigger-message-id", Some("orders:2")),
        (1, "content-type", Some("application/json")),
        (1, "x-tenant", None),
    ] {
        assert_eq!(requests[place].header(name), value, "{place} {name}");
    }
    assert_eq!(
        requests[0].text(),
        "{\"total\": 1}",
        "as PostgreSQL writes jsonb"
    );
    eventually(SOON, "the rows are gone", || table.count("true") == 0);
    let now = state(&proxy);
    assert_eq!(
        (&now["state"], &now["published"]),
        (&json!("relaying"), &json!(2))
    );
    assert_eq!(
        (&now["table"], &now["broker"]),
        (&json!("outbox"), &json!("events"))
    );
    let labels = [("relay", "orders"), ("result", "confirmed")];
    let counted = proxy.metrics().sum("outrigger_relayed_total", &labels);
    assert_eq!(counted, 2.0);
}

#[test]
fn the_rows_of_a_key_come_in_their_order() {
    let (table, broker, origin) = (Table::new(), NatsServer::start(), Origin::start());
    table.insert("select 'k' || i % 7, 'made', to_jsonb(i) from generate_series(1, 500) i");
    let relay = format!("batch = 30\n{COLUMNS}");
    let _proxy = Proxy::with(&setup(&table.url(), &broker, origin.address(), &relay));
    eventually(LIMIT, "all are delivered", || origin.complete() == 500);
    for (key, bodies) in by_key(&origin) {
        let numbers: Vec<u32> = bodies.iter().map(|body| body.parse().unwrap()).collect();
        assert!(numbers.is_sorted(), "{key}: {numbers:?}");
    }
}

#[test]
fn a_table_of_which_the_database_knows_little_is_not_read_again_and_again() {
    let (table, broker, origin) = (Table::new(), NatsServer::start(), Origin::start());
    table.sql("alter table outbox set (autovacuum_enabled = off)");
    table.insert("select 'k' || i % 50, 'made', to_jsonb(i) from generate_series(1, 3000) i");
    let relay = format!("batch = 20\n{COLUMNS}");
    let setup = setup(&table.url(), &broker, origin.address(), &relay);
    let proxy = Launch::new(relays_alone(&setup.toml())).start();
    eventually(LIMIT, "all are published", || table.count("true") == 0);
    // Counts are told when a connection ends.
    drop(proxy);
    let scans = |kind: &str| -> u32 {
        let asked = format!("select {kind} from pg_stat_user_tables where relname = 'outbox'");
        table.sql(&asked).parse().unwrap()
    };
    eventually(LIMIT, "they are counted", || scans("idx_scan") >= 300);
    let whole = scans("seq_scan");
    assert!(
        whole < 100,
        "for 150 transactions it was read {whole} times"
    );
}

#[test]
fn a_row_that_is_committed_late_is_not_missed() {
    let (table, broker, origin) = (Table::new(), NatsServer::start(), Origin::start());
    let _proxy = Proxy::with(&setup(&table.url(), &broker, origin.address(), COLUMNS));
    let late = table.session("begin; insert into outbox (kind, payload) values ('made', '1');");
    eventually(SOON, "its number is taken", || {
        table.sql("select last_value from outbox_id_seq where is_called") == "1"
    });
    table.insert("values ('b', 'made', to_jsonb(2))");
    eventually(LIMIT, "the other is delivered", || origin.complete() == 1);
    assert_eq!(origin.requests()[0].text(), "2");
    late.end("commit;");
    eventually(LIMIT, "the late one is delivered", || {
        origin.complete() == 2
    });
}

#[test]
fn what_cannot_be_published_is_set_aside_and_may_be_mended() {
    let (table, broker, origin) = (Table::new(), NatsServer::start(), Origin::start());
    table.insert(
        "values ('a', 'no subject', to_jsonb(1)), ('b', 'made', to_jsonb(repeat('x', 1100000))), \
         ('c', 'made', to_jsonb(3))",
    );
    table.sql(
        "insert into outbox (aggregate_id, kind, payload, headers) values ('d', 'made', '4', '[]')",
    );
    let proxy = Proxy::with(&setup(&table.url(), &broker, origin.address(), COLUMNS));
    eventually(LIMIT, "three are set aside", || {
        table.count("error is not null") == 3
    });
    eventually(LIMIT, "the other is delivered", || origin.complete() == 1);
    let errors = table.sql("select error from outbox order by id");
    for part in [
        "has a blank",
        "the payload has 1100002 bytes",
        "`headers` is no JSON object",
    ] {
        assert!(errors.contains(part), "{errors}");
    }
    assert_eq!(state(&proxy)["set_aside"], 3);
    table.sql("update outbox set error = null, kind = 'made' where id = 1");
    eventually(LIMIT, "it is delivered", || origin.complete() == 2);
}

#[test]
fn two_processes_take_turns() {
    let (table, broker, origin) = (Table::new(), NatsServer::start(), Origin::start());
    let relay = format!("batch = 10\n{COLUMNS}");
    let setup = setup(&table.url(), &broker, origin.address(), &relay);
    let one = Proxy::with(&setup);
    // Who delivers in order is one as well.
    let other = Launch::new(relays_alone(&setup.toml())).start();
    for round in 0..4 {
        table.insert(&format!(
            "select 'k' || i % 5, 'made', to_jsonb({round} * 100 + i) from generate_series(1, 100) i"
        ));
    }
    eventually(LIMIT, "all are delivered", || origin.complete() >= 400);
    for (key, bodies) in by_key(&origin) {
        let numbers: Vec<u32> = bodies.iter().map(|body| body.parse().unwrap()).collect();
        assert!(
            numbers.is_sorted() && numbers.len() == 80,
            "{key}: {numbers:?}"
        );
    }
    eventually(LIMIT, "all are settled", || table.count("true") == 0);
    // What the table says so of is counted a moment later.
    let published = |proxy: &Proxy| state(proxy)["published"].as_u64().unwrap();
    let both = || published(&one) + published(&other);
    eventually(LIMIT, "all are counted", || both() >= 400);
    assert_eq!(both(), 400, "none twice");
    drop(other);
    table.insert("values ('k', 'made', to_jsonb(0))");
    eventually(LIMIT, "the one that is left goes on", || {
        origin.complete() == 401
    });
}

#[test]
fn a_notification_wakes_it() {
    let (table, broker, origin) = (Table::new(), NatsServer::start(), Origin::start());
    let toml = setup(&table.url(), &broker, origin.address(), COLUMNS).toml();
    let toml = toml.replace("poll = \"100ms\"", "poll = \"1h\"\nnotify = \"outbox\"");
    let proxy = Launch::new(toml).start();
    eventually(LIMIT, "it listens", || state(&proxy)["listens"] == true);
    for round in 1..=3 {
        table.insert("values ('a', 'made', to_jsonb(1))");
        table.sql("notify outbox");
        eventually(LIMIT, "it is delivered", || origin.complete() == round);
    }
}

#[test]
fn behind_a_pooler_it_looks_and_says_why_nobody_tells() {
    let (table, broker, origin) = (Table::new(), NatsServer::start(), Origin::start());
    let bouncer = Pgbouncer::start();
    let url = table.url_by(&bouncer.url());
    let relay = format!("batch = 10\nnotify = \"outbox\"\n{COLUMNS}");
    let setup = setup(&url, &broker, origin.address(), &relay);
    let one = Proxy::with(&setup);
    let other = Launch::new(relays_alone(&setup.toml())).start();
    eventually(LIMIT, "it says so", || {
        let now = state(&one);
        now["listens"] == false
            && now["not_listening"]
                .as_str()
                .is_some_and(|why| why.starts_with("a pooler stands before the database"))
    });
    for round in 0..5 {
        table.insert(&format!(
            "select 'k' || i % 5, 'made', to_jsonb({round} * 100 + i) from generate_series(1, 100) i"
        ));
    }
    eventually(LIMIT, "all are delivered", || origin.complete() >= 500);
    for (key, bodies) in by_key(&origin) {
        let numbers: Vec<u32> = bodies.iter().map(|body| body.parse().unwrap()).collect();
        assert!(
            numbers.is_sorted() && numbers.len() == 100,
            "{key}: {numbers:?}"
        );
    }
    eventually(LIMIT, "all are gone", || table.count("true") == 0);
    eventually(LIMIT, "it is logged", || {
        let told = "nobody tells of new rows: it is looked for them every 100ms";
        one.log().contains(told) && other.log().contains(told)
    });
}

#[test]
fn rows_may_be_marked_instead() {
    let (table, broker, origin) = (Table::new(), NatsServer::start(), Origin::start());
    table.sql("alter table outbox add published_at timestamptz");
    let columns = COLUMNS.replace("error =", "published_at = \"published_at\", error =");
    let relay = format!("after = \"mark\"\n{columns}");
    table.insert("values ('a', 'made', to_jsonb(1)), ('a', 'made', to_jsonb(2))");
    let _proxy = Proxy::with(&setup(&table.url(), &broker, origin.address(), &relay));
    eventually(LIMIT, "both are marked", || {
        table.count("published_at between now() - interval '1 minute' and now()") == 2
    });
    eventually(LIMIT, "both are delivered", || origin.complete() == 2);
    stays(
        Duration::from_millis(300),
        "they are published once",
        || origin.complete() == 2,
    );
}

#[test]
fn bytes_and_uuids_and_other_names_do_as_well() {
    let (table, broker, origin) = (Table::new(), NatsServer::start(), Origin::start());
    table.sql(
        "create schema sales; create table sales.\"Events\" (\"key\" uuid primary key default gen_random_uuid(), \
         seq bigint generated always as identity, kind text, body bytea, aggregate_id text default 'all'); \
         insert into sales.\"Events\" (kind, body) select 'made', int4send(i) from generate_series(1, 20) i",
    );
    let toml = setup(
        &table.url(),
        &broker,
        origin.address(),
        "columns = { id = \"key\", payload = \"body\", sequence = \"seq\" }",
    );
    let toml = toml.toml().replace("\"outbox\"", "\"sales.Events\"");
    let proxy = Launch::new(toml).start();
    eventually(LIMIT, "all are delivered", || origin.complete() == 20);
    let bodies: Vec<String> = origin.requests().iter().map(|one| one.text()).collect();
    let wanted: Vec<String> = (1..=20_u8)
        .map(|i| format!("\0\0\0{}", char::from(i)))
        .collect();
    assert_eq!(bodies, wanted, "without a key all are in one order");
    assert_eq!(state(&proxy)["held"], 0);
    assert_eq!(table.sql("select count(*) from sales.\"Events\""), "0");
}

#[test]
fn a_row_may_be_as_large_as_a_message() {
    let (table, broker, origin) = (Table::new(), NatsServer::start(), Origin::start());
    // Written in digits, it is twice as large.
    table.sql("alter table outbox alter payload type bytea using ''");
    table.sql(
        "insert into outbox (aggregate_id, kind, payload) values ('a', 'made', decode(repeat('00ff', 500000), 'hex')), \
         ('a', 'made', '\\x01')",
    );
    let _proxy = Proxy::with(&setup(&table.url(), &broker, origin.address(), COLUMNS));
    eventually(LIMIT, "both are delivered", || origin.complete() == 2);
    let lengths: Vec<u64> = origin.requests().iter().map(|one| one.length).collect();
    assert_eq!(lengths, [1_000_000, 1]);
}

#[test]
fn a_table_that_is_not_as_it_should_be_is_told_and_nothing_is_published() {
    let (table, broker, origin) = (Table::new(), NatsServer::start(), Origin::start());
    table.sql("alter table outbox rename to away");
    let setup = setup(&table.url(), &broker, origin.address(), COLUMNS);
    let says = |what: &str| {
        let (code, said) = check_live(&setup.toml());
        let line: String = said.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(code == Some(2) && line.contains(what), "{said}");
    };
    let proxy = Proxy::with(&setup);
    until_state(&proxy, "detached");
    assert_eq!(
        state(&proxy)["why"],
        "there is no table `outbox` in the database"
    );
    says("there is no table `outbox` in the database");
    table.sql("alter table away rename to outbox; alter table outbox rename headers to meta");
    eventually(LIMIT, "it lacks a column", || {
        let why = state(&proxy)["why"].to_string();
        why.contains("has no column `headers`; it has `aggregate_id`")
    });
    says("has no column `headers`; it has `aggregate_id`");
    table.sql("alter table outbox rename meta to headers; alter table outbox alter error type int using 0");
    table.insert("values ('a', 'made', to_jsonb(1))");
    eventually(LIMIT, "a column has another type", || {
        state(&proxy)["why"]
            .as_str()
            .is_some_and(|why| why.contains("`outbox`"))
    });
    assert!(
        origin.requests().is_empty(),
        "what cannot be settled is not published"
    );
    says("`outbox`");
    table.sql("alter table outbox alter error type text using null");
    eventually(LIMIT, "it is delivered", || origin.complete() == 1);
    let (code, said) = check_live(&setup.toml());
    assert_eq!(code, Some(0), "{said}");
}

#[test]
fn a_user_who_may_not_delete_publishes_nothing() {
    let (table, broker, origin) = (Table::new(), NatsServer::start(), Origin::start());
    let user = table.user("select, update");
    table.insert("values ('a', 'made', to_jsonb(1))");
    let setup = setup(&table.url_of(&user), &broker, origin.address(), COLUMNS);
    let proxy = Proxy::with(&setup);
    until_state(&proxy, "detached");
    let why = state(&proxy)["why"].to_string();
    assert!(why.contains("lacks rights on `outbox`"), "{why}");
    let (code, said) = check_live(&setup.toml());
    assert!(
        code == Some(2) && said.contains("lacks rights on `outbox`"),
        "{said}"
    );
    assert!(origin.requests().is_empty());
    let healthy = || {
        let labels = [("relay", "orders")];
        proxy.metrics().sum("outrigger_relay_healthy", &labels)
    };
    assert_eq!(healthy(), 0.0);
    table.sql(&format!("grant delete on outbox to {user}"));
    eventually(LIMIT, "it is delivered", || origin.complete() == 1);
    assert_eq!(healthy(), 1.0);
    for shown in [
        "/relays",
        "/relays/orders",
        "/databases",
        "/brokers",
        "/config",
    ] {
        let text = proxy.admin("GET", shown, "").text();
        assert!(!text.contains("hush"), "{shown}: {text}");
    }
    assert!(!proxy.log().contains("hush"), "{}", proxy.log());
}

#[test]
fn a_paused_relay_takes_nothing() {
    let (table, broker, origin) = (Table::new(), NatsServer::start(), Origin::start());
    let mut proxy = Proxy::with(&setup(&table.url(), &broker, origin.address(), COLUMNS));
    until_state(&proxy, "relaying");
    let paused = proxy.admin("POST", "/relays/orders/pause", "").json();
    assert_eq!(paused, json!({ "paused": true }));
    until_state(&proxy, "paused");
    table.insert("values ('a', 'made', to_jsonb(1))");
    stays(Duration::from_millis(400), "nothing is delivered", || {
        origin.requests().is_empty()
    });
    // It stays so when its block changes.
    let relay = format!("batch = 5\n{COLUMNS}");
    proxy.reload_with(setup(&table.url(), &broker, origin.address(), &relay).toml());
    until_state(&proxy, "paused");
    proxy.admin("POST", "/relays/orders/resume", "");
    eventually(LIMIT, "it is delivered", || origin.complete() == 1);
}

#[test]
fn a_reload_keeps_what_is_the_same_and_ends_what_is_gone() {
    let (table, broker, origin) = (Table::new(), NatsServer::start(), Origin::start());
    let setup = setup(&table.url(), &broker, origin.address(), COLUMNS);
    let mut proxy = Proxy::with(&setup);
    table.insert("values ('a', 'made', to_jsonb(1))");
    eventually(LIMIT, "it is published", || state(&proxy)["published"] == 1);
    proxy.reload_with(
        setup
            .toml()
            .replace("path = \"/app/", "path = \"/application/"),
    );
    assert_eq!(state(&proxy)["published"], 1, "it is the same relay");
    let other = setup
        .toml()
        .replace("\"orders.${row.kind}\"", "\"orders.new.${row.kind}\"");
    proxy.reload_with(&*other);
    eventually(LIMIT, "it is another", || state(&proxy)["published"] == 0);
    table.insert("values ('a', 'made', to_jsonb(2))");
    eventually(LIMIT, "it is published", || state(&proxy)["published"] == 1);
    let (without, _) = other.split_once("[relays.orders]").unwrap();
    proxy.reload_with(without);
    assert_eq!(proxy.admin("GET", "/relays", "").json(), json!([]));
    table.insert("values ('a', 'made', to_jsonb(3))");
    stays(Duration::from_millis(400), "nobody takes it", || {
        table.count("true") == 1
    });
}
