//! `outrigger run`

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::{BAD_USAGE, CONFIG_DEFAULT, CONFIG_VARIABLE, finish, patiently, say_wrong, show};
use crate::app;
use crate::app::last_good;
use crate::app::reload::Source;
use crate::config::{self, Loaded};

/// Serve
#[derive(Args)]
#[command(after_help = "Examples:
  outrigger run config/outrigger.toml
  outrigger run --config config/outrigger.toml")]
pub(super) struct Run {
    /// A TOML file, or a directory of them [env: OUTRIGGER_CONFIG=] [default: /etc/outrigger]
    path: Option<PathBuf>,
    /// The same
    #[arg(long, value_name = "PATH", conflicts_with = "path")]
    config: Option<PathBuf>,
}

impl Run {
    /// The path that the command line names.
    fn said(self) -> Option<PathBuf> {
        self.path.or(self.config)
    }

    pub fn run(self) -> ExitCode {
        // What the environment says is no second path beside one that is given, as it would be to the parser of arguments.
        let environment = || std::env::var_os(CONFIG_VARIABLE).map(PathBuf::from);
        let path = self.said().or_else(environment);
        let path = path.unwrap_or_else(|| PathBuf::from(CONFIG_DEFAULT));
        match Self::load(&path) {
            Ok(loaded) => finish(app::run(Source::Path(path), loaded, |_| ())),
            Err(code) => code,
        }
    }

    /// The config, after its warnings were shown.
    fn load(path: &Path) -> Result<Loaded, ExitCode> {
        match patiently(|| config::load(path)) {
            Ok(loaded) => {
                if !loaded.warnings.is_empty() {
                    show(&loaded.warnings);
                }
                Ok(loaded)
            }
            Err(report) => {
                show(&report);
                match last_good::load(path) {
                    Some(Ok(loaded)) => {
                        say_wrong("the last good config of an earlier run serves in its place");
                        return Ok(loaded);
                    }
                    Some(Err(why)) => {
                        say_wrong(format_args!(
                            "the last good config cannot serve either: {why}"
                        ));
                    }
                    None => {}
                }
                Err(ExitCode::from(BAD_USAGE))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        run: Run,
    }

    #[test]
    fn a_path_may_stand_alone_or_behind_its_option() {
        let said = |line: &[&str]| {
            let parsed = Line::try_parse_from([&["run"], line].concat());
            parsed
                .map(|line| line.run.said())
                .map_err(|error| error.kind())
        };
        let path = Some(PathBuf::from("a"));
        assert_eq!(said(&["a"]), Ok(path.clone()));
        assert_eq!(said(&["--config", "a"]), Ok(path));
        assert_eq!(said(&[]), Ok(None));
        let twice = Err(clap::error::ErrorKind::ArgumentConflict);
        assert_eq!(said(&["--config", "a", "b"]), twice);
    }
}
