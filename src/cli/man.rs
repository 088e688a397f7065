//! `outrigger man`

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, CommandFactory};

use super::{Cli, say_wrong};

/// Print the manual page
#[derive(Args)]
#[command(after_help = "Examples:
  outrigger man | man --local-file -
  outrigger man --directory /usr/local/share/man/man1")]
pub(super) struct Man {
    /// Write the pages of all commands into this directory instead: `outrigger.1`, `outrigger-check.1` and so on
    #[arg(long)]
    directory: Option<PathBuf>,
}

impl Man {
    pub fn run(&self) -> ExitCode {
        let (written, place) = match &self.directory {
            Some(directory) => (write_all(directory), directory.display().to_string()),
            None => (print(), "standard output".to_owned()),
        };
        match written {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                say_wrong(format_args!("error: cannot write to `{place}`: {error}"));
                ExitCode::FAILURE
            }
        }
    }
}

fn print() -> io::Result<()> {
    // Written at once: a reader that has seen enough goes away.
    let mut page = Vec::new();
    clap_mangen::Man::new(Cli::command()).render(&mut page)?;
    match io::stdout().write_all(&page) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

fn write_all(directory: &Path) -> io::Result<()> {
    clap_mangen::generate_to(Cli::command(), directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page_with_its_example() {
        let dir = tempfile::tempdir().unwrap();
        write_all(dir.path()).unwrap();
        let page = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
        let whole = page("outrigger.1");
        for command in Cli::command().get_subcommands() {
            let name = command.get_name();
            assert!(whole.contains(&format!("outrigger\\-{name}(1)")), "{name}");
            let example = format!("outrigger {name}").replace('-', "\\-");
            assert!(
                page(&format!("outrigger-{name}.1")).contains(&example),
                "{name}"
            );
        }
        assert!(page("outrigger-check.1").contains("\\-\\-offline"));
    }
}
