//! `outrigger diff`

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::{BAD_USAGE, admin, patiently, say, say_wrong, show};
use crate::app::changes::{Side, between};
use crate::config::{self, Loaded};

/// Show what changes from one config to another, and what a reload would keep and lose
///
/// Secrets are never shown, only that one has changed. With `--admin`, the config that a running proxy serves is the old one; the
/// new one is read there, with the files and the environment that the proxy has. Exit code: 0 when nothing is different, 1 when
/// something is, 2 when a config cannot be read or is not good.
#[derive(Args)]
#[command(after_help = "Examples:
  outrigger diff old.toml new.toml
  outrigger diff --admin 127.0.0.1:15000 new.toml")]
pub(super) struct Diff {
    /// The old config, a TOML file or a directory of them; not with `--admin`
    #[arg(value_name = "OLD", required_unless_present = "admin")]
    first: Option<PathBuf>,
    /// The new one
    #[arg(value_name = "NEW", required_unless_present = "admin")]
    second: Option<PathBuf>,
    /// Compare with the config of the proxy whose admin API is there: `host:port` or `unix:/path`
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<String>,
    /// Write JSON, for programs
    #[arg(long)]
    json: bool,
}

const DIFFERENT: u8 = 1;

impl Diff {
    pub fn run(&self) -> ExitCode {
        ExitCode::from(match self.outcome() {
            Ok(true) => 0,
            Ok(false) => DIFFERENT,
            Err(()) => BAD_USAGE,
        })
    }

    /// Whether both are the same. What is wrong was said.
    fn outcome(&self) -> Result<bool, ()> {
        let mut told = match (&self.admin, &self.first, &self.second) {
            (Some(address), Some(new), None) => asked(address, new)?,
            (None, Some(old), Some(new)) => compared(old, new)?,
            _ => {
                say_wrong("error: name two configs, or one config with `--admin`");
                return Err(());
            }
        };
        let text = told["text"].take();
        if let Value::Object(told) = &mut told {
            told.remove("text");
        }
        let same = told["same"] == json!(true);
        if self.json {
            say(format_args!("{told:#}"));
        } else if same {
            say("nothing is different");
        } else {
            say(text.as_str().unwrap_or_default().trim_end());
        }
        Ok(same)
    }
}

fn compared(old: &Path, new: &Path) -> Result<Value, ()> {
    let (before, after) = (loaded(old)?, loaded(new)?);
    let root = |path: &Path| {
        let whole = std::path::absolute(path).ok()?;
        let directory = if whole.is_dir() {
            Some(whole.as_path())
        } else {
            whole.parent()
        };
        directory.map(Path::to_owned)
    };
    let (old_root, new_root) = (root(old), root(new));
    let sides = [(&before, &old_root), (&after, &new_root)]
        .map(|(loaded, root)| Side::of(loaded, root.as_deref()));
    let changes = between(&sides[0], &sides[1]).map_err(|why| {
        say_wrong(format_args!("error: {why}"));
    })?;
    let mut told = changes.json();
    told["text"] = json!(changes.to_string());
    Ok(told)
}

fn loaded(path: &Path) -> Result<Loaded, ()> {
    patiently(|| config::load(path)).map_err(|report| show(&report))
}

/// What the proxy at `address` says of the config at `new`.
fn asked(address: &str, new: &Path) -> Result<Value, ()> {
    let files = texts(new).map_err(|error| {
        say_wrong(format_args!("error: `{}`: {error}", new.display()));
    })?;
    let body = json!({ "files": files }).to_string();
    let answer = admin::ask(address, "POST", "/diff", &body).map_err(|why| {
        say_wrong(format_args!("error: {why}"));
    })?;
    let told = serde_json::from_str(&answer.body);
    match (answer.status, told) {
        (200, Ok(told)) => Ok(told),
        _ => {
            say_wrong(answer.body.trim_end());
            Err(())
        }
    }
}

/// The files of a config, with their names.
fn texts(path: &Path) -> io::Result<Vec<Value>> {
    let files = config::files_at(path)?;
    let mut texts = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file)?;
        texts.push(json!({ "name": file.display().to_string(), "text": text }));
    }
    Ok(texts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_code_tells_the_same_from_another_from_a_bad_one() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            Some(path)
        };
        let text = "[listeners.a]\nlisten = \"unix:/a\"\n[routes.a]\nrespond = { status = 200 }\n";
        let old = write("old.toml", text);
        let same = write("same.toml", &format!("# the same\n{text}"));
        let other = write("other.toml", &text.replace("200", "201"));
        let bad = write("bad.toml", "x = 1");
        for (new, expected) in [(same, Ok(true)), (other, Ok(false)), (bad, Err(()))] {
            let diff = Diff {
                first: old.clone(),
                second: new.clone(),
                admin: None,
                json: true,
            };
            assert_eq!(diff.outcome(), expected, "{new:?}");
        }
    }
}
