//! The proxy as its users run it: a process with a config file and an admin socket.

use std::io;
use std::net::SocketAddr;
use std::ops::{Deref, DerefMut};

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use super::client::{Client, Response};
use super::config::Setup;
use super::launch::{ADMIN_SOCKET, FILE, Launch};
use super::metrics::Metrics;
use super::process::Process;
use super::volume::write;
use super::wait::{SOON, eventually};

/// A running proxy; killed when dropped, and its log printed when the test has failed.
pub struct Proxy {
    pub(super) process: Process,
    home: TempDir,
    launch: Launch,
}

impl Proxy {
    pub(super) fn new(process: Process, home: TempDir, launch: Launch) -> Proxy {
        Proxy {
            process,
            home,
            launch,
        }
    }

    pub fn with(setup: &Setup) -> Proxy {
        Launch::new(setup.toml()).start()
    }

    pub fn start(toml: &str) -> Proxy {
        Launch::new(toml).start()
    }

    /// Where the listener `main` really listens.
    pub fn address(&self) -> SocketAddr {
        self.address_of("main")
            .expect("a listener named main")
            .parse()
            .expect("a TCP address")
    }

    /// Where a listener really listens, if there is one of that name.
    pub fn address_of(&self, listener: &str) -> Option<String> {
        let listeners = self.admin("GET", "/listeners", "").json();
        let found = listeners
            .as_array()
            .expect("a list of listeners")
            .iter()
            .find(|one| one["name"] == listener)?;
        Some(found["address"].as_str().expect("an address").to_owned())
    }

    /// A new connection to the listener `main`.
    pub fn client(&self) -> Client {
        Client::tcp(self.address())
    }

    /// One GET on a new connection to the listener `main`.
    pub fn get(&self, target: &str) -> Response {
        self.client().get(target)
    }

    /// A request to the admin API.
    pub fn admin(&self, method: &str, target: &str, body: &str) -> Response {
        self.admin_client().request(method, target, &[], body)
    }

    pub fn admin_client(&self) -> Client {
        self.try_admin_client().expect("the admin API listens")
    }

    fn try_admin_client(&self) -> io::Result<Client> {
        match (self.launch.admin, &self.launch.admin_tls) {
            (Some(address), Some(client)) => Ok(client.shake(address)?.http1()),
            (Some(address), None) => Client::try_tcp(address),
            (None, _) => Client::try_unix(&self.home.path().join(ADMIN_SOCKET)),
        }
    }

    /// Where the admin API is, with [`Launch::admin_on_tcp`].
    pub fn admin_address(&self) -> SocketAddr {
        self.launch.admin.expect("Launch::admin_on_tcp")
    }

    /// A new connection to the probes' own listener.
    pub fn probe_client(&self) -> Client {
        Client::tcp(self.launch.probe.expect("Launch::probes"))
    }

    /// A path in the proxy's own directory, which is also where it runs.
    pub fn path(&self, name: &str) -> std::path::PathBuf {
        self.home.path().join(name)
    }

    /// Whether it says that it wants traffic.
    pub fn is_ready(&self) -> bool {
        self.try_admin_client().is_ok_and(|mut admin| {
            admin
                .send_request("GET", "/readyz", &[], "")
                .try_answer()
                .is_ok_and(|answer| answer.status == 200)
        })
    }

    pub fn config(&self) -> Value {
        self.admin("GET", "/config", "").json()
    }

    pub fn generation(&self) -> u64 {
        self.config()["generation"].as_u64().expect("a generation")
    }

    /// What `GET /config` says of the last config that was refused; empty when none was.
    pub fn last_error(&self) -> String {
        match &self.config()["last_error"] {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        }
    }

    pub fn metrics(&self) -> Metrics {
        Metrics::parse(&self.admin("GET", "/metrics", "").text())
    }

    /// Writes a new config in the way it was first written, and returns at once.
    pub fn write_config(&mut self, toml: impl Into<String>) {
        self.launch.text = toml.into();
        let text = self.launch.whole_text(self.home.path());
        write(
            self.launch.layout,
            &self.home.path().join("config"),
            FILE,
            &text,
        );
    }

    /// Writes another file beside the config, in the same way.
    pub fn write_file(&self, name: &str, text: &str) {
        write(
            self.launch.layout,
            &self.home.path().join("config"),
            name,
            text,
        );
    }

    /// Writes a new config and waits until it serves.
    pub fn reload_with(&mut self, toml: impl Into<String>) {
        let before = self.generation();
        self.write_config(toml);
        eventually(SOON, "the new config serves", || self.generation() > before);
    }

    /// Writes a config that must be kept out, waits until it was, and gives back why.
    pub fn reload_refused(&mut self, toml: impl Into<String>) -> String {
        let before = self.generation();
        let error = self.last_error();
        self.write_config(toml);
        eventually(SOON, "the new config is refused", || {
            let now = self.last_error();
            !now.is_empty() && now != error
        });
        assert_eq!(
            self.generation(),
            before,
            "a refused config changes nothing"
        );
        self.last_error()
    }

    /// Kills it, starts it again with what is on disk, and waits until it is ready.
    pub fn restart(&mut self) {
        self.signal(Signal::KILL);
        self.process.wait_exit(SOON);
        self.process = self.launch.spawn(self.home.path());
        eventually(SOON, "it is ready again", || self.is_ready());
    }

    /// Asks it to drain.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    pub fn log(&self) -> String {
        format!("{}{}", self.stdout(), self.stderr())
    }
}

impl Deref for Proxy {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.process
    }
}

impl DerefMut for Proxy {
    fn deref_mut(&mut self) -> &mut Process {
        &mut self.process
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the proxy's log ---\n{}---", self.log());
        }
    }
}
