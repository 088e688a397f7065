//! The command line: one file for each command.
//!
//! Exit code 0 means done, 1 a failure at run time, 2 a bad command line or config.

use std::ffi::OsString;
use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::app::End;
use crate::config::Report;
use crate::value::regular::Progress;

mod admin;
mod certs;
mod check;
mod completions;
mod demo;
mod diff;
mod explain;
#[cfg(feature = "inject")]
mod inject;
mod man;
mod redirect;
mod run;
mod version;

/// A sidecar proxy that routes, protects and explains an application's HTTP, gRPC and WebSocket traffic.
#[derive(Parser)]
#[command(name = "outrigger", version = version::line(), arg_required_else_help = true)]
#[command(after_help = "Examples:
  outrigger check config/outrigger.toml
  outrigger run config/outrigger.toml")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Run(run::Run),
    Check(check::Check),
    Certs(certs::Certs),
    Explain(explain::Explain),
    Diff(diff::Diff),
    /// Print the JSON Schema of the config, for editors (not built yet)
    #[command(after_help = "Example:\n  outrigger schema > outrigger.schema.json")]
    Schema(NotBuilt),
    Demo(demo::Demo),
    /// Watch a running proxy (not built yet)
    #[command(after_help = "Example:\n  outrigger top")]
    Top(NotBuilt),
    #[cfg(feature = "inject")]
    Inject(Box<inject::Inject>),
    Redirect(redirect::Redirect),
    Completions(completions::Completions),
    Man(man::Man),
    Version(version::Version),
}

/// Takes whatever comes, so that the answer is that the command is not built, not that its flags are unknown.
#[derive(Args)]
struct NotBuilt {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    arguments: Vec<OsString>,
}

const BAD_USAGE: u8 = 2;

/// Names the config when the command line does not.
const CONFIG_VARIABLE: &str = "OUTRIGGER_CONFIG";

/// Where the config is when nobody says.
const CONFIG_DEFAULT: &str = "/etc/outrigger";

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    Cli::parse().command.run()
}

impl Command {
    fn run(self) -> ExitCode {
        match self {
            Command::Run(run) => run.run(),
            Command::Check(check) => check.run(),
            Command::Certs(certs) => certs.run(),
            Command::Explain(explain) => explain.run(),
            Command::Diff(diff) => diff.run(),
            Command::Schema(_) => not_built("schema"),
            Command::Demo(demo) => demo.run(),
            Command::Top(_) => not_built("top"),
            #[cfg(feature = "inject")]
            Command::Inject(inject) => inject.run(),
            Command::Redirect(redirect) => redirect.run(),
            Command::Completions(completions) => completions.run(),
            Command::Man(man) => man.run(),
            Command::Version(version) => version.run(),
        }
    }
}

fn not_built(command: &str) -> ExitCode {
    say_wrong(format_args!(
        "error: `{command}` is known, but not built yet in this version"
    ));
    ExitCode::from(BAD_USAGE)
}

/// The exit code of a proxy that has ended.
fn finish(end: io::Result<End>) -> ExitCode {
    match end {
        Ok(End::Drained) => ExitCode::SUCCESS,
        Ok(End::Cut) => ExitCode::FAILURE,
        Err(error) => {
            say_wrong(format_args!("error: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Shows a report to the person at the terminal, or to whatever reads standard error.
fn show(report: &Report) {
    if !is_plain() && io::stderr().is_terminal() {
        say_wrong(format_args!("{}\n", report.coloured()))
    } else {
        say_wrong(format_args!("{report}\n"))
    }
}

/// Whether nobody wants colours (no-color.org).
fn is_plain() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}

/// How long a file may take before somebody is told that it is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// Does `work`, which reads files. Where one does not answer, standard error says which, as often as it is waited for
/// again.
fn patiently<T>(work: impl FnOnce() -> T) -> T {
    let progress = Arc::new(Progress::default());
    progress.show();
    let (done, ended) = mpsc::channel::<()>();
    let watch = move || {
        let mut seen = None;
        while ended.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
            let open = progress.open_question();
            if let Some((_, path)) = open.as_ref().filter(|_| open == seen) {
                let path = path.display();
                say_wrong(format_args!(
                    "still waiting for `{path}`, which does not answer"
                ));
            }
            seen = open;
        }
    };
    // Without the thread nobody is told, and nothing else is lost.
    let _watch = thread::Builder::new().name("patience".into()).spawn(watch);
    let outcome = work();
    drop(done);
    outcome
}

/// A line on standard output. A reader that went away is no reason to fail.
fn say(line: impl Display) {
    let _ = writeln!(io::stdout(), "{line}");
}

/// A line on standard error.
fn say_wrong(line: impl Display) {
    let _ = writeln!(io::stderr(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_help_shows_an_example() {
        for command in Cli::command().get_subcommands() {
            let help = command.get_after_help().map(ToString::to_string);
            let line = format!("outrigger {}", command.get_name());
            assert!(help.is_some_and(|help| help.contains(&line)), "{line}");
        }
    }

    #[test]
    fn a_command_that_is_not_built_takes_any_flags() {
        for line in ["top --admin x", "schema a"] {
            let words = ["outrigger"].into_iter().chain(line.split(' '));
            assert!(Cli::try_parse_from(words).is_ok(), "{line}");
        }
    }
}
