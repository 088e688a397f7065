//! MariaDB servers, which `tests/run` has started.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// One of the servers; see `tests/servers/mariadb`.
pub struct MariaDbServer {
    folder: PathBuf,
}

impl MariaDbServer {
    /// The one that all share, and nobody stops.
    pub fn shared() -> MariaDbServer {
        MariaDbServer::named("shared")
    }

    /// One that is stopped and killed, and what keeps others from it meanwhile.
    pub fn fragile() -> (MutexGuard<'static, ()>, MariaDbServer) {
        static ONE: Mutex<()> = Mutex::new(());
        let guard = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        (guard, MariaDbServer::named("fragile"))
    }

    fn named(name: &str) -> MariaDbServer {
        let folder = std::env::var("OUTRIGGER_TEST_MARIADB_FOLDER").expect(
            "OUTRIGGER_TEST_MARIADB_FOLDER says where the servers are: `tests/run` starts them and sets that",
        );
        MariaDbServer {
            folder: PathBuf::from(folder).join(name),
        }
    }

    pub fn url(&self) -> String {
        self.script("url").trim().to_owned()
    }

    /// The URL of its socket in the file system.
    pub fn socket_url(&self) -> String {
        let socket = self.folder.join("socket");
        format!("mysql://test:secret@/test?socket={}", socket.display())
    }

    /// The CA that has signed its certificate.
    pub fn ca(&self) -> PathBuf {
        self.folder.join("ca.pem")
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

    fn script(&self, command: &str) -> String {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/servers/mariadb");
        let output = Command::new(script)
            .arg(command)
            .arg(&self.folder)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(output.status.success(), "{command}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs statements past the proxy; gives what they tell, a line a row, its values divided by tabs.
    pub fn sql(&self, statements: &str) -> String {
        self.told(statements, ";")
    }

    /// Runs one statement that has semicolons in it.
    pub fn define(&self, statement: &str) {
        self.told(statement, "//");
    }

    fn told(&self, statements: &str, delimiter: &str) -> String {
        let output = Command::new("mariadb")
            .args(["--no-defaults", "--batch", "--skip-column-names"])
            .args(["--protocol=tcp", "--host=127.0.0.1", "--user=test"])
            .args(["--password=secret", "--database=test"])
            .arg(format!("--port={}", self.port()))
            .arg(format!("--delimiter={delimiter}"))
            .arg(format!("--execute={statements}"))
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(output.status.success(), "{statements}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}
