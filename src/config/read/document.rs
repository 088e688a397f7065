//! A config as it is written: its tree, the texts that it was read from, and where in them a problem stands.

use crate::config::de::{self, Kind};
use crate::config::report::Problem;
use crate::config::source::Source;
use crate::config::tree::{Node, Place, Value};
use crate::value::problem;

/// What a reader reads, and shows without its secrets where something is wrong with it.
pub(super) struct Document<'a> {
    pub root: Node,
    pub sources: &'a [Source],
    /// The config as a whole, for what is wrong with no place in it.
    pub name: String,
}

impl Document<'_> {
    /// What is wrong with a block, at the place that the deserializer had reached.
    pub fn problem(&self, error: &de::Error) -> Problem {
        let place = if error.at_key || matches!(error.kind, Kind::NotBuilt) {
            self.root.key_place(&error.path)
        } else {
            self.root.value_place(&error.path)
        };
        let secret = place.filter(|place| self.hides(place));
        let (message, help) = error.words(secret.is_some());
        let message = self.without_secret(message, &error.path);
        // The header of a list of tables, where one table was meant.
        let doubled = |place: &&Place| self.text(place).starts_with("[[");
        let help = match (&error.kind, place.filter(doubled)) {
            (Kind::Unfit { expected, .. }, Some(_)) if expected == "a table" => {
                Some("write its name in single brackets".to_owned())
            }
            _ => help,
        };
        Problem {
            help,
            key: error.path.join("."),
            ..self.at(place, message)
        }
    }

    /// What a room found, at the place that its keys lead to.
    pub fn at_its_place(&self, found: problem::Problem) -> Problem {
        let related = |(path, label): (Vec<String>, String)| {
            Some((self.root.key_place(&path)?.clone(), label))
        };
        let message = self.without_secret(found.message, &found.at);
        Problem {
            severity: found.severity,
            help: found.help,
            key: found.at.join("."),
            related: found.related.into_iter().filter_map(related).collect(),
            ..self.at(self.root.value_place(&found.at), message)
        }
    }

    /// `message`, where the text at `path` is a secret and stands in it, as it is or in escapes, without that.
    fn without_secret(&self, message: String, path: &[String]) -> String {
        match self.root.at(path) {
            Some(node) if self.hides(&node.place) => match &node.value {
                Value::Text(text) if !text.is_empty() => {
                    let escaped = text.escape_debug().to_string();
                    message
                        .replace(text.as_str(), "...")
                        .replace(&escaped, "...")
                }
                _ => message,
            },
            _ => message,
        }
    }

    fn hides(&self, place: &Place) -> bool {
        let source = self.sources.get(place.source);
        source.is_some_and(|source| source.hides(&place.span))
    }

    /// What stands at `place`.
    pub fn text(&self, place: &Place) -> &str {
        let source = self.sources.get(place.source);
        source
            .and_then(|source| source.text.get(place.span.clone()))
            .unwrap_or_default()
    }

    fn at(&self, place: Option<&Place>, message: String) -> Problem {
        match place {
            Some(place) => Problem::at(place.clone(), self.sources, message),
            None => Problem::of(self.name.clone(), message),
        }
    }
}
