//! `outrigger check`

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::{CONFIG_DEFAULT, CONFIG_VARIABLE, patiently, say, say_wrong, show};
use crate::config;

/// Say what is wrong with a config, without running it
///
/// Exit code: 0 when it is good, 1 when there are warnings and `--strict` is given, 2 when there are errors.
#[derive(Args)]
#[command(after_help = "Examples:
  outrigger check config/outrigger.toml
  outrigger check --strict /etc/outrigger
  outrigger check --live /etc/outrigger")]
pub(super) struct Check {
    /// A TOML file, or a directory of them
    #[arg(env = CONFIG_VARIABLE, default_value = CONFIG_DEFAULT)]
    path: PathBuf,
    /// Connect to the databases as well, and have them look at the statements of routes and the tables of relays; nothing is changed
    #[arg(long)]
    live: bool,
    /// Let warnings fail as well
    #[arg(long)]
    strict: bool,
}

const WARNINGS: u8 = 1;
const ERRORS: u8 = 2;

impl Check {
    pub fn run(&self) -> ExitCode {
        ExitCode::from(self.outcome())
    }

    fn outcome(&self) -> u8 {
        let path = self.path.display();
        let load = if self.live {
            config::load_live
        } else {
            config::load
        };
        match patiently(|| load(&self.path)) {
            Ok(loaded) if loaded.warnings.is_empty() => {
                say(format_args!("{path} is good"));
                0
            }
            Ok(loaded) => {
                show(&loaded.warnings);
                let warnings = count(loaded.warnings.warnings(), "warning");
                say(format_args!("{path} is good, with {warnings}"));
                if self.strict { WARNINGS } else { 0 }
            }
            Err(report) => {
                show(&report);
                let errors = count(report.errors(), "error");
                match report.warnings() {
                    0 => say_wrong(format_args!("{path} has {errors}")),
                    warnings => {
                        let warnings = count(warnings, "warning");
                        say_wrong(format_args!("{path} has {errors} and {warnings}"));
                    }
                }
                ERRORS
            }
        }
    }
}

fn count(number: usize, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        number => format!("{number} {what}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_code_tells_good_from_doubtful_from_bad() {
        let dir = tempfile::tempdir().unwrap();
        let good = "[listeners.a]\nlisten = \"unix:/a\"\n[routes.a]\nrespond = {}\n";
        let doubtful = "[listeners.a]\nlisten = \"unix:/a\"\n";
        for (text, strict, expected) in [
            (good, true, 0),
            (doubtful, false, 0),
            (doubtful, true, 1),
            ("x = 1", false, 2),
        ] {
            let path = dir.path().join("x.toml");
            std::fs::write(&path, text).unwrap();
            let check = Check {
                path,
                strict,
                live: false,
            };
            assert_eq!(check.outcome(), expected, "{text}");
        }
        let path = dir.path().join("nothing.toml");
        assert_eq!(
            Check {
                path,
                strict: false,
                live: false
            }
            .outcome(),
            2
        );
    }
}
