//! The programs of iptables.

use std::fmt;
use std::io::{self, Write};
use std::process::{Command, Output, Stdio};

use super::table::Table;

/// How long another process that changes rules is waited for, in seconds.
const LOCK: &str = "30";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    V4,
    V6,
}

/// In which of the kernel's two places rules are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flavour {
    Nft,
    Legacy,
}

/// A set of programs of one flavour, by the name of the one for IPv4.
#[derive(Clone, Debug)]
pub(super) struct Tool {
    name: String,
    pub flavour: Flavour,
}

/// Those that were found, one of each flavour at the most. The first is preferred.
#[derive(Debug)]
pub(super) struct Programs {
    pub tools: Vec<Tool>,
}

/// Why it did not work.
#[derive(Debug)]
pub(super) struct Trouble {
    kind: Kind,
    says: String,
    help: Option<&'static str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// There is no such program, or the kernel has not what it asks for.
    Missing,
    Denied,
    Failed,
}

const CAPABILITY: &str = "run it as root with the capability NET_ADMIN, and NET_RAW for the legacy flavour: in a \
                          pod, an init container with `runAsUser: 0` and `capabilities: { add: [NET_ADMIN, NET_RAW] }`";
const INSTALL: &str = "install the package `iptables`, or name the program with `--iptables`";
const READ_ONLY: &str =
    "mount a writable directory at /run, or name another file in the variable XTABLES_LOCKFILE";
const KERNEL: &str = "the kernel has no nat table of this flavour: try the other one, `--iptables iptables-nft` or \
                      `--iptables iptables-legacy`";
const NO_IPV6: &str = "where IPv6 is not to be redirected, say `--no-ipv6`";

/// What `--iptables` may be: beside the program stand those of its family.
///
/// # Errors
/// A name from which those of the others do not follow.
pub(super) fn name(text: &str) -> Result<String, String> {
    let file = text.rsplit('/').next().unwrap_or(text);
    if file.starts_with("iptables") {
        Ok(text.to_owned())
    } else {
        Err("its name must begin with `iptables`, such as /usr/sbin/iptables-legacy".to_owned())
    }
}

impl Programs {
    /// `given` comes first, if it is given.
    ///
    /// # Errors
    /// There is none, or not the one that is given.
    pub fn find(given: Option<&str>) -> Result<Self, Trouble> {
        let usual = ["iptables", "iptables-nft", "iptables-legacy"];
        let mut tools: Vec<Tool> = Vec::new();
        for name in given.into_iter().chain(usual) {
            match run(name, &["-V"], None) {
                Ok(version) => {
                    let flavour = Flavour::of(&version);
                    if !tools.iter().any(|tool| tool.flavour == flavour) {
                        let name = name.to_owned();
                        tools.push(Tool { name, flavour });
                    }
                }
                Err(trouble) if given == Some(name) => return Err(trouble),
                Err(_) => {}
            }
        }
        if tools.is_empty() {
            return Err(Trouble {
                kind: Kind::Missing,
                says: "there is no `iptables` here".to_owned(),
                help: Some(INSTALL),
            });
        }
        Ok(Programs { tools })
    }

    /// The first that works here, and what it has installed.
    ///
    /// # Errors
    /// Why the preferred one does not.
    pub fn usable(&self, family: Family) -> Result<(&Tool, Table), Trouble> {
        let mut first = None;
        for tool in &self.tools {
            match tool.list(family) {
                Ok(table) => return Ok((tool, table)),
                Err(trouble) => first = first.or(Some(trouble)),
            }
        }
        Err(first.unwrap_or_else(|| Trouble {
            kind: Kind::Missing,
            says: "there is no `iptables` here".to_owned(),
            help: Some(INSTALL),
        }))
    }
}

impl Flavour {
    /// By what `iptables -V` prints. Before there were two, it named none.
    fn of(version: &str) -> Self {
        if version.contains("nf_tables") {
            Flavour::Nft
        } else {
            Flavour::Legacy
        }
    }
}

impl Tool {
    /// What it has installed. Does not ask the legacy program where it has nothing: the kernel would make its tables.
    ///
    /// # Errors
    /// What the program says.
    pub fn installed(&self, family: Family) -> Result<Table, Trouble> {
        if self.flavour == Flavour::Legacy && !family.has_legacy_nat() {
            return Ok(Table::default());
        }
        self.list(family)
    }

