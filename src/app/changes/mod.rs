//! What is different between two configs, and what becomes of what the proxy knows when the second follows the first.
//!
//! The differences are those of the effective configs ([`compare`]), as `GET /config` shows them: without secrets, of which only
//! that they have changed is told. What becomes of the state is read off two snapshots ([`state`]), of which the second was made
//! to follow the first by the same code as at a reload ([`dry`]), or at a reload itself.

use serde_json::{Value, json};

use super::reload::{only_by_restart, stays};
use super::snapshot::Snapshot;
use crate::config::{Config, Place, Places};
use crate::value::Name;

mod compare;
mod dry;
mod live;
mod state;
#[cfg(test)]
mod tests;
mod words;

pub use dry::{Side, between};
pub use live::Comparing;
pub use state::Fate;

/// All that is different.
#[derive(Debug, Default)]
pub struct Changes {
    pub changes: Vec<Change>,
    /// Listeners that open.
    pub opens: Vec<Name>,
    /// Listeners that close once those who are connected have gone.
    pub drains: Vec<Name>,
    /// What becomes of what is known.
    pub state: Vec<Fate>,
    /// What only a restart can apply, a sentence each: a reload refuses the whole config.
    pub restart: Vec<String>,
}

/// One difference.
#[derive(Debug)]
pub struct Change {
    /// The key, with those above it: `["routes", "pay", "timeout"]`.
    pub path: Vec<String>,
    pub what: What,
    /// Where it stands in the new config; what was removed, in the old one.
    pub place: Option<Place>,
}

#[derive(Debug, PartialEq)]
pub enum What {
    Added(Value),
    Removed(Value),
    Changed(Value, Value),
    /// A secret that stands in the config is another one.
    Secret,
    /// The file that it names has another content.
    File,
}

impl Changes {
    /// What is different when `new` follows `old`. Places are told as far as they are known.
    pub fn of(old: &Snapshot, new: &Snapshot, places: [Option<&Places>; 2]) -> Self {
        let sides = [old, new].map(|side| compare::Compared::of(&side.config, &side.content, None));
        Changes::with(compare::compare(&sides), old, new, places)
    }

    fn with(
        mut changes: Vec<Change>,
        old: &Snapshot,
        new: &Snapshot,
        [old_places, new_places]: [Option<&Places>; 2],
    ) -> Self {
        for change in &mut changes {
            let places = match change.what {
                What::Removed(_) => old_places,
                _ => new_places,
            };
            change.place = places.and_then(|places| places.nearest(&change.path));
        }
        let (old_config, new_config) = (&old.config, &new.config);
        Changes {
            changes,
            opens: unlike(new_config, old_config),
            drains: unlike(old_config, new_config),
            state: state::fates(old, new),
            restart: only_by_restart(old_config, new_config),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// What becomes of the state as far as it is lost.
    pub fn lost(&self) -> impl Iterator<Item = &Fate> {
        self.state.iter().filter(|fate| !fate.kept)
    }

    /// For programs.
    pub fn json(&self) -> Value {
        let fates = |kept| -> Value {
            let fates = self.state.iter().filter(|fate| fate.kept == kept);
            fates
                .map(|fate| json!({ "of": fate.of, "what": fate.what }))
                .collect()
        };
        json!({
            "same": self.is_empty(),
            "changes": self.changes.iter().map(Change::json).collect::<Value>(),
            "listeners": { "open": self.opens, "drain": self.drains },
            "state": { "kept": fates(true), "lost": fates(false) },
            "needs_restart": self.restart,
        })
    }
}

/// The listeners of `config` that `other` has not, or elsewhere.
fn unlike(config: &Config, other: &Config) -> Vec<Name> {
    let listeners = config.listeners.iter();
    let unlike = listeners.filter(|(name, listener)| !stays(other, name, listener));
    unlike.map(|(name, _)| name.clone()).collect()
}
