//! The warnings of a config, in the log.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::{Problem, Report};

/// Warnings that were told. The same one is told once for as long as it holds.
#[derive(Default)]
pub struct Warnings {
    told: BTreeSet<(String, String)>,
}

impl Warnings {
    /// Logs the warnings of the config that is to serve, as far as they are new. One about a file that several places
    /// name is one warning.
    pub fn tell(&mut self, report: &Report) {
        let mut holding = BTreeSet::new();
        let mut new: BTreeMap<&str, Vec<&Problem>> = BTreeMap::new();
        for warning in report.problems() {
            // Lines move whenever something is written above them.
            let identity = (warning.key.clone(), warning.message.clone());
            if !self.told.contains(&identity) {
                new.entry(&warning.message).or_default().push(warning);
            }
            holding.insert(identity);
        }
        self.told = holding;
        for (message, places) in new {
            let [first, others @ ..] = places.as_slice() else {
                continue;
            };
            tracing::warn!(
                file = first.file,
                line = first.position.map(|position| position.line),
                key = first.named_key(),
                also = also(others),
                help = first.help,
                "{message}"
            );
        }
    }
}

/// The other keys that have the same warning.
fn also(others: &[&Problem]) -> Option<String> {
    let keys: Vec<_> = others.iter().map(|other| other.key.as_str()).collect();
    (!keys.is_empty()).then(|| keys.join(", "))
}
