//! The proxy as a process whose instructions are counted.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::traffic::{Protocol, Traffic};

/// Tries to reach the proxy, which is slow under valgrind, a tenth of a second apart.
const PATIENCE: usize = 600;

pub struct Counted {
    pub port: u16,
    process: Child,
    folder: TempDir,
}

impl Counted {
    /// The program at `proxy` with one worker and a route to the origin at `origin`, as `traffic` has them, ready to be called.
    pub async fn start(proxy: &Path, origin: u16, traffic: &Traffic) -> Self {
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|socket| socket.local_addr())
            .expect("there is a free port")
            .port();
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("outrigger.toml");
        let protocol = match traffic.upstream {
            Protocol::Http1 => "http1",
            Protocol::Http2 => "http2",
        };
        let text = format!(
            r#"
            admin = {{ listen = "none", probe_listen = "none" }}
            process.workers = 1
            log.level = "error"
            {}
            listeners.bench.listen = "127.0.0.1:{port}"
            upstreams.origin = {{ endpoints = ["127.0.0.1:{origin}"], protocol = "{protocol}", connect_timeout = "30s" }}
            [routes.all]
            upstream = "origin"
            {}
            "#,
            traffic.settings,
            traffic.policies.join("\n")
        );
        std::fs::write(&config, text).unwrap();
        let process = Command::new("valgrind")
            .args(["--quiet", "--tool=callgrind", "--separate-threads=yes"])
            .arg(format!(
                "--callgrind-out-file={}",
                counts(&folder).display()
            ))
            .arg(proxy)
            .arg("run")
            .arg("--config")
            .arg(config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("valgrind is installed");
        let mut proxy = Counted {
            port,
            process,
            folder,
        };
        proxy.ready().await;
        proxy
    }

    async fn ready(&mut self) {
        for _ in 0..PATIENCE {
            if TcpStream::connect(("127.0.0.1", self.port)).await.is_ok() {
                return;
            }
            if let Ok(Some(status)) = self.process.try_wait() {
                panic!("the proxy ended with {status}");
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("the proxy does not begin to serve");
    }

    /// Ends it; the instructions that its worker has executed. What other threads do, such as reading the config, is no
    /// part of a request.
    pub async fn end(mut self) -> u64 {
        kill_process(Pid::from_child(&self.process), Signal::TERM).unwrap();
        // Others are counted meanwhile.
        let ended = tokio::task::spawn_blocking(move || {
            let status = self.process.wait().unwrap();
            assert!(status.success(), "the proxy ended with {status}");
            self
        });
        let this = ended.await.unwrap();
        let files = std::fs::read_dir(this.folder.path()).unwrap();
        files
            .filter_map(|file| std::fs::read_to_string(file.unwrap().path()).ok())
            .filter_map(|text| summary(&text))
            .max()
            .expect("valgrind wrote its counts")
    }
}

impl Drop for Counted {
    /// Nothing stays behind when the benchmark fails.
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What valgrind counted of one thread.
fn summary(text: &str) -> Option<u64> {
    text.lines()
        .find_map(|line| line.strip_prefix("summary: ")?.trim().parse().ok())
}

fn counts(folder: &TempDir) -> PathBuf {
    folder.path().join("counts")
}
