//! Starting the proxy.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use super::process::Process;
use super::proxy::Proxy;
use super::tls_client::TlsClient;
use super::unreachable::Refusing;
use super::volume::{Layout, write};
use super::wait::{LIMIT, poll};

/// How to start the proxy.
pub struct Launch {
    pub(super) text: String,
    pub(super) layout: Layout,
    pub(super) whole_directory: bool,
    pub(super) admin: Option<SocketAddr>,
    pub(super) admin_tls: Option<TlsClient>,
    pub(super) probe: Option<SocketAddr>,
    workers: usize,
    shell: Option<String>,
    files: Vec<(String, String)>,
    admin_lines: Vec<String>,
}

/// A proxy that did not come up.
#[derive(Debug)]
pub struct Exited {
    pub code: Option<i32>,
    /// Both streams.
    pub output: String,
}

pub(super) const FILE: &str = "main.toml";
pub(super) const ADMIN_SOCKET: &str = "admin.sock";

impl Launch {
    pub fn new(text: impl Into<String>) -> Launch {
        Launch {
            text: text.into(),
            layout: Layout::Renamed,
            whole_directory: false,
            admin: None,
            admin_tls: None,
            probe: None,
            workers: 2,
            shell: None,
            files: Vec::new(),
            admin_lines: Vec::new(),
        }
    }

    /// The config comes through a ConfigMap volume.
    #[must_use]
    pub fn config_map(mut self) -> Launch {
        self.layout = Layout::ConfigMap;
        self
    }

    /// `--config` names the directory, not the file.
    #[must_use]
    pub fn directory(mut self) -> Launch {
        self.whole_directory = true;
        self
    }

    /// The admin API is on a port of its own, not on a unix socket.
    #[must_use]
    pub fn admin_on_tcp(mut self) -> Launch {
        self.admin = Some(free_address());
        self
    }

    /// The same over TLS, as the config says; `client` is who asks.
    #[must_use]
    pub fn admin_over_tls(mut self, client: &TlsClient) -> Launch {
        self.admin_tls = Some(client.clone());
        self.admin_on_tcp()
    }

    /// Also serves the probes.
    #[must_use]
    pub fn probes(mut self) -> Launch {
        self.probe = Some(free_address());
        self
    }

    /// One worker, where a test counts what each would do for itself.
    #[must_use]
    pub fn one_worker(mut self) -> Launch {
        self.workers = 1;
        self
    }

    /// It may have so many files open: the soft limit and the hard one.
    #[must_use]
    pub fn open_files(self, soft: u32, hard: u32) -> Launch {
        self.by_shell(format!(
            "ulimit -Sn {soft} && ulimit -Hn {hard} && exec \"$0\" \"$@\""
        ))
    }

    /// A shell starts it as `"$0" "$@"`, and becomes it.
    #[must_use]
    pub fn by_shell(mut self, text: impl Into<String>) -> Launch {
        self.shell = Some(text.into());
        self
    }

    /// A line of `[admin]`.
    #[must_use]
    pub fn admin_line(mut self, line: &str) -> Launch {
        self.admin_lines.push(line.to_owned());
        self
    }

    /// Another file beside the config, there from the start.
    #[must_use]
    pub fn file(mut self, name: &str, text: &str) -> Launch {
        self.files.push((name.to_owned(), text.to_owned()));
        self
    }

    /// Waits until the proxy is ready.
    pub fn start(self) -> Proxy {
        self.try_start()
            .unwrap_or_else(|exited| panic!("the proxy starts: {exited:?}"))
    }

    pub fn try_start(self) -> Result<Proxy, Exited> {
        let home = TempDir::new().expect("a temporary directory");
        let config = home.path().join("config");
        std::fs::create_dir(&config).expect("a temporary directory");
        for (name, text) in &self.files {
            write(self.layout, &config, name, text);
        }
        write(self.layout, &config, FILE, &self.whole_text(home.path()));
        let process = self.spawn(home.path());
        let mut proxy = Proxy::new(process, home, self);
        let mut exited = None;
        let ready = poll(LIMIT, &mut || {
            exited = proxy.process.exited();
            exited.is_some() || proxy.is_ready()
        });
        match exited {
            Some(status) => {
                proxy.wait_output();
                Err(Exited {
                    code: status.code(),
                    output: proxy.log(),
                })
            }
            None if ready => Ok(proxy),
            None => panic!("the proxy was not ready within {LIMIT:?}:\n{}", proxy.log()),
        }
    }

    /// Runs the proxy with the config that is there.
    pub(super) fn spawn(&self, home: &Path) -> Process {
        let config = home.join("config");
        let named = if self.whole_directory {
            config
        } else {
            config.join(FILE)
        };
        Process::spawn(
            self.command()
                .arg("run")
                .arg("--config")
                .arg(named)
                .current_dir(home),
        )
    }

    fn command(&self) -> Command {
        let program = env!("CARGO_BIN_EXE_outrigger");
        let Some(text) = &self.shell else {
            return Command::new(program);
        };
        let mut command = Command::new("sh");
        command.arg("-c").arg(text).arg(program);
        command
    }

    /// The test's own text comes first, so that its line numbers hold.
    pub(super) fn whole_text(&self, home: &Path) -> String {
        let admin = match self.admin {
            Some(address) => address.to_string(),
            None => format!("unix:{}", home.join(ADMIN_SOCKET).display()),
        };
        let probe = match self.probe {
            Some(address) => address.to_string(),
            None => "none".to_owned(),
        };
        let mut text = format!(
            "{}\n[admin]\nlisten = \"{admin}\"\nprobe_listen = \"{probe}\"\n",
            self.text
        );
        for line in &self.admin_lines {
            text.push_str(line);
            text.push('\n');
        }
        if !self.text.contains("[process]") {
            text.push_str(&format!("\n[process]\nworkers = {}\n", self.workers));
        }
        text
    }
}

/// Free a moment ago; the kernel gives ports at random, so that nobody else is likely to get it now.
fn free_address() -> SocketAddr {
    Refusing::bind().address()
}
