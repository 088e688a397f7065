//! Why a config that was read does not serve.

use crate::config::{Config, Problem};

/// Why what was read does not serve, short and long. More than a report has: a good config is refused as well, where only a
/// restart could apply it or a listener cannot have its address.
pub(super) struct Refusal {
    pub summary: String,
    pub report: String,
    /// The first problem of the report, where there is one.
    pub first: Option<Box<Problem>>,
}

impl Refusal {
    pub fn new(message: String) -> Self {
        Refusal {
            report: format!("error: {message}\n"),
            summary: message,
            first: None,
        }
    }
}

/// What is different and only a restart can change, a sentence each.
pub fn only_by_restart(old: &Config, new: &Config) -> Vec<String> {
    let mut refused = Vec::new();
    if old.process.workers() != new.process.workers() {
        refused.push(format!(
            "process.workers is {} and cannot become {} while the proxy runs",
            old.process.workers(),
            new.process.workers()
        ));
    }
    for (key, same) in [
        (
            "admin.listen",
            old.admin.config.listen == new.admin.config.listen,
        ),
        (
            "admin.probe_listen",
            old.admin.config.probe_listen == new.admin.config.probe_listen,
        ),
        (
            "admin.allow_remote",
            old.admin.config.allow_remote == new.admin.config.allow_remote,
        ),
    ] {
        if !same {
            refused.push(format!("{key} cannot change while the proxy runs"));
        }
    }
    refused
}

/// What only a restart can change is refused by its name.
pub(super) fn needs_restart(old: &Config, new: &Config) -> Result<(), Refusal> {
    let refused = only_by_restart(old, new);
    if refused.is_empty() {
        Ok(())
    } else {
        Err(Refusal::new(format!(
            "{}; restart it to apply this",
            refused.join(", ")
        )))
    }
}
