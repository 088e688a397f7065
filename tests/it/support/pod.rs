//! Two network namespaces: a pod, and a machine that it can reach.

use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

use super::wait::{LIMIT, eventually};

/// Both are removed when it is dropped.
pub struct Pod {
    name: String,
    afar: String,
}

/// The pod's own addresses.
pub const POD: [&str; 3] = ["198.18.77.1", "[fd77::1]", "[fe80::77:1%eth0]"];

/// Those of the other machine: one that is redirected, in both families; one that stands for what is excluded; its
/// link-local one.
pub const AFAR: [&str; 4] = [
    "198.18.77.2",
    "[fd77::2]",
    "198.18.77.3",
    "[fe80::77:2%eth0]",
];

impl Pod {
    /// None, with a line that says so, where namespaces or the programs are not to be had.
    pub fn new() -> Option<Pod> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("outrigger-{}-{number}", std::process::id());
        let pod = Pod {
            afar: format!("{name}-afar"),
            name,
        };
        match pod.set_up() {
            Ok(()) => Some(pod),
            Err(why) => {
                eprintln!("skipped, as there are no network namespaces here: {why}");
                None
            }
        }
    }

    fn set_up(&self) -> Result<(), String> {
        let (pod, afar) = (&self.name, &self.afar);
        ip(&format!("netns add {pod}"))?;
        ip(&format!("netns add {afar}"))?;
        ip(&format!(
            "link add eth0 netns {pod} type veth peer name eth0 netns {afar}"
        ))?;
        for (namespace, addresses) in [
            (pod, &["198.18.77.1/24", "fd77::1/64", "fe80::77:1/64"][..]),
            (
                afar,
                &[
                    "198.18.77.2/24",
                    "198.18.77.3/24",
                    "fd77::2/64",
                    "fe80::77:2/64",
                ],
            ),
        ] {
            ip(&format!("-n {namespace} link set lo up"))?;
            // None of these makes an address of its own, or asks whether somebody else has it.
            ip(&format!("-n {namespace} link set eth0 addrgenmode none"))?;
            ip(&format!("-n {namespace} link set eth0 up"))?;
            for address in addresses {
                let nodad = if address.contains("::") { "nodad" } else { "" };
                ip(&format!(
                    "-n {namespace} addr add {address} dev eth0 {nodad}"
                ))?;
            }
        }
        eventually(LIMIT, "the two reach each other", || {
            let shown = ip(&format!("-n {pod} link show eth0"));
            shown.is_ok_and(|shown| shown.contains("state UP"))
        });
        Ok(())
    }

    /// What [`Launch::by_shell`](super::Launch::by_shell) starts a proxy in the pod with.
    pub fn shell(&self) -> String {
        format!("exec ip netns exec {} \"$0\" \"$@\"", self.name)
    }

    /// The same on the other machine.
    pub fn shell_afar(&self) -> String {
        format!("exec ip netns exec {} \"$0\" \"$@\"", self.afar)
    }

    /// Runs a program in the pod, as user `uid`.
    pub fn run(&self, uid: u32, line: &[&str]) -> Output {
        run(&self.name, uid, line)
    }

    /// Runs a program on the other machine.
    pub fn run_afar(&self, line: &[&str]) -> Output {
        run(&self.afar, 0, line)
    }

    /// Runs `outrigger redirect ...` in the pod, and gives what it printed.
    pub fn redirect(&self, options: &str) -> (Option<i32>, String) {
        let program = env!("CARGO_BIN_EXE_outrigger");
        let line: Vec<&str> = [program, "redirect"]
            .into_iter()
            .chain(options.split(' '))
            .collect();
        let output = self.run(0, &line);
        (output.status.code(), both(&output))
    }

    /// The body that somebody in the pod gets.
    pub fn get(&self, uid: u32, url: &str) -> String {
        both(&self.run(uid, &curl(url)))
    }

    /// The body that somebody on the other machine gets.
    pub fn get_afar(&self, url: &str) -> String {
        both(&self.run_afar(&curl(url)))
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        for name in [&self.name, &self.afar] {
            let _not_there = ip(&format!("netns del {name}"));
        }
    }
}

fn curl(url: &str) -> [&str; 7] {
    ["curl", "-sS", "-g", "-m5", "--noproxy", "*", url]
}

fn run(namespace: &str, uid: u32, line: &[&str]) -> Output {
    let uid = uid.to_string();
    let started = Command::new("ip")
        .args([
            "netns",
            "exec",
            namespace,
            "setpriv",
            "--reuid",
            &uid,
            "--clear-groups",
        ])
        .args(line)
        .output();
    started.expect("`ip` was there before")
}

/// What was printed to both streams.
fn both(output: &Output) -> String {
    let texts = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    texts.concat()
}

fn ip(arguments: &str) -> Result<String, String> {
    let output = Command::new("ip")
        .args(arguments.split_whitespace())
        .output();
    match output {
        Ok(output) if output.status.success() => Ok(both(&output)),
        Ok(output) => Err(format!("ip {arguments}: {}", both(&output).trim())),
        Err(error) => Err(format!("ip: {error}")),
    }
}
