//! The counts that were measured before, kept with the code.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use serde::{Deserialize, Serialize};

#[derive(Deserialize, Serialize)]
pub struct Baseline {
    /// The compiler that made the proxy whose instructions were counted.
    compiler: String,
    /// Instructions a request, by kind of traffic.
    pub requests: BTreeMap<String, u64>,
}

impl Baseline {
    pub fn read() -> Self {
        let text = std::fs::read_to_string(path()).expect("the baseline can be read");
        toml::from_str(&text).expect("the baseline is sound")
    }

    pub fn is_of_this_compiler(&self) -> bool {
        self.compiler == compiler()
    }

    /// Puts these counts in the place of those from before.
    pub fn write(mut self) {
        self.compiler = compiler();
        let mut text = format!("compiler = \"{}\"\n\n[requests]\n", self.compiler);
        for (name, count) in &self.requests {
            text.push_str(&format!("{name} = {count}\n"));
        }
        std::fs::write(path(), text).expect("the baseline can be written");
    }
}

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("benches/instructions/baseline.toml")
}

fn compiler() -> String {
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let output = Command::new(rustc).arg("--version").output();
    String::from_utf8(output.expect("rustc tells its version").stdout)
        .unwrap()
        .trim()
        .to_owned()
}
