//! `process_*`: what the kernel says of this process, read from `/proc` at each scrape.
//!
//! Names and meanings are those of Prometheus's client libraries. They are written here and not through the
//! recorder because `process_cpu_seconds_total` is a counter with a fraction, which the facade does not have: for that
//! reason the crate `metrics-process` (2.4) cuts it to whole seconds, or makes it a gauge.
//! What a system does not tell is left out.

use std::fmt::Display;
use std::fs;

use crate::value::exposition::Metric;

const CPU: Metric = Metric::counter(
    "process_cpu_seconds_total",
    "User and system CPU time spent, in seconds.",
);
const RESIDENT: Metric = Metric::gauge(
    "process_resident_memory_bytes",
    "Resident memory, in bytes.",
);
const VIRTUAL: Metric = Metric::gauge("process_virtual_memory_bytes", "Virtual memory, in bytes.");
const THREADS: Metric = Metric::gauge("process_threads", "Operating system threads.");
const OPEN_FDS: Metric = Metric::gauge("process_open_fds", "Open file descriptors.");
const MAX_FDS: Metric = Metric::gauge(
    "process_max_fds",
    "The most file descriptors that may be open.",
);
const START_TIME: Metric = Metric::gauge(
    "process_start_time_seconds",
    "When the process started, in seconds since 1970.",
);

/// `USER_HZ`, the unit of times in `/proc`: 100 on every architecture that Linux still builds for but Alpha
/// (`proc(5)` calls it `sysconf(_SC_CLK_TCK)`).
const TICKS_PER_SECOND: f64 = 100.0;

/// The running process.
pub(super) struct Process {
    /// Seconds since 1970; it never changes, and reading it again would cost the most.
    started: Option<f64>,
}

impl Process {
    pub(super) fn new() -> Self {
        Process { started: started() }
    }

    /// Appends the metrics to `out`, in the text format.
    pub(super) fn render(&self, out: &mut String) {
        let stat = Stat::read();
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        write(out, CPU, stat.as_ref().and_then(Stat::cpu_seconds));
        write(out, RESIDENT, kibibytes(&status, "VmRSS:"));
        write(out, VIRTUAL, kibibytes(&status, "VmSize:"));
        write(out, THREADS, field(&status, "Threads:"));
        write(out, OPEN_FDS, open_fds());
        write(out, MAX_FDS, max_fds());
        write(out, START_TIME, self.started);
    }
}

fn write(out: &mut String, metric: Metric, value: Option<impl Display>) {
    if let Some(value) = value {
        metric.write_head(out);
        metric.write_sample(out, "", value);
    }
}

/// `/proc/self/stat` from its third field on: the second is the command's name and may hold spaces.
struct Stat(String);

impl Stat {
    fn read() -> Option<Self> {
        let text = fs::read_to_string("/proc/self/stat").ok()?;
        let (_, fields) = text.rsplit_once(')')?;
        Some(Stat(fields.to_owned()))
    }

    /// Field `number` as `proc(5)` counts them.
    fn field(&self, number: usize) -> Option<f64> {
        self.0.split_whitespace().nth(number - 3)?.parse().ok()
    }

    fn cpu_seconds(&self) -> Option<f64> {
        let (user, system) = (self.field(14)?, self.field(15)?);
        Some((user + system) / TICKS_PER_SECOND)
    }

    fn started_after_boot(&self) -> Option<f64> {
        Some(self.field(22)? / TICKS_PER_SECOND)
    }
}

fn started() -> Option<f64> {
    let system = fs::read_to_string("/proc/stat").ok()?;
    let boot = field(&system, "btime")?;
    Some(boot as f64 + Stat::read()?.started_after_boot()?)
}

fn kibibytes(text: &str, name: &str) -> Option<u64> {
    Some(field(text, name)? * 1024)
}

/// The first number on the line that starts with `name`.
fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

fn open_fds() -> Option<usize> {
    // Reading the directory opens one more.
    Some(
        fs::read_dir("/proc/self/fd")
            .ok()?
            .count()
            .saturating_sub(1),
    )
}

/// The soft limit; absent when there is none.
fn max_fds() -> Option<u64> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    field(&limits, "Max open files")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_tells_all() {
        let mut text = String::new();
        Process::new().render(&mut text);
        let value = |name: &str| -> f64 {
            let line = text
                .lines()
                .find(|line| line.starts_with(&format!("{name} ")));
            line.unwrap_or_else(|| panic!("{name} in {text}"))
                .rsplit_once(' ')
                .unwrap()
                .1
                .parse()
                .unwrap()
        };
        assert!(value("process_cpu_seconds_total") >= 0.0);
        assert!(value("process_resident_memory_bytes") > 1e5);
        assert!(value("process_virtual_memory_bytes") >= value("process_resident_memory_bytes"));
        assert!(value("process_threads") >= 1.0);
        assert!(value("process_open_fds") >= 3.0);
        assert!(value("process_max_fds") >= value("process_open_fds"));
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap()
            .as_secs_f64();
        let age = now - value("process_start_time_seconds");
        assert!((-2.0..86_400.0).contains(&age), "started {age} s ago");
    }

    #[test]
    fn a_command_name_with_spaces_and_parentheses_is_skipped() {
        let (_, fields) = "7 (a) b) R 1 2".rsplit_once(')').unwrap();
        assert_eq!(Stat(fields.to_owned()).field(4), Some(1.0));
    }
}
