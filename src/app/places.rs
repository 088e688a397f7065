//! Where the keys of the config that serves stand.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use crate::app::snapshot::Snapshot;
use crate::config::{self, Places};

/// The places of all keys that somebody has set, as `file:line` by the path of the key, such as `routes.pay.timeout`. None
/// where the files at `path` are not those that serve. Call it on a thread that may wait for files.
pub fn of(snapshot: &Snapshot, path: Option<&Path>) -> Option<BTreeMap<String, String>> {
    let (places, hash) = config::places(path?);
    if hash != snapshot.content.hash {
        return None;
    }
    let mut found = BTreeMap::new();
    add(
        &places,
        &mut Vec::new(),
        &json!(snapshot.config),
        &mut found,
    );
    Some(found)
}

fn add(
    places: &Places,
    path: &mut Vec<String>,
    value: &Value,
    found: &mut BTreeMap<String, String>,
) {
    let Value::Object(table) = value else { return };
    for (key, value) in table {
        path.push(key.clone());
        if let Some(place) = places.set(path) {
            found.insert(path.join("."), place.to_string());
            add(places, path, value, found);
        }
        path.pop();
    }
}
