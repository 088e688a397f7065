//! The program whose instructions are counted: the one that users run, built with all that a release has.

use std::path::PathBuf;
use std::process::Command;

/// What `OUTRIGGER_BIN` names, else the release build, made now.
///
/// It is not the one that cargo builds along with this benchmark. So the benchmark itself may be built without
/// optimisation, with what the tests have built already.
pub fn built() -> PathBuf {
    if let Some(named) = std::env::var_os("OUTRIGGER_BIN") {
        return named.into();
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        // What cargo tells a benchmark of its package would make that build another one.
        .env_remove("OUTRIGGER_COMMIT")
        .env_remove("OUTRIGGER_RUSTC")
        .args(["build", "--release", "--locked", "--bin", "outrigger"])
        .status()
        .expect("cargo runs");
    assert!(status.success(), "the release build failed with {status}");
    // This benchmark is TARGET/PROFILE/deps/instructions-HASH.
    let this = std::env::current_exe().expect("the path of this benchmark");
    let target = this.ancestors().nth(3).expect("the target directory");
    target.join("release/outrigger")
}
