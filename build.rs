//! Tells the program which commit and which compiler it was built from: `OUTRIGGER_COMMIT` (given, or asked of
//! git) and `OUTRIGGER_RUSTC`. Without git both are "unknown".

use std::env;
use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=OUTRIGGER_COMMIT");
    // Every commit and checkout writes to this log, also in a linked worktree.
    if let Some(log) = answer("git", &["rev-parse", "--git-path", "logs/HEAD"])
        && Path::new(&log).exists()
    {
        println!("cargo::rerun-if-changed={log}");
    }
    let commit = env::var("OUTRIGGER_COMMIT")
        .ok()
        .filter(|commit| !commit.is_empty())
        .or_else(|| answer("git", &["rev-parse", "--short=12", "HEAD"]));
    let rustc = env::var("RUSTC")
        .ok()
        .and_then(|rustc| answer(&rustc, &["--version"]));
    let rustc = rustc.and_then(|text| text.split(' ').nth(1).map(str::to_owned));
    for (name, value) in [("COMMIT", commit), ("RUSTC", rustc)] {
        let value = value.unwrap_or_else(|| "unknown".to_owned());
        println!("cargo::rustc-env=OUTRIGGER_{name}={value}");
    }
}

/// What a program prints, when it runs and succeeds.
fn answer(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let text = text.trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}
