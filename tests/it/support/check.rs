//! `outrigger check`, as an operator runs it.

use std::process::{Command, Stdio};

/// The exit code, and all that is said, of `check --live` of a file with this text.
pub fn check_live(text: &str) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("main.toml");
    std::fs::write(&path, text).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_outrigger"))
        .args(["check", "--live"])
        .arg(&path)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    (output.status.code(), said.into_owned())
}
