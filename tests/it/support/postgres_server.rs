//! PostgreSQL servers, which `tests/run` has started, and pgbouncer before one.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tempfile::TempDir;

use super::pki::{Authority, Leaf};
use super::process::Process;
use super::wait::{LIMIT, eventually};

/// One of the servers; see `tests/servers/postgres`.
pub struct PostgresServer {
    folder: PathBuf,
}

impl PostgresServer {
    /// The one that all share, and nobody stops.
    pub fn shared() -> PostgresServer {
        PostgresServer::named("shared")
    }

    /// One that is stopped and killed, and what keeps others from it meanwhile.
    pub fn fragile() -> (MutexGuard<'static, ()>, PostgresServer) {
        static ONE: Mutex<()> = Mutex::new(());
        let guard = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let server = PostgresServer::named("fragile");
        // Whoever failed before may have left it down.
        if TcpStream::connect((Ipv4Addr::LOCALHOST, server.port())).is_err() {
            server.again();
        }
        (guard, server)
    }

    fn named(name: &str) -> PostgresServer {
        let folder = std::env::var("OUTRIGGER_TEST_POSTGRES_FOLDER").expect(
            "OUTRIGGER_TEST_POSTGRES_FOLDER says where the servers are: `tests/run` starts them and sets that",
        );
        PostgresServer {
            folder: PathBuf::from(folder).join(name),
        }
    }

    pub fn url(&self) -> String {
        self.script("url").trim().to_owned()
    }

    pub fn port(&self) -> u16 {
        let port = std::fs::read_to_string(self.folder.join("port")).unwrap();
        port.trim().parse().unwrap()
    }

    pub fn stop(&self) {
        self.script("stop");
    }

    pub fn kill(&self) {
        self.script("kill");
    }

    /// Starts it where it was, and waits until it answers.
    pub fn again(&self) {
        self.script("start");
        self.script("ready");
    }

    /// Has it speak TLS as `leaf`, and know callers by certificates of `root`. It stays so.
    pub fn speak_tls(&self, root: &Authority, leaf: &Leaf) {
        self.put("server.crt", &leaf.cert);
        self.put("server.key", &leaf.key);
        self.put("root.crt", root.pem());
        self.sql("alter system set ssl_ca_file = 'root.crt'");
        self.sql("alter system set ssl = on");
        self.load_config();
    }

    /// Puts a line before all others that say who may log in, and how.
    pub fn let_in_first(&self, line: &str) {
        self.sql(&format!(
            "copy (select '{line}') to program 'cat - pg_hba.conf >hba.new && mv hba.new pg_hba.conf'"
        ));
        self.load_config();
    }

    fn load_config(&self) {
        let loaded = || self.sql("select extract(epoch from pg_conf_load_time())");
        let before = loaded();
        self.sql("select pg_reload_conf()");
        eventually(LIMIT, "the config is read anew", || loaded() != before);
    }

    /// Writes a file that nobody else can read to the folder of its data.
    fn put(&self, name: &str, text: &str) {
        self.sql(&format!(
            "copy (select unnest(string_to_array('{text}', E'\\n'))) to program 'umask 077; cat >{name}'"
        ));
    }

    fn script(&self, command: &str) -> String {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/servers/postgres");
        let output = Command::new(script)
            .arg(command)
            .arg(&self.folder)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(output.status.success(), "{command}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs statements past the proxy; gives what the last one tells, a line a row.
    pub fn sql(&self, statements: &str) -> String {
        let output = Command::new("psql")
            .args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align"])
            .args(["--set", "ON_ERROR_STOP=1", "--dbname", &self.url()])
            .args(["--command", statements])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(output.status.success(), "{statements}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

/// A pooler in transaction mode. Killed when dropped.
pub struct Pgbouncer {
    port: u16,
    _process: Process,
    _folder: TempDir,
}

impl Pgbouncer {
    /// Before the server that all share.
    pub fn start() -> Pgbouncer {
        Pgbouncer::before(&PostgresServer::shared())
    }

    pub fn before(server: &PostgresServer) -> Pgbouncer {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let folder = tempfile::tempdir().unwrap();
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/servers/pgbouncer");
        let mut command = Command::new(script);
        command
            .arg(folder.path())
            .args([port.to_string(), server.port().to_string()]);
        let process = Process::spawn(&mut command);
        eventually(LIMIT, "pgbouncer is up", || {
            TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
        });
        Pgbouncer {
            port,
            _process: process,
            _folder: folder,
        }
    }

    pub fn url(&self) -> String {
        format!("postgres://test:secret@127.0.0.1:{}/test", self.port)
    }
}
