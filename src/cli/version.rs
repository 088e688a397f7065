//! `outrigger version`

use std::process::ExitCode;

use clap::Args;

use super::say;

/// Print version, commit and compiler
#[derive(Args)]
#[command(after_help = "Example:\n  outrigger version")]
pub(super) struct Version {}

impl Version {
    pub fn run(&self) -> ExitCode {
        say(format_args!("outrigger {}", line()));
        ExitCode::SUCCESS
    }
}

/// `0.1.0 (commit 8ab598c01234, rustc 1.95.0)`
pub(super) const fn line() -> &'static str {
    concat!(
        env!("CARGO_PKG_VERSION"),
        " (commit ",
        env!("OUTRIGGER_COMMIT"),
        ", rustc ",
        env!("OUTRIGGER_RUSTC"),
        ")"
    )
}