    fn list(&self, family: Family) -> Result<Table, Trouble> {
        let shown = run(
            &self.program(family),
            &["-w", LOCK, "-t", "nat", "-S"],
            None,
        )?;
        Ok(Table::new(&shown))
    }

    /// Has it do what `script` says, all or nothing.
    ///
    /// # Errors
    /// What the program says.
    pub fn restore(&self, family: Family, script: &str) -> Result<(), Trouble> {
        let program = format!("{}-restore", self.program(family));
        run(&program, &["-w", LOCK, "--noflush"], Some(script)).map(drop)
    }

    /// For people.
    pub fn title(&self, family: Family) -> String {
        let flavour = match self.flavour {
            Flavour::Nft => "nf_tables",
            Flavour::Legacy => "legacy",
        };
        format!("{family} ({}, {flavour})", self.program(family))
    }

    fn program(&self, family: Family) -> String {
        let (folder, file) = match self.name.rsplit_once('/') {
            Some((folder, file)) => (format!("{folder}/"), file),
            None => (String::new(), &*self.name),
        };
        match (family, file.strip_prefix("ip")) {
            (Family::V6, Some(rest)) => format!("{folder}ip6{rest}"),
            _ => self.name.clone(),
        }
    }
}

impl Family {
    /// The program that a script is for.
    pub fn restore(self) -> &'static str {
        match self {
            Family::V4 => "iptables-restore --noflush",
            Family::V6 => "ip6tables-restore --noflush",
        }
    }

    /// Whether this namespace has no address of it.
    pub fn is_off(self) -> bool {
        let addresses = std::fs::read_to_string("/proc/net/if_inet6").unwrap_or_default();
        self == Family::V6 && addresses.is_empty()
    }

    /// Whether nothing of it can be installed here, as `trouble` shows.
    pub fn has_nothing(self, trouble: &Trouble) -> bool {
        self == Family::V6
            && !trouble.is_denied()
            && (trouble.kind == Kind::Missing || self.is_off())
    }

    fn has_legacy_nat(self) -> bool {
        let tables = match self {
            Family::V4 => "/proc/net/ip_tables_names",
            Family::V6 => "/proc/net/ip6_tables_names",
        };
        let tables = std::fs::read_to_string(tables).unwrap_or_default();
        tables.lines().any(|table| table == "nat")
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Family::V4 => "IPv4",
            Family::V6 => "IPv6",
        })
    }
}

impl Trouble {
    pub fn is_denied(&self) -> bool {
        self.kind == Kind::Denied
    }

    pub fn while_installing(self, family: Family) -> Self {
        if family == Family::V4 || self.is_denied() {
            return self;
        }
        let says = format!(
            "{}\nIPv6 is in use here and is not redirected; IPv4 is",
            self.says
        );
        let help = Some(NO_IPV6);
        Trouble { says, help, ..self }
    }

    fn of(program: &str, printed: &str) -> Self {
        let denied = ["Permission denied", "Operation not permitted"];
        let says = format!("`{program}` failed: {}", printed.trim());
        let (kind, help) = if denied.iter().any(|words| printed.contains(words)) {
            (Kind::Denied, Some(CAPABILITY))
        } else if printed.contains("Read-only file system") {
            (Kind::Failed, Some(READ_ONLY))
        } else if printed.contains("can't initialize") || printed.contains("not supported") {
            (Kind::Missing, Some(KERNEL))
        } else {
            (Kind::Failed, None)
        };
        Trouble { kind, says, help }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.says)?;
        match self.help {
            Some(help) => write!(f, "\nhelp: {help}"),
            None => Ok(()),
        }
    }
}

/// What the program prints. `input` is what it reads.
fn run(program: &str, arguments: &[&str], input: Option<&str>) -> Result<String, Trouble> {
    let output = match output(program, arguments, input) {
        Ok(output) => output,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(Trouble {
                kind: Kind::Missing,
                says: format!("there is no `{program}` here"),
                help: Some(INSTALL),
            });
        }
        Err(error) => return Err(Trouble::of(program, &error.to_string())),
    };
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let printed = String::from_utf8_lossy(&output.stderr);
    Err(match printed.trim() {
        "" => Trouble::of(program, &output.status.to_string()),
        printed => Trouble::of(program, printed),
    })
}

fn output(program: &str, arguments: &[&str], input: Option<&str>) -> io::Result<Output> {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    if let (Some(mut stdin), Some(input)) = (child.stdin.take(), input) {
        // One that has gone says why itself.
        let _gone = stdin.write_all(input.as_bytes());
    }
    child.wait_with_output()
}
