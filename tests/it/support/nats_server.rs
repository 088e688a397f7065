//! A NATS server with JetStream, as a process.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::process::Command;

use rustix::process::Signal;
use tempfile::TempDir;

use super::process::Process;
use super::wait::{LIMIT, eventually};

/// A server with an address of its own, which it keeps when it is started again. Killed when dropped.
pub struct NatsServer {
    process: Option<Process>,
    home: TempDir,
    address: Ipv4Addr,
}

const PORT: u16 = 4222;
/// Where those of a cluster reach each other.
const ROUTES: u16 = 6222;
const CONFIG: &str = "server.conf";

impl NatsServer {
    pub fn start() -> NatsServer {
        NatsServer::with("")
    }

    /// With more of its config: `authorization { token: t }`.
    pub fn with(config: &str) -> NatsServer {
        let mut server = NatsServer::unstarted();
        server.configure(config);
        server.again();
        server
    }

    /// Three that are a cluster, called `n0`, `n1` and `n2`.
    pub fn cluster() -> [NatsServer; 3] {
        let mut servers = [(); 3].map(|()| NatsServer::unstarted());
        let routes = servers.each_ref().map(|server| {
            let NatsServer { address, .. } = server;
            format!("nats://{address}:{ROUTES}")
        });
        for (number, server) in servers.iter_mut().enumerate() {
            let address = server.address;
            server.configure(&format!(
                "server_name: n{number}\n\
                 cluster {{ name: c, listen: \"{address}:{ROUTES}\", routes: {routes:?} }}"
            ));
            server.again();
        }
        servers
    }

    fn unstarted() -> NatsServer {
        // No connection of anybody else's begins at such an address: its port stays free while the server is down.
        let [_, a, b, c] = fastrand::u32(..).to_be_bytes();
        NatsServer {
            process: None,
            home: tempfile::tempdir().unwrap(),
            address: Ipv4Addr::new(127, a.clamp(1, 254), b, c.clamp(1, 254)),
        }
    }

    /// `nats://127.1.2.3:4222`
    pub fn url(&self) -> String {
        format!("nats://{}", self.host())
    }

    /// `127.1.2.3:4222`
    pub fn host(&self) -> String {
        format!("{}:{PORT}", self.address)
    }

    /// What the config has beside addresses and folders, from the next start on.
    pub fn configure(&self, config: &str) {
        let store = self.home.path().join("data");
        let whole = format!(
            "listen: \"{}\"\njetstream {{ store_dir: {store:?} }}\n{config}\n",
            self.host()
        );
        fs::write(self.home.path().join(CONFIG), whole).unwrap();
    }

    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.signal(Signal::KILL);
            process.wait_exit(LIMIT);
        }
    }

    /// Starts it where it was, with what it has stored.
    pub fn again(&mut self) {
        self.kill();
        let program = std::env::var("OUTRIGGER_TEST_NATS").expect(
            "OUTRIGGER_TEST_NATS says where the NATS server is: `tests/run` fetches it and sets that",
        );
        let mut command = Command::new(program);
        command.arg("--config").arg(self.home.path().join(CONFIG));
        self.process = Some(Process::spawn(&mut command));
        eventually(LIMIT, "the NATS server is up", || self.is_up());
    }

    /// Has it read its config anew.
    pub fn reload(&self) {
        self.process.as_ref().expect("it runs").signal(Signal::HUP);
    }

    /// Lets it stand still, and go on.
    pub fn freeze(&self, frozen: bool) {
        let process = self.process.as_ref().expect("it runs");
        process.signal(if frozen { Signal::STOP } else { Signal::CONT });
        if frozen {
            eventually(LIMIT, "it stands still", || process.stands_still());
        }
    }

    /// Publishes headers as they are, `NATS/1.0` in front, which no library would send.
    pub fn send_raw(&self, subject: &str, headers: &[u8], body: &[u8]) {
        let mut stream = TcpStream::connect((self.address, PORT)).unwrap();
        let (head, whole) = (headers.len(), headers.len() + body.len());
        let connect = "CONNECT {\"verbose\":false,\"headers\":true}";
        write!(stream, "{connect}\r\nHPUB {subject} {head} {whole}\r\n").unwrap();
        stream
            .write_all(&[headers, body, b"\r\nPING\r\n"].concat())
            .unwrap();
        let mut lines = BufReader::new(stream).lines();
        let done = lines.any(|line| line.unwrap().starts_with("PONG"));
        assert!(done, "the server has taken it");
    }

    /// Whether JetStream answers, as far as whoever does not log in can tell.
    fn is_up(&self) -> bool {
        let Ok(stream) = TcpStream::connect((self.address, PORT)) else {
            return false;
        };
        let mut line = String::new();
        let read = BufReader::new(stream).read_line(&mut line);
        read.is_ok() && line.starts_with("INFO") && line.contains("\"jetstream\":true")
    }
}
