//! Streams are created where they are missing. Those that exist are left as they are, and compared: a server ignores
//! silently what it is too old to know.

use serde_json::{Map, Value, json};

use super::api::{self, Failure};
use super::config::{Discard, Retention, StreamConfig};
use super::names;
use super::session::Session;

/// A stream as it is wanted: its name, and what is asked of it.
pub(super) struct Wanted {
    pub name: String,
    options: Value,
}

/// What became of a stream.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Declared {
    AsWanted,
    /// It is otherwise, or cannot be: why.
    Otherwise(String),
    /// It is not known, and can be asked again: why.
    Unknown(String),
}

/// The streams that a block of the config asks for.
pub(super) fn wanted(name: &str, config: &StreamConfig) -> Vec<Wanted> {
    let mut all = vec![Wanted {
        name: name.to_owned(),
        options: main(config),
    }];
    let replicas = config.replicas.get();
    if config.dead_letter || !config.retry.delays.is_empty() {
        all.push(Wanted {
            name: names::retry_stream(name),
            options: own(&names::all_steps(name), "workqueue", replicas),
        });
    }
    if config.dead_letter {
        all.push(Wanted {
            name: names::dead_stream(name),
            options: own(&names::all_dead_letters(name), "limits", replicas),
        });
    }
    all
}

fn main(config: &StreamConfig) -> Value {
    let nanos = |time: crate::value::Duration| json!(time.0.as_nanos() as u64);
    let mut options = json!({
        "subjects": config.subjects,
        "storage": "file",
        "retention": match config.retention {
            Retention::Limits => "limits",
            Retention::WorkQueue => "workqueue",
            Retention::Interest => "interest",
        },
        "discard": match (config.discard, config.retention) {
            (Some(Discard::Old), _) | (None, Retention::Limits) => "old",
            (Some(Discard::New), _) | (None, _) => "new",
        },
        "num_replicas": config.replicas,
    });
    for (key, value) in [
        ("max_msgs", config.max_messages.map(|most| json!(most))),
        ("max_bytes", config.max_bytes.map(|most| json!(most.0))),
        ("max_age", config.max_age.map(nanos)),
        ("duplicate_window", config.duplicate_window.map(nanos)),
    ] {
        if let Some(value) = value {
            options[key] = value;
        }
    }
    options
}

/// A stream of ours, which has no limit: nothing of it may be lost silently.
fn own(subjects: &str, retention: &str, replicas: u8) -> Value {
    json!({
        "subjects": [subjects],
        "storage": "file",
        "retention": retention,
        "discard": "new",
        "num_replicas": replicas,
        "max_msgs": -1,
        "max_bytes": -1,
        "max_age": 0,
    })
}

/// Creates a stream if there is none of its name, and looks at how it is.
pub(super) async fn declare(session: &Session, wanted: &Wanted) -> Declared {
    let name = &wanted.name;
    let info = api::ask(session, &format!("STREAM.INFO.{name}"), &Value::Null).await;
    let found = match info {
        Err(Failure::Missing) => {
            let mut options = wanted.options.clone();
            options["name"] = json!(name);
            api::ask(session, &format!("STREAM.CREATE.{name}"), &options).await
        }
        found => found,
    };
    match found {
        Ok(found) => match difference(&wanted.options, &found["config"]) {
            None => Declared::AsWanted,
            Some(difference) => Declared::Otherwise(difference),
        },
        Err(Failure::Missing) => Declared::Unknown("it is gone again".to_owned()),
        Err(Failure::Refused(why)) => Declared::Otherwise(why),
        Err(Failure::Unanswered(why)) => Declared::Unknown(why),
    }
}

/// How `found` differs from what is wanted of it, in a sentence. What is not wanted is not looked at; null is wanted not to be
/// there.
pub(super) fn difference(wanted: &Value, found: &Value) -> Option<String> {
    let empty = Map::new();
    let wanted = wanted.as_object().unwrap_or(&empty);
    let differences: Vec<String> = wanted
        .iter()
        .filter_map(|(key, wanted)| match found.get(key) {
            None | Some(Value::Null) if wanted.is_null() => None,
            None => Some(format!("`{key}` is not known to this server")),
            Some(found) if is_same(wanted, found) => None,
            Some(found) if wanted.is_null() => Some(format!("`{key}` is {found} there")),
            Some(found) => Some(format!("`{key}` is {found} there and {wanted} here")),
        })
        .collect();
    (!differences.is_empty()).then(|| differences.join(", "))
}

/// Lists are compared whatever their order.
fn is_same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Array(ones), Value::Array(others)) => {
            ones.len() == others.len() && ones.iter().all(|one| others.contains(one))
        }
        _ => one == other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_does_not_know_or_has_otherwise_is_told() {
        let wanted = json!({ "a": 1, "subjects": ["x", "y"], "backoff": null, "new": true });
        let found = json!({ "a": 1, "subjects": ["y", "x"], "more": 1, "new": true });
        assert_eq!(difference(&wanted, &found), None);
        let found = json!({ "a": 2, "subjects": ["x"], "backoff": [1] });
        assert_eq!(
            difference(&wanted, &found).unwrap(),
            "`a` is 2 there and 1 here, `subjects` is [\"x\"] there and [\"x\",\"y\"] here, \
             `backoff` is [1] there, `new` is not known to this server"
        );
    }
}
