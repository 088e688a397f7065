//! What `{name}` segments of a path matched.

use std::sync::Arc;

/// Names and the text that each matched, in order of the path. Nothing is allocated when there are none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Captures(Vec<(Arc<str>, String)>);

impl Captures {
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(n, _)| **n == *name)
            .map(|(_, text)| text.as_str())
    }

    pub fn push(&mut self, name: Arc<str>, text: &str) {
        self.0.push((name, text.to_owned()));
    }
}
