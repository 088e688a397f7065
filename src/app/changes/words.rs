//! Differences in words, for people and for the log.

use std::fmt::{self, Write};

use serde_json::{Value, json};

use super::state::by_owner;
use super::{Change, Changes, What};

/// The longest value that is shown whole, in characters.
const LONGEST: usize = 160;
/// The most bytes that the line for the log has.
const LINE: usize = 600;

impl Change {
    /// What it is, in one word.
    pub fn kind(&self) -> &'static str {
        match self.what {
            What::Added(_) => "added",
            What::Removed(_) => "removed",
            What::Changed(..) => "changed",
            What::Secret => "secret_changed",
            What::File => "file_changed",
        }
    }

    pub(super) fn json(&self) -> Value {
        let mut json = json!({ "key": self.path.join("."), "what": self.kind() });
        match &self.what {
            What::Added(new) => json["new"] = new.clone(),
            What::Removed(old) => json["old"] = old.clone(),
            What::Changed(old, new) => {
                json["old"] = old.clone();
                json["new"] = new.clone();
            }
            What::Secret | What::File => {}
        }
        if let Some(place) = &self.place {
            json["file"] = json!(place.file);
            json["line"] = json!(place.line);
        }
        json
    }
}

/// `routes.pay.timeout: "15s" -> "2s"`, behind a sign of what it is.
impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = self.path.join(".");
        match &self.what {
            What::Added(new) => write!(f, "+ {key}: {}", shown(new)),
            What::Removed(old) => write!(f, "- {key}: {}", shown(old)),
            What::Changed(old, new) => write!(f, "~ {key}: {} -> {}", shown(old), shown(new)),
            What::Secret => write!(f, "~ {key}: another secret"),
            What::File => write!(f, "~ {key}: the file has another content"),
        }
    }
}

/// For people, in several lines; nothing when nothing is different.
impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for change in &self.changes {
            write!(f, "{change}")?;
            if let Some(place) = &change.place {
                write!(f, "   ({place})")?;
            }
            writeln!(f)?;
        }
        for name in &self.opens {
            writeln!(f, "the listener `{name}` opens")?;
        }
        for name in &self.drains {
            writeln!(f, "the listener `{name}` closes, and drains")?;
        }
        for (of, what) in by_owner(&self.state, false) {
            writeln!(f, "lost: {of}: {}", what.join(", "))?;
        }
        // What goes on where nothing has changed is not worth a word.
        for (of, what) in by_owner(&self.state, true) {
            if self.touches(of) {
                writeln!(f, "kept: {of}: {}", what.join(", "))?;
            }
        }
        for sentence in &self.restart {
            writeln!(f, "a reload refuses this config: {sentence}")?;
        }
        Ok(())
    }
}

impl Changes {
    /// All differences in one line that is not too long for a log.
    pub fn line(&self) -> String {
        one_line(self.changes.iter().map(ToString::to_string))
    }

    /// What is lost, in such a line.
    pub fn lost_line(&self) -> Option<String> {
        let lost = by_owner(&self.state, false);
        let lost = lost
            .iter()
            .map(|(of, what)| format!("{of}: {}", what.join(", ")));
        let line = one_line(lost);
        (!line.is_empty()).then_some(line)
    }

    /// Whether something is different of `owner`, such as `routes.pay`.
    fn touches(&self, owner: &str) -> bool {
        self.changes.iter().any(|change| {
            let mut path = change.path.iter();
            owner
                .split('.')
                .all(|key| path.next().is_some_and(|part| part == key))
        })
    }
}

fn one_line(parts: impl Iterator<Item = String>) -> String {
    let mut line = String::new();
    let mut left = 0;
    for part in parts {
        let gap = if line.is_empty() { "" } else { "; " };
        if left > 0 || line.len() + gap.len() + part.len() > LINE {
            left += 1;
        } else {
            let _ = write!(line, "{gap}{part}");
        }
    }
    if left > 0 {
        let gap = if line.is_empty() { "" } else { "; and " };
        let _ = write!(line, "{gap}{left} more");
    }
    line
}

/// A value as it would stand in a line of TOML, cut where it is long.
fn shown(value: &Value) -> String {
    let whole = inline(value);
    match whole.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", &whole[..end]),
        None => whole,
    }
}

fn inline(value: &Value) -> String {
    match value {
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(inline).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(entries) => {
            let set = entries.iter().filter(|(_, value)| !value.is_null());
            let set: Vec<_> = set
                .map(|(key, value)| format!("{key} = {}", inline(value)))
                .collect();
            if set.is_empty() {
                "{}".to_owned()
            } else {
                format!("{{ {} }}", set.join(", "))
            }
        }
        other => other.to_string(),
    }
}
