//! Connections: shared, limited, and made again.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use serde_json::json;

use super::{config, get, post, state};
use crate::sql::drill::{DATABASE, Ends};
use crate::support::{LIMIT, MariaDbServer, Proxy, eventually};

#[test]
fn a_socket_of_the_file_system_leads_there_too() {
    let url = MariaDbServer::shared().socket_url();
    let block = "statement = \"select 1 as a\"";
    let proxy = Proxy::start(&config(&url, "", &[("/run", block)]));
    assert_eq!(get(&proxy, "/run").json(), json!([{ "a": 1 }]));
}

#[test]
fn what_is_said_to_a_server_may_be_encrypted() {
    let server = MariaDbServer::shared();
    let block = "statement = \"show status like 'Ssl_version'\"\nresult = \"one\"";
    let tls = format!("tls = {{ ca = {:?} }}", server.ca());
    let proxy = Proxy::start(&config(&server.url(), &tls, &[("/run", block)]));
    for _ in 0..2 {
        let row = get(&proxy, "/run").json();
        assert_eq!(row["Value"], "TLSv1.3", "{row}");
    }
    // Who cannot prove its name is not spoken to.
    let url = format!("{}?ssl-mode=required", server.url());
    let proxy = Proxy::start(&config(&url, "", &[("/run", block)]));
    get(&proxy, "/run").assert_refused(503, "database_unavailable");
    eventually(LIMIT, "it is logged", || {
        proxy.log().contains("certificate")
    });
}

#[test]
fn a_connection_that_the_server_has_closed_is_not_used() {
    let server = MariaDbServer::shared();
    let block = "statement = \"select connection_id() as a\"\nresult = \"one\"";
    let put = "statement = \"do 1\"\nresult = \"none\"";
    let proxy = Proxy::start(&config(
        &server.url(),
        "pool.max_connections = 1",
        &[("/run", block), ("/put", put)],
    ));
    for _ in 0..5 {
        let id = get(&proxy, "/run").json()["a"].clone();
        server.sql(&format!("kill {id}"));
        eventually(LIMIT, "it is gone", || {
            server.sql(&format!(
                "select count(*) from information_schema.processlist where id = {id}"
            )) == "0"
        });
        let answer = post(&proxy, "/put", "");
        assert_eq!(answer.status, 204, "{}", answer.text());
    }
}

#[test]
fn a_database_that_has_no_room_is_told() {
    let (_one, server) = MariaDbServer::fragile();
    let user = format!("u{:x}", fastrand::u32(..));
    server.sql(&format!(
        "create user {user}@'127.0.0.1' identified by 'secret' with max_user_connections 1"
    ));
    let url = server
        .url()
        .replace("test:", &format!("{user}:"))
        .replace("/test", "/");
    let routes = [
        (
            "/slow",
            "statement = \"select sleep(3)\"\nresult = \"none\"",
        ),
        ("/run", "statement = \"select 1 as a\""),
    ];
    let proxy = Proxy::start(&config(&url, "", &routes));
    let mut slow = proxy.client();
    slow.send_request("GET", "/slow", &[], "");
    eventually(LIMIT, "it is in use", || {
        state(&proxy)["pool"]["in_use"] == 1 && state(&proxy)["connected"] == true
    });
    get(&proxy, "/run").assert_refused(503, "database_unavailable");
    assert_eq!(slow.read_answer().status, 204);
    eventually(LIMIT, "there is room", || get(&proxy, "/run").status == 200);
}

#[test]
fn a_database_that_is_killed_under_load_loses_nothing_that_was_confirmed() {
    let (_one, server) = MariaDbServer::fragile();
    let table = format!("t{:x}", fastrand::u64(..));
    server.sql(&format!(
        "create table {table} (id varchar(40) not null, key (id))"
    ));
    let block = format!(
        "statement = \"insert into {table} values ($1)\"\nresult = \"none\"\nparameters = [{{ from = \"query.id\" }}]"
    );
    let read = "statement = \"select $1 as a\"\nresult = \"one\"\nparameters = [{ from = \"query.a\", type = \"int8\" }]";
    let proxy = Proxy::start(&config(
        &server.url(),
        DATABASE,
        &[("/put", &block), ("/read", read)],
    ));
    let (stop, confirmed) = (AtomicBool::new(false), Mutex::new(Vec::new()));
    let unknown = Mutex::new(Vec::new());
    let reads = AtomicUsize::new(0);
    thread::scope(|scope| {
        for caller in 0..64 {
            let (proxy, stop, confirmed, unknown, reads) =
                (&proxy, &stop, &confirmed, &unknown, &reads);
            scope.spawn(move || {
                let mut client = proxy.client();
                for number in 0.. {
                    if stop.load(Ordering::SeqCst) {
                        return;
                    }
                    let id = format!("{caller}-{number}");
                    let answer = client.request("POST", &format!("/put?id={id}"), &[], "");
                    match (answer.status, answer.reason()) {
                        (204, _) => confirmed.lock().unwrap().push(id),
                        (504, Some("outcome_unknown")) => unknown.lock().unwrap().push(id),
                        (503, Some("database_unavailable" | "overloaded")) => {}
                        other => panic!("{other:?}: {}", answer.text()),
                    }
                    let own = caller * 1_000_000 + number;
                    let answer = client.request("GET", &format!("/read?a={own}"), &[], "");
                    if answer.status == 200 {
                        assert_eq!(answer.json(), json!({ "a": own }));
                        reads.fetch_add(1, Ordering::SeqCst);
                    }
                }
            });
        }
        let _ends = Ends(&stop);
        // Stopped in order, and killed.
        for is_killed in [false, true] {
            let before = confirmed.lock().unwrap().len();
            eventually(3 * LIMIT, "more is confirmed", || {
                confirmed.lock().unwrap().len() > before + 200
            });
            if is_killed {
                server.kill();
            } else {
                server.stop();
            }
            server.again();
        }
        let before = confirmed.lock().unwrap().len();
        eventually(3 * LIMIT, "it goes on", || {
            confirmed.lock().unwrap().len() > before + 200
        });
    });
    let confirmed = confirmed.into_inner().unwrap();
    let unknown = unknown.into_inner().unwrap();
    let stored = server.sql(&format!("select id from {table}"));
    let mut stored: Vec<&str> = stored.lines().collect();
    let count = stored.len();
    stored.sort_unstable();
    stored.dedup();
    assert_eq!(stored.len(), count, "a statement was run twice");
    for id in &confirmed {
        assert!(stored.binary_search(&id.as_str()).is_ok(), "{id} is lost");
    }
    let extra = count - confirmed.len();
    assert!(
        extra <= unknown.len(),
        "{extra} more than confirmed, {} unknown",
        unknown.len()
    );
    assert!(reads.load(Ordering::SeqCst) > 0);
}
