//! Rows of MariaDB.

mod locks;
mod outages;
mod rows;
mod tables;

use std::io::Write as _;
use std::process::{Child, Command, Stdio};

use super::{COLUMNS, LIMIT, in_order, relays_alone, setup, state, until_state};
use crate::support::{MariaDbServer, eventually};

/// A table `outbox` in a database of its own, on the server that all tests share.
struct Table {
    server: MariaDbServer,
    name: String,
}

impl Table {
    fn new() -> Table {
        Table::on(MariaDbServer::shared())
    }

    fn on(server: MariaDbServer) -> Table {
        let name = format!("relay_{:08x}", fastrand::u32(..));
        server.sql(&format!("create database {name}"));
        let table = Table { server, name };
        table.sql(
            "create table outbox (id bigint auto_increment primary key, aggregate_id varchar(100), kind varchar(50) not null, \
             payload longtext not null, headers json, content_type text, created_at timestamp(6) not null default now(6), \
             attempts int not null default 0, error text)",
        );
        table
    }

    fn url(&self) -> String {
        self.url_at(self.server.port())
    }

    fn url_at(&self, port: u16) -> String {
        format!("mysql://test:secret@127.0.0.1:{port}/{}", self.name)
    }

    fn sql(&self, text: &str) -> String {
        self.server.sql(&format!("use {}; {text}", self.name))
    }

    /// So many rows of 5 keys.
    fn insert(&self, from: u32, to: u32) {
        self.sql(&format!(
            "insert into outbox (aggregate_id, kind, payload) select concat('k', seq % 5), 'made', seq from seq_{from}_to_{to}"
        ));
    }

    fn count(&self, condition: &str) -> usize {
        let count = self.sql(&format!("select count(*) from outbox where {condition}"));
        count.parse().expect("a number")
    }

    /// How many of these rows nobody has locked.
    fn free(&self, condition: &str) -> usize {
        let count = self.sql(&format!(
            "set innodb_lock_wait_timeout = 1; set transaction isolation level read committed; select count(*) from \
             (select id from outbox where {condition} for update skip locked) free"
        ));
        count.parse().expect("a number")
    }

    /// Has deleting wait until what is given ends.
    fn close_gate(&self) -> Open {
        let gate = format!("gate_{}", self.name);
        self.server.define(&format!(
            "create trigger {}.gate before delete on {0}.outbox for each row \
             begin do get_lock('{gate}', 60); do release_lock('{gate}'); end",
            self.name
        ));
        let open = self.open(&format!("do get_lock('{gate}', 60);"));
        eventually(LIMIT, "the gate is closed", || {
            self.sql(&format!("select is_used_lock('{gate}') is not null")) == "1"
        });
        open
    }

    /// Waits until a process is between the confirmation and the commit.
    fn until_deleting(&self) {
        eventually(LIMIT, "it is between both", || {
            let name = &self.name;
            let asked = format!(
                "select count(*) from information_schema.processlist where db = '{name}' and state = 'User lock'"
            );
            self.sql(&asked) == "1"
        });
    }

    /// Somebody who begins with this, and goes on later.
    fn open(&self, begin: &str) -> Open {
        let mut child = Command::new("mariadb")
            .args(["--no-defaults", "--protocol=tcp", "--host=127.0.0.1"])
            .args(["--user=test", "--password=secret", "--unbuffered"])
            .arg(format!("--port={}", self.server.port()))
            .arg(format!("--database={}", self.name))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("mariadb runs");
        let stdin = child.stdin.as_mut().expect("a pipe");
        writeln!(stdin, "{begin}").expect("it listens");
        Open(child)
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        self.server
            .sql(&format!("drop database if exists {}", self.name));
    }
}

/// A session that is in the middle of something, and ends when this is dropped.
struct Open(Child);

impl Open {
    fn end(mut self, last: &str) {
        let mut stdin = self.0.stdin.take().expect("a pipe");
        writeln!(stdin, "{last}").expect("it listens");
        drop(stdin);
        assert!(self.0.wait().expect("it ends").success());
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let _ended = self.0.kill().and_then(|()| self.0.wait());
    }
}
