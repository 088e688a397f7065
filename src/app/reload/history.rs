//! What the newest reloads did, for whoever asks what has changed.

use std::collections::VecDeque;
use std::time::SystemTime;

use serde::{Serialize, Serializer};

/// So many are kept.
const KEPT: usize = 50;
/// So many bytes of the differences of one are kept, and of a report.
const MOST_BYTES: usize = 8 << 10;

/// A config that was put to use, or was not.
#[derive(Clone, Debug, Serialize)]
pub struct Reload {
    #[serde(serialize_with = "time_as_text")]
    pub at: SystemTime,
    pub result: Outcome,
    /// Of the config that serves from then on.
    pub generation: u64,
    /// What is different, or why it was refused, in one line.
    pub summary: String,
    /// What is different, as `outrigger diff` shows it: a line each, as far as there is room.
    pub changes: Vec<String>,
    pub changes_not_shown: usize,
    /// Why it was refused, as `outrigger check` shows it, as far as there is room.
    pub report: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The first config of this process.
    Started,
    Applied,
    Refused,
}

impl Reload {
    pub fn started(generation: u64) -> Self {
        Reload {
            at: SystemTime::now(),
            result: Outcome::Started,
            generation,
            summary: String::new(),
            changes: Vec::new(),
            changes_not_shown: 0,
            report: None,
        }
    }

    /// `changes` has a line for each difference.
    pub fn applied(generation: u64, summary: String, changes: &str) -> Self {
        let mut bytes = 0;
        let has_room = |line: &&str| {
            bytes += line.len();
            bytes <= MOST_BYTES
        };
        let shown: Vec<_> = changes.lines().take_while(has_room).collect();
        Reload {
            result: Outcome::Applied,
            summary,
            changes_not_shown: changes.lines().count() - shown.len(),
            changes: shown.into_iter().map(str::to_owned).collect(),
            ..Reload::started(generation)
        }
    }

    /// `generation` goes on serving.
    pub fn refused(generation: u64, summary: String, report: &str) -> Self {
        let end = report.floor_char_boundary(MOST_BYTES);
        Reload {
            result: Outcome::Refused,
            summary,
            report: Some(report[..end].to_owned()),
            ..Reload::started(generation)
        }
    }
}

/// The newest reloads.
#[derive(Default)]
pub struct History(VecDeque<Reload>);

impl History {
    /// Adds one, and forgets the oldest where there are enough.
    pub fn note(&mut self, reload: Reload) {
        self.0.truncate(KEPT - 1);
        self.0.push_front(reload);
    }

    /// The newest first.
    pub fn newest(&self) -> impl Iterator<Item = &Reload> {
        self.0.iter()
    }
}

fn time_as_text<S: Serializer>(at: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&humantime::format_rfc3339_millis(*at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_kept() {
        let mut history = History::default();
        for generation in 1..=120 {
            history.note(Reload::started(generation));
        }
        let kept: Vec<_> = history.newest().map(|reload| reload.generation).collect();
        assert_eq!((kept.len(), kept[0], kept[KEPT - 1]), (KEPT, 120, 71));
    }

    #[test]
    fn what_is_kept_of_one_is_bounded() {
        let line = format!("{}\n", "x".repeat(1000));
        let applied = Reload::applied(2, "much".to_owned(), &line.repeat(100));
        assert_eq!((applied.changes.len(), applied.changes_not_shown), (8, 92));
        let report = format!("error: {}", "ü".repeat(MOST_BYTES));
        let refused = Reload::refused(2, "wrong".to_owned(), &report);
        let kept = refused.report.unwrap();
        assert!(kept.len() <= MOST_BYTES && report.starts_with(&kept));
    }
}
