//! What applies to a route's requests, and where that was set.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::config::{Places, RouteConfig};
use crate::explain::{Policy, Set, SetBy, Target};
use crate::target::{Config as TargetConfig, Targets as _};

/// The keys beside a target.
const OPTIONS: [&str; 3] = ["rewrite", "mirror", "sticky"];

/// The policies of a route, in the order in which a request meets them. `places` are those of the config that serves, where they
/// are known; `states` is what is known of each now.
pub fn policies(
    name: &str,
    route: &RouteConfig,
    places: Option<&Places>,
    states: Option<&Value>,
) -> Vec<Policy> {
    let values = json!(route.policies);
    let keys = route.policies.config.set().into_iter();
    let policy = |key: &'static str| {
        let value = values[key].clone();
        let of_route: &[&str] = &["routes", name, key];
        let of_defaults: &[&str] = &["defaults", key];
        let place = |path: &[&str]| places.and_then(|places| places.of(path));
        let (by, place, path) = match (place(of_route), place(of_defaults)) {
            (Some(place), _) => (SetBy::Route, Some(place), of_route),
            (None, Some(place)) => (SetBy::Defaults, Some(place), of_defaults),
            (None, None) if places.is_none() => (SetBy::Unknown, None, of_route),
            (None, None) => (SetBy::Default, None, of_route),
        };
        Policy {
            key: key.to_owned(),
            set: Set { by, place },
            defaults: by_default(&value, path, places),
            state: states.and_then(|states| states.get(key)).cloned(),
            value,
        }
    };
    keys.map(policy).collect()
}

/// The keys of a table that nobody has set, where somebody has set the table.
fn by_default(value: &Value, path: &[&str], places: Option<&Places>) -> Vec<String> {
    let (Value::Object(table), Some(places)) = (value, places) else {
        return Vec::new();
    };
    if places.of(path).is_none() {
        return Vec::new();
    }
    let holds = table.iter().filter(|(_, value)| !value.is_null());
    let unset = holds.filter(|(key, _)| places.of(&[path, &[key.as_str()]].concat()).is_none());
    unset.map(|(key, _)| key.clone()).collect()
}

/// The target of a route.
pub fn target(
    name: &str,
    config: &TargetConfig,
    places: Option<&Places>,
    state: Option<Value>,
) -> Option<Target> {
    let (kind, _) = *config.blocks().first()?;
    let values = json!(config);
    let options = OPTIONS
        .iter()
        .map(|key| ((*key).to_owned(), values[*key].clone()));
    let options: BTreeMap<String, Value> = options.filter(|(_, value)| !value.is_null()).collect();
    Some(Target {
        kind: kind.to_owned(),
        value: values[kind].clone(),
        place: places.and_then(|places| places.of(&["routes", name, kind])),
        options,
        state,
    })
}
