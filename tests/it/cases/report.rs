//! A config, and what `outrigger check` says of it.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

use serde::Deserialize;

use super::holds;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Family {
    case: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    name: String,
    config: String,
    #[serde(default)]
    files: BTreeMap<String, String>,
    #[serde(default = "errors")]
    code: i32,
    #[serde(default)]
    strict: bool,
    #[serde(default)]
    report: Vec<String>,
    #[serde(default)]
    never: Vec<String>,
}

fn errors() -> i32 {
    2
}

impl super::Family for Family {
    type Case = Case;

    fn cases(self) -> Vec<Case> {
        self.case
    }

    fn name(case: &Case) -> &str {
        &case.name
    }

    fn run(case: &Case) -> Result<(), String> {
        let folder = tempfile::tempdir().expect("a temporary directory");
        for (name, text) in &case.files {
            std::fs::write(folder.path().join(name), text).expect("a new file");
        }
        let config = folder.path().join("main.toml");
        std::fs::write(&config, &case.config).expect("a new file");
        let output = Command::new(env!("CARGO_BIN_EXE_outrigger"))
            .arg("check")
            .args(case.strict.then_some("--strict"))
            .arg(&config)
            .stdin(Stdio::null())
            .output()
            .expect("outrigger runs");
        let said =
            String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        holds(output.status.code() == Some(case.code), || {
            format!("exit code {:?}:\n{said}", output.status.code())
        })?;
        for part in &case.report {
            holds(said.contains(part), || {
                format!("does not say {part:?}:\n{said}")
            })?;
        }
        for part in &case.never {
            holds(!said.contains(part), || format!("says {part:?}:\n{said}"))?;
        }
        Ok(())
    }
}
