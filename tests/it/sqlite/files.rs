//! The file: missing, made, replaced, read only, damaged, without room.

use std::fs;
use std::io::Write;

use serde_json::json;

use super::{Data, config, get, post, state};
use crate::support::{LIMIT, Launch, Proxy, eventually};

const READ: &str = "statement = \"select * from t\"\nresult = \"one\"";
const PUT: &str = "statement = \"insert into t values (7)\"\nresult = \"none\"";

fn last_error(proxy: &Proxy) -> String {
    state(proxy)["last_error"]["error"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[test]
fn a_file_that_is_not_there_is_told_and_found_when_it_comes() {
    let data = Data::new("create table t (n integer); insert into t values (1)");
    let away = data.path().with_extension("away");
    fs::rename(data.path(), &away).unwrap();
    let proxy = data.proxy("", &[("/read", READ)]);
    let answer = get(&proxy, "/read");
    answer.assert_refused(503, "database_unavailable");
    assert!(!answer.text().contains("shop.db"));
    assert_eq!(state(&proxy)["connected"], false);
    assert!(
        last_error(&proxy).contains("no such file"),
        "{}",
        last_error(&proxy)
    );
    assert!(!data.path().exists());
    assert!(!proxy.log().contains("shop.db"));
    fs::rename(&away, data.path()).unwrap();
    eventually(LIMIT, "it is found", || get(&proxy, "/read").status == 200);
    assert_eq!(state(&proxy)["connected"], true);
    // And gone once more: what is left of it is nobody's.
    fs::rename(data.path(), &away).unwrap();
    get(&proxy, "/read").assert_refused(503, "database_unavailable");
}

#[test]
fn a_file_is_made_where_the_url_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a b%.db");
    let url = format!("sqlite://{}/a%20b%25.db?mode=rwc", folder.path().display());
    let make = "statement = \"create table t (n integer)\"\nresult = \"none\"";
    let proxy = Proxy::start(&config(
        &url,
        "",
        &[("/make", make), ("/put", PUT), ("/read", READ)],
    ));
    assert!(!path.exists());
    assert_eq!(post(&proxy, "/make", "").status, 204);
    assert_eq!(post(&proxy, "/put", "").status, 204);
    assert_eq!(get(&proxy, "/read").json(), json!({"n": 7}));
    assert!(path.exists());
}

#[test]
fn a_file_that_was_replaced_is_opened_anew() {
    for mode in ["delete", "wal"] {
        let make = |value: u32| {
            Data::new(&format!(
                "pragma journal_mode = {mode}; create table t (n integer); insert into t values ({value})"
            ))
        };
        let (data, next) = (make(1), make(2));
        let change = "statement = \"update t set n = n + 10\"\nresult = \"none\"";
        let proxy = data.proxy("", &[("/read", READ), ("/change", change)]);
        assert_eq!(get(&proxy, "/read").json(), json!({"n": 1}));
        fs::rename(next.path(), data.path()).unwrap();
        assert_eq!(post(&proxy, "/change", "").status, 204);
        assert_eq!(get(&proxy, "/read").json(), json!({"n": 12}), "{mode}");
        assert_eq!(data.number("select n from t"), 12);
        assert_eq!(
            data.connection()
                .query_row("pragma integrity_check", [], |row| row.get::<_, String>(0))
                .unwrap(),
            "ok"
        );
    }
}

/// As a ConfigMap is mounted: the name leads to a folder that is replaced as a whole.
#[test]
fn a_volume_that_was_swapped_is_followed() {
    let folder = tempfile::tempdir().unwrap();
    let version = |name: &str, value: u32| {
        let inner = folder.path().join(name);
        fs::create_dir(&inner).unwrap();
        let connection = rusqlite::Connection::open(inner.join("shop.db")).unwrap();
        connection
            .execute_batch(&format!(
                "create table t (n integer); insert into t values ({value})"
            ))
            .unwrap();
        inner
    };
    let (first, second) = (version("1", 1), version("2", 2));
    let data = folder.path().join("data");
    std::os::unix::fs::symlink(&first, &data).unwrap();
    let url = format!("sqlite://{}/shop.db?immutable=1", data.display());
    let proxy = Proxy::start(&config(&url, "", &[("/read", READ), ("/put", PUT)]));
    assert_eq!(get(&proxy, "/read").json(), json!({"n": 1}));
    post(&proxy, "/put", "").assert_refused(500, "statement_refused");
    let swap = folder.path().join("swap");
    std::os::unix::fs::symlink(&second, &swap).unwrap();
    fs::rename(&swap, &data).unwrap();
    assert_eq!(get(&proxy, "/read").json(), json!({"n": 2}));
    // Nothing lies beside it.
    assert_eq!(fs::read_dir(&second).unwrap().count(), 1);
}

#[test]
fn what_is_to_be_read_only_is_never_written() {
    let data = Data::new("create table t (n integer); insert into t values (1)");
    let url = format!("{}?mode=ro", data.url());
    let proxy = Proxy::start(&config(&url, "", &[("/read", READ), ("/put", PUT)]));
    let answer = post(&proxy, "/put", "");
    answer.assert_refused(500, "statement_refused");
    assert!(
        answer.text().contains("SQLITE_READONLY"),
        "{}",
        answer.text()
    );
    assert_eq!(get(&proxy, "/read").json(), json!({"n": 1}));
    assert!(last_error(&proxy).contains("takes no changes"));
}

#[test]
fn what_is_no_database_or_a_damaged_one_is_told() {
    let data = Data::new("create table t (n text); insert into t values ('x')");
    let read = "statement = \"select length(n) as n from t\"";
    let proxy = data.proxy("", &[("/read", read)]);
    assert_eq!(get(&proxy, "/read").status, 200);
    let whole = fs::read(data.path()).unwrap();
    let mut damaged = whole.clone();
    // The table's own page.
    damaged[4096..4196].fill(0xff);
    replace(&data, &damaged);
    get(&proxy, "/read").assert_refused(503, "database_unavailable");
    assert!(
        last_error(&proxy).contains("damaged"),
        "{}",
        last_error(&proxy)
    );
    replace(&data, &b"no database at all ".repeat(100));
    get(&proxy, "/read").assert_refused(503, "database_unavailable");
    assert!(
        last_error(&proxy).contains("no database of SQLite"),
        "{}",
        last_error(&proxy)
    );
    replace(&data, &whole);
    eventually(LIMIT, "it is found", || get(&proxy, "/read").status == 200);
    fs::remove_file(data.path()).unwrap();
    fs::create_dir(data.path()).unwrap();
    get(&proxy, "/read").assert_refused(503, "database_unavailable");
    assert!(
        last_error(&proxy).contains("is no file"),
        "{}",
        last_error(&proxy)
    );
}

fn replace(data: &Data, bytes: &[u8]) {
    let next = data.path().with_extension("next");
    fs::write(&next, bytes).unwrap();
    fs::rename(&next, data.path()).unwrap();
}

/// On a disk with little room, where one can be mounted.
#[test]
fn a_full_disk_is_told_and_leaves_what_was_there() {
    let folder = tempfile::tempdir().unwrap();
    let mounted = format!(
        "exec unshare --map-root-user --mount sh -c 'mount -t tmpfs -o size=1m tmpfs {} && exec \"$0\" \"$@\"' \"$0\" \"$@\"",
        folder.path().display()
    );
    let url = format!("sqlite://{}/shop.db?mode=rwc", folder.path().display());
    let make = "statement = \"create table t (n blob)\"\nresult = \"none\"";
    let put = "statement = \"insert into t values (zeroblob($1))\"\nresult = \"none\"\nparameters = [{ from = \"query.n\", type = \"int8\" }]";
    let twice = "statements = [\"insert into t values (1)\", \"insert into t values (zeroblob(4000000))\"]\nresult = \"none\"";
    let count = "statement = \"select count(*) as n from t\"\nresult = \"one\"";
    let text = config(
        &url,
        "",
        &[
            ("/make", make),
            ("/put", put),
            ("/twice", twice),
            ("/count", count),
        ],
    );
    let proxy = match Launch::new(&text).by_shell(mounted).try_start() {
        Ok(proxy) => proxy,
        Err(exited) => {
            let mut stderr = std::io::stderr();
            let _shown = writeln!(stderr, "no disk can be mounted here: {}", exited.output);
            return;
        }
    };
    assert_eq!(post(&proxy, "/make", "").status, 204);
    assert_eq!(post(&proxy, "/put?n=1000", "").status, 204);
    for _ in 0..2 {
        post(&proxy, "/put?n=4000000", "").assert_refused(507, "disk_full");
        post(&proxy, "/twice", "").assert_refused(507, "disk_full");
        assert_eq!(get(&proxy, "/count").json(), json!({"n": 1}));
    }
    assert!(last_error(&proxy).contains("disk is full"));
    assert_eq!(post(&proxy, "/put?n=1000", "").status, 204);
}
