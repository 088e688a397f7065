//! The program: flags in, exit code out.
#![forbid(unsafe_code)]

use std::process::ExitCode;

/// glibc's keeps what a burst of connections has freed: the holes lie between what lives on. This one gives it back.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    outrigger::cli::main()
}
