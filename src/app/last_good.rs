//! The last good config, kept in `admin.state_dir` for a restart that finds a broken one.
//!
//! It is one file, whole at any moment, which only the proxy's own user reads: the config may hold secrets. It has the text of
//! the config's files; what those name, such as certificates and secrets, stays where it is. A disk that is full or does not
//! answer keeps nothing from serving: it is told, and the file of before stays.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;

use metrics::gauge;
use serde::{Deserialize, Serialize};

use super::registering::put;
use crate::config::registered::texts_by_hand;
use crate::config::{self, Config, Loaded, Places};
use crate::value::exposition::Metric;
use crate::value::regular;

const FILE: &str = "last-good.json";

const SAVED: Metric = Metric::gauge(
    "outrigger_config_last_good_saved",
    "1 when the config that serves is kept for a restart, 0 when it could not be written.",
);

const SERVES: Metric = Metric::gauge(
    "outrigger_config_last_good_serves",
    "1 while the last good config of an earlier run serves, as what was found at the start could not.",
);

/// What is told of it.
pub const METRICS: &[Metric] = &[SAVED, SERVES];

#[derive(Deserialize, Serialize)]
struct Saved {
    /// The texts of the config's files, by their names.
    files: Vec<(String, String)>,
}

/// A directory, and what is to be written there.
type Job = (PathBuf, Saved);

/// Has the config that serves written by a thread of its own: a disk may not answer for ever. While one is written, the newest
/// of those that follow waits.
#[derive(Default)]
pub struct Keeper {
    next: Arc<Mutex<Option<Job>>>,
    writer: Option<mpsc::SyncSender<()>>,
}

impl Keeper {
    /// Keeps the config, where it says in which directory.
    pub fn keep(&mut self, config: &Config, places: &Places) {
        let Some(directory) = &config.admin.config.state_dir else {
            self.writer = None;
            return;
        };
        let files = texts_by_hand(places);
        let job = (directory.path().to_owned(), Saved { files });
        *self.next.lock().unwrap_or_else(PoisonError::into_inner) = Some(job);
        if self.writer.is_none() {
            self.writer = start(self.next.clone());
        }
        match &self.writer {
            // Where the channel is full, the thread looks again in any case.
            Some(writer) => drop(writer.try_send(())),
            None => {
                gauge!(SAVED.name).set(0.0);
                tracing::warn!(
                    "the config that serves is not kept for a restart: no thread can be had"
                );
            }
        }
    }
}

fn start(next: Arc<Mutex<Option<Job>>>) -> Option<mpsc::SyncSender<()>> {
    let (sender, wakes) = mpsc::sync_channel(1);
    // It ends with its sender.
    let work = move || {
        for () in wakes {
            let job = next.lock().unwrap_or_else(PoisonError::into_inner).take();
            let Some((directory, saved)) = job else {
                continue;
            };
            let written = write(&directory, &saved);
            gauge!(SAVED.name).set(f64::from(u8::from(written.is_ok())));
            if let Err(error) = written {
                let directory = directory.display();
                tracing::warn!(
                    "the config that serves is not kept for a restart: `{directory}` cannot be written to: {error}"
                );
            }
        }
    };
    let spawned = thread::Builder::new().name("state".to_owned()).spawn(work);
    spawned.ok().map(|_| sender)
}

fn write(directory: &Path, saved: &Saved) -> io::Result<()> {
    std::fs::create_dir_all(directory)?;
    put(directory, FILE, Some(&serde_json::to_string(saved)?))
}

/// The last good config of the one at `path`, which is broken. None when it names no directory for it, or nothing was kept
/// there.
///
/// # Errors
/// Why what was kept cannot serve.
pub fn load(path: &Path) -> Option<Result<Loaded, String>> {
    let file = config::state_directory(path)?.join(FILE);
    let text = match regular::read(&file, regular::LARGEST) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => return Some(Err(format!("cannot read `{}`: {error}", file.display()))),
    };
    let saved: Saved = match serde_json::from_slice(&text) {
        Ok(saved) => saved,
        Err(error) => return Some(Err(format!("`{}` is damaged: {error}", file.display()))),
    };
    let loaded = config::load_texts(path, &saved.files);
    Some(match loaded {
        Ok(loaded) => Ok(Loaded {
            is_on_disk: false,
            ..loaded
        }),
        Err(report) => Err(report.to_string()),
    })
}

/// Tells whether a last good config serves.
pub fn note(serves: bool) {
    gauge!(SERVES.name).set(f64::from(u8::from(serves)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn text(state: &Path, body: &str) -> String {
        format!(
            "[admin]\nstate_dir = \"{}\"\n[listeners.a]\nlisten = \"unix:/a\"\n[routes.a]\nrespond = {{ body = \"{body}\" }}\n",
            state.display()
        )
    }

    #[test]
    fn a_broken_config_has_the_last_good_one_in_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let (path, state) = (folder.path().join("x.toml"), folder.path().join("state"));
        std::fs::write(&path, text(&state, "good")).unwrap();
        let good = config::load(&path).unwrap();
        assert!(load(&path).is_none(), "nothing was kept");
        let files = texts_by_hand(&good.places);
        write(&state, &Saved { files }).unwrap();
        let kept = state.join(FILE);
        let mode = std::fs::metadata(&kept).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);

        std::fs::write(&path, format!("{}\n[routes.b\n", text(&state, "bad"))).unwrap();
        let loaded = load(&path).unwrap().unwrap();
        assert!(!loaded.is_on_disk);
        assert_eq!(loaded.content, good.content, "mended, it changes nothing");

        std::fs::write(&kept, "{").unwrap();
        assert!(load(&path).unwrap().unwrap_err().contains("is damaged"));
    }
}
