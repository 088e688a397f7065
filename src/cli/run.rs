//! `outrigger run`

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::{BAD_USAGE, CONFIG_DEFAULT, CONFIG_VARIABLE, finish, patiently, show};
use crate::app;
use crate::app::reload::Source;
use crate::config::{self, Loaded};

/// Serve
#[derive(Args)]
#[command(after_help = "Example:
  outrigger run --config config/outrigger.toml")]
pub(super) struct Run {
    /// A TOML file, or a directory of them
    #[arg(long, value_name = "PATH", env = CONFIG_VARIABLE, default_value = CONFIG_DEFAULT)]
    config: PathBuf,
}

impl Run {
    pub fn run(&self) -> ExitCode {
        match self.load() {
            Ok(loaded) => {
                let source = Source::Path(self.config.clone());
                finish(app::run(source, loaded, |_| ()))
            }
            Err(code) => code,
        }
    }

    /// The config, after its warnings were shown.
    fn load(&self) -> Result<Loaded, ExitCode> {
        match patiently(|| config::load(&self.config)) {
            Ok(loaded) => {
                if !loaded.warnings.is_empty() {
                    show(&loaded.warnings);
                }
                Ok(loaded)
            }
            Err(report) => {
                show(&report);
                Err(ExitCode::from(BAD_USAGE))
            }
        }
    }
}
