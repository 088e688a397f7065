//! What many callers are told while the database is killed and restarted under them is true, and nothing is run twice.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use serde_json::json;

use super::config;
use crate::support::{Client, LIMIT, Pgbouncer, PostgresServer, Proxy, eventually};

const CALLERS: usize = 64;
pub(super) const DATABASE: &str =
    "pool = { max_connections = 20, max_wait = \"20s\" }\nstatement_timeout = \"20s\"";

#[test]
fn a_database_that_is_killed_under_load_loses_nothing_that_was_confirmed() {
    let (_one, server) = PostgresServer::fragile();
    drill(&server, &server.url());
}

#[test]
fn nor_does_one_behind_a_pooler() {
    let (_one, server) = PostgresServer::fragile();
    let pooler = Pgbouncer::before(&server);
    drill(&server, &pooler.url());
}

/// What callers were told of each row that they had inserted.
#[derive(Default)]
struct Told {
    confirmed: Mutex<Vec<String>>,
    unknown: Mutex<Vec<String>>,
    reads: AtomicUsize,
}

/// Has the callers end, also where waiting for them has failed.
pub(super) struct Ends<'a>(pub(super) &'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

fn drill(server: &PostgresServer, url: &str) {
    let table = format!("t{:x}", fastrand::u64(..));
    server.sql(&format!("create table {table} (id text not null)"));
    let parameters = "result = \"none\"\nparameters = [{ from = \"query.id\" }]";
    let one = format!("statement = \"insert into {table} values ($1)\"\n{parameters}");
    // Two rows, together or not at all.
    let two = format!(
        "statements = [\"insert into {table} values ($1 || 'a')\", \"insert into {table} values ($1 || 'b')\"]\n{parameters}"
    );
    let read = "statement = \"select $1 as a\"\nresult = \"one\"\nparameters = [{ from = \"query.a\", type = \"int8\" }]";
    let routes = [("/one", one.as_str()), ("/two", &two), ("/read", read)];
    let proxy = Proxy::start(&config(url, DATABASE, &routes));
    let (told, stop) = (Told::default(), AtomicBool::new(false));
    thread::scope(|scope| {
        let callers: Vec<_> = (0..CALLERS)
            .map(|caller| {
                let (proxy, told, stop) = (&proxy, &told, &stop);
                scope.spawn(move || {
                    let mut client = proxy.client();
                    for number in 0.. {
                        if stop.load(Ordering::SeqCst) {
                            return;
                        }
                        call(&mut client, caller, number, told);
                    }
                })
            })
            .collect();
        let _ends = Ends(&stop);
        let more = || {
            let before = told.confirmed.lock().unwrap().len();
            eventually(3 * LIMIT, "more is confirmed", || {
                told.confirmed.lock().unwrap().len() > before + 2 * CALLERS
                    || callers.iter().any(|caller| caller.is_finished())
            });
        };
        for _ in 0..2 {
            more();
            server.kill();
            server.again();
        }
        more();
    });
    judge(server, &table, &told);
}

/// One insert, in one of two ways, and one read.
fn call(client: &mut Client, caller: usize, number: usize, told: &Told) {
    let id = format!("{caller}-{number}");
    let way = if number.is_multiple_of(2) {
        "one"
    } else {
        "two"
    };
    let answer = client.request("POST", &format!("/{way}?id={id}"), &[], "");
    let ids = match way {
        "one" => vec![id],
        _ => vec![format!("{id}a"), format!("{id}b")],
    };
    match (answer.status, answer.reason()) {
        (204, _) => told.confirmed.lock().unwrap().extend(ids),
        (504, Some("outcome_unknown")) => told.unknown.lock().unwrap().extend(ids),
        (503, Some("database_unavailable" | "overloaded")) => {}
        other => panic!("{other:?}: {}", answer.text()),
    }
    let own = caller * 1_000_000 + number;
    let answer = client.request("GET", &format!("/read?a={own}"), &[], "");
    if answer.status == 200 {
        assert_eq!(answer.json(), json!({ "a": own }));
        told.reads.fetch_add(1, Ordering::SeqCst);
    }
}

/// Each row is there once that was confirmed, and of the others those alone of which nothing was known.
fn judge(server: &PostgresServer, table: &str, told: &Told) {
    let confirmed = told.confirmed.lock().unwrap();
    let unknown = told.unknown.lock().unwrap();
    let stored = server.sql(&format!("select id from {table}"));
    let mut stored: Vec<&str> = stored.lines().collect();
    let count = stored.len();
    stored.sort_unstable();
    stored.dedup();
    assert_eq!(stored.len(), count, "a statement was run twice");
    for id in confirmed.iter() {
        assert!(stored.binary_search(&id.as_str()).is_ok(), "{id} is lost");
    }
    let mut known: Vec<&str> = confirmed
        .iter()
        .chain(unknown.iter())
        .map(String::as_str)
        .collect();
    known.sort_unstable();
    for id in &stored {
        assert!(
            known.binary_search(id).is_ok(),
            "{id} was told to have failed"
        );
    }
    let whole = |id: &&&str| id.ends_with('a');
    for id in stored.iter().filter(whole) {
        let other = format!("{}b", &id[..id.len() - 1]);
        assert!(
            stored.binary_search(&other.as_str()).is_ok(),
            "{id} is there alone"
        );
    }
    assert!(told.reads.load(Ordering::SeqCst) > 0);
}
