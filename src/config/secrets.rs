//! The secrets that stand in a config itself, told apart without being kept.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::OnceLock;

use super::source::Source;
use super::tree::{Node, Value};
use crate::value::names_a_secret;

/// The texts that are read as secrets, and those under keys that sound like one, by the keys that lead to them. Each has a
/// fingerprint by a key of this process, from which nobody guesses it.
pub(super) fn of(root: &Node, sources: &[Source]) -> BTreeMap<String, u64> {
    let mut found = BTreeMap::new();
    walk(root, &mut Vec::new(), false, sources, &mut found);
    found
}

fn walk<'a>(
    node: &'a Node,
    path: &mut Vec<&'a str>,
    telling: bool,
    sources: &[Source],
    found: &mut BTreeMap<String, u64>,
) {
    match &node.value {
        Value::Table(table) => {
            for (key, entry) in table {
                path.push(key);
                let telling = telling || names_a_secret(key);
                walk(&entry.node, path, telling, sources, found);
                path.pop();
            }
        }
        Value::List(items) => {
            for item in items {
                walk(item, path, telling, sources, found);
            }
        }
        Value::Text(text) => {
            let read = |source: &Source| source.reads_as_secret(&node.place.span);
            if telling || sources.get(node.place.source).is_some_and(read) {
                // Several in a list are one: its order counts.
                let print = found.entry(path.join(".")).or_insert(0);
                *print = key().hash_one((*print, text));
            }
        }
        Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Date => {}
    }
}

fn key() -> &'static RandomState {
    static KEY: OnceLock<RandomState> = OnceLock::new();
    KEY.get_or_init(RandomState::new)
}

#[cfg(test)]
mod tests {
    use super::super::parse;

    #[test]
    fn a_secret_is_told_from_another_and_not_kept() {
        let read = |secret: &str| {
            let text = format!(
                "[listeners.a]\nlisten = \"unix:/a\"\n[upstreams.u]\nendpoints = [\"a:1\"]\n[routes.pay]\nupstream = \"u\"\ncredentials = {{ bearer = {{ value = \"{secret}\" }} }}\n"
            );
            parse("x.toml", &text).unwrap().content.secrets
        };
        let (one, same, other) = (read("s3cret"), read("s3cret"), read("0ther"));
        assert_eq!(
            one.keys().collect::<Vec<_>>(),
            ["routes.pay.credentials.bearer.value"]
        );
        assert_eq!(one, same);
        assert_ne!(one, other);
    }
}
