//! PostgreSQL over TLS: who the server is has to be proven, and who calls may have to be.

use serde_json::json;

use super::{config, get};
use crate::support::pki::{Ask, Authority};
use crate::support::{LIMIT, Launch, PostgresServer, Proxy, eventually};

const STATEMENT: &str = "statement = \"select current_user as who, ssl from pg_stat_ssl where pid = pg_backend_pid()\"\nresult = \"one\"";
const SLEEP: &str = "statement = \"select pg_sleep(60)\"";

/// A proxy whose database has this URL and these lines. `ca.pem` is the CA's certificate, `other.pem` another one's.
fn proxy(url: &str, lines: &str, files: &[(&str, &str)]) -> Proxy {
    let routes = [("/run", STATEMENT), ("/sleep", SLEEP)];
    let launch = Launch::new(config(url, lines, &routes));
    let with = |launch: Launch, (name, text): &(&str, &str)| launch.file(name, text);
    files.iter().fold(launch, with).start()
}

fn assert_refused(proxy: &Proxy, why: &str) {
    get(proxy, "/run").assert_refused(503, "database_unavailable");
    eventually(LIMIT, why, || proxy.log().contains(why));
}

#[test]
fn the_server_has_to_prove_its_name() {
    let (_one, server) = PostgresServer::fragile();
    let (root, other) = (Authority::new("root"), Authority::new("other"));
    server.speak_tls(&root, &root.issue(Ask::of(&["localhost"])));
    let files = [("ca.pem", root.pem()), ("other.pem", other.pem())];
    let by_number = server.url();
    let by_name = by_number.replace("127.0.0.1", "localhost");

    let tls = "tls = { ca = \"ca.pem\" }\nstatement_timeout = \"1s\"\npool.max_connections = 1";
    let secured = proxy(&format!("{by_name}?sslmode=verify-full"), tls, &files);
    let answer = get(&secured, "/run");
    assert_eq!(answer.json(), json!({ "who": "test", "ssl": true }));
    // What takes too long is cancelled over TLS too.
    get(&secured, "/sleep").assert_refused(504, "statement_timeout");
    assert_eq!(get(&secured, "/run").status, 200);

    let wrong_name = proxy(&by_number, "tls = { ca = \"ca.pem\" }", &files);
    assert_refused(&wrong_name, "wanted 127.0.0.1");
    let named = "tls = { ca = \"ca.pem\", server_name = \"localhost\" }";
    let named = proxy(&by_number, named, &files);
    assert_eq!(get(&named, "/run").json()["ssl"], true);
    let wrong_ca = proxy(&by_name, "tls = { ca = \"other.pem\" }", &files);
    assert_refused(&wrong_ca, "leads to no CA that is trusted here");
    // Without a CA of its own, those of the system are asked.
    let system = proxy(&format!("{by_name}?sslmode=require"), "", &files);
    assert_refused(&system, "leads to no CA that is trusted here");
    for lines in ["", "tls = { ca = \"ca.pem\" }"] {
        let plain = proxy(&format!("{by_name}?sslmode=prefer"), lines, &files);
        assert_eq!(get(&plain, "/run").json()["ssl"], !lines.is_empty());
    }
}

#[test]
fn a_caller_proves_who_it_is_by_its_certificate() {
    let (_one, server) = PostgresServer::fragile();
    let root = Authority::new("root");
    server.speak_tls(&root, &root.issue(Ask::of(&["localhost"])));
    let user = format!("u{:x}", fastrand::u64(..));
    server.sql(&format!("create role {user} login"));
    server.let_in_first(&format!("hostssl all {user} all cert"));
    let (_, place) = {
        let url = server.url();
        let (login, place) = url.split_once('@').unwrap();
        (login.to_owned(), place.replace("127.0.0.1", "localhost"))
    };
    let url = format!("postgres://{user}@{place}");
    let own = root.issue(Ask::of(&[&user]));
    let files = [
        ("ca.pem", root.pem()),
        ("own.crt", own.cert.as_str()),
        ("own.key", own.key.as_str()),
    ];
    let with = "tls = { ca = \"ca.pem\", cert = \"own.crt\", key = \"own.key\" }";
    let with = proxy(&url, with, &files);
    assert_eq!(
        get(&with, "/run").json(),
        json!({ "who": user, "ssl": true })
    );
    assert_refused(&proxy(&url, "tls = { ca = \"ca.pem\" }", &files), "28000");
}

#[test]
fn a_server_without_tls_is_refused_where_it_is_wanted() {
    let url = PostgresServer::shared().url();
    let root = Authority::new("root");
    let proxy = proxy(&url, "tls = { ca = \"ca.pem\" }", &[("ca.pem", root.pem())]);
    assert_refused(&proxy, "the server speaks no TLS");
}
