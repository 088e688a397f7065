//! The program: flags in, exit code out.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    outrigger::cli::main()
}
