//! Tables from which nothing can be taken.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;

use super::{COLUMNS, LIMIT, Table, setup, state, until_state};
use crate::support::{NatsServer, Origin, Proxy, check_live, eventually};

#[test]
fn a_table_that_is_not_as_it_should_be_is_told_and_nothing_is_published() {
    let (table, broker, origin) = (Table::new(), NatsServer::start(), Origin::start());
    table.sql("rename table outbox to away");
    let setup = setup(&table.url(), &broker, origin.address(), COLUMNS);
    let proxy = Proxy::with(&setup);
    until_state(&proxy, "detached");
    let tells = |what: &str| {
        eventually(LIMIT, what, || {
            state(&proxy)["why"]
                .as_str()
                .is_some_and(|why| why.contains(what))
        });
        let (code, said) = check_live(&setup.toml());
        let line: String = said.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(code == Some(2) && line.contains(what), "{said}");
    };
    tells("there is no table `outbox` in the database");
    table.sql("rename table away to outbox; alter table outbox rename column headers to meta");
    tells("has no column `headers`; it has `aggregate_id`");
    table.sql("alter table outbox rename column meta to headers, engine = MyISAM");
    tells("the table `outbox` is kept by MyISAM, which has no transactions");
    table.sql("alter table outbox engine = Aria");
    tells("the table `outbox` is kept by Aria, which has no transactions");
    table.insert(1, 5);
    assert!(origin.requests().is_empty());
    table.sql("alter table outbox engine = InnoDB");
    eventually(LIMIT, "all are gone", || table.count("true") == 0);
    let (code, said) = check_live(&setup.toml());
    assert_eq!(code, Some(0), "{said}");
}

#[test]
fn a_user_who_may_not_delete_publishes_nothing() {
    let (table, broker, origin) = (Table::new(), NatsServer::start(), Origin::start());
    let user = &table.name;
    table.sql(&format!(
        "create user {user} identified by 'hush'; grant select, update on {user}.outbox to {user}"
    ));
    table.insert(1, 1);
    let url = table.url().replace("test:secret", &format!("{user}:hush"));
    let setup = setup(&url, &broker, origin.address(), COLUMNS);
    let proxy = Proxy::with(&setup);
    until_state(&proxy, "detached");
    let lacks = "lacks rights on `outbox`: it needs SELECT, UPDATE and DELETE";
    let why = state(&proxy)["why"].to_string();
    assert!(why.contains(lacks), "{why}");
    let (_, said) = check_live(&setup.toml());
    assert!(
        said.contains("lacks rights") && !said.contains("hush@"),
        "{said}"
    );
    assert!(origin.requests().is_empty());
    table.sql(&format!("grant delete on {user}.outbox to {user}"));
    eventually(LIMIT, "it is delivered", || origin.complete() == 1);
    assert!(!proxy.log().contains("hush"), "{}", proxy.log());
    table.sql(&format!("drop user {user}"));
}

#[test]
fn a_server_without_skip_locked_is_refused() {
    let (table, broker, origin) = (Table::new(), NatsServer::start(), Origin::start());
    table.insert(1, 1);
    let url = table.url_at(without_skip_locked(table.server.port()));
    let setup = setup(&url, &broker, origin.address(), COLUMNS);
    let proxy = Proxy::with(&setup);
    until_state(&proxy, "detached");
    let told = "MariaDB has them from 10.6 on, and MySQL from 8.0.4 on";
    let why = state(&proxy)["why"].to_string();
    assert!(why.contains(told), "{why}");
    let (code, said) = check_live(&setup.toml());
    let line: String = said.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(code == Some(2) && line.contains(told), "{said}");
    assert!(origin.requests().is_empty());
}

/// The port of something before the server with which it understands `skip locked` as little as one did that knows no such words.
fn without_skip_locked(server: u16) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for caller in listener.incoming() {
            let (caller, server) = (
                caller.unwrap(),
                TcpStream::connect(("127.0.0.1", server)).unwrap(),
            );
            let back = (server.try_clone().unwrap(), caller.try_clone().unwrap());
            thread::spawn(move || pass(caller, server));
            thread::spawn(move || pass(back.0, back.1));
        }
    });
    port
}

fn pass(mut from: TcpStream, mut to: TcpStream) {
    let mut buffer = vec![0; 1 << 20];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        let words = b"skip locked";
        let places = buffer[..count].windows(words.len());
        let places: Vec<usize> = places
            .enumerate()
            .filter(|(_, part)| part == words)
            .map(|(place, _)| place)
            .collect();
        for place in places {
            buffer[place..place + words.len()].copy_from_slice(b"skip_locked");
        }
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _gone = to.shutdown(Shutdown::Both);
}
