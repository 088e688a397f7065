//! The reference, `config/outrigger.toml`, tells of every key, and shows the defaults.

use std::collections::BTreeSet;
use std::fs;

use super::*;
use crate::policy;

fn reference() -> (String, Config) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/outrigger.toml");
    (
        fs::read_to_string(&path).unwrap(),
        load(&path).unwrap().config,
    )
}

#[test]
fn the_reference_shows_the_defaults() {
    let (_, shown) = reference();
    let text =
        "[listeners.web]\nlisten = \"0.0.0.0:15001\"\n[upstreams.app]\nendpoints = [\"x:1\"]\n";
    let mut bare = parse("x.toml", &format!("{text}[routes.a]\nupstream = \"app\"")).unwrap();
    let (web, app) = ("web".parse().unwrap(), "app".parse().unwrap());
    let upstream = bare.config.upstreams.get_mut(&app).unwrap();
    upstream
        .config
        .endpoints
        .clone_from(&shown.upstreams[&app].config.endpoints);
    assert_eq!(
        shown.upstreams[&app].config,
        bare.config.upstreams[&app].config
    );
    assert_eq!(
        shown.listeners[&web].config,
        bare.config.listeners[&web].config
    );
    assert_eq!(shown.admin.config, bare.config.admin.config);
    assert_eq!(shown.process, bare.config.process);
    assert_eq!(shown.log, bare.config.log);
    assert_eq!(shown.shutdown, bare.config.shutdown);
}

/// Keys of policies whose value in the reference is an example: without the key another holds, or none. `max_body` has
/// its default where something looks at the body, and there only.
const EXAMPLES: &[&str] = &[
    "charges.authorize.cidrs",
    "charges.authorize.claims",
    "charges.concurrency_limit.max",
    "charges.cors.allow_headers",
    "charges.cors.allow_methods",
    "charges.cors.allow_origins",
    "charges.credentials.api_key",
    "charges.jwt.algorithms",
    "charges.jwt.audiences",
    "charges.jwt.forward_claims",
    "charges.jwt.issuer",
    "charges.jwt.jwks",
    "charges.rate_limit.0.burst",
    "charges.rate_limit.0.requests",
    "charges.request.add_headers",
    "charges.request.body",
    "charges.request.max_body",
    "charges.request.remove_headers",
    "charges.request.set_headers",
    "charges.request.validate",
    "charges.response.add_headers",
    "charges.response.body",
    "charges.response.max_body",
    "charges.response.on_status",
    "charges.response.remove_headers",
    "charges.response.set_headers",
    "charges.response.validate",
    "charges.retry.hedge_after",
    "charges.retry.per_try_timeout",
    "charges.timeout",
    "graphql.graphql.allowed_operations",
    "graphql.graphql.max_depth",
    "split.credentials.oauth2",
];

#[test]
fn the_reference_shows_the_defaults_of_policies() {
    let whole: toml::Table = reference().0.parse().unwrap();
    let mut tables = whole["routes"].as_table().unwrap().clone();
    tables.insert("defaults".to_owned(), whole["defaults"].clone());
    let mut examples = BTreeSet::new();
    for (place, table) in tables {
        let toml::Value::Table(mut policies) = table else {
            panic!("{place} is no table");
        };
        policies.retain(|key, block| {
            let alone = toml::Table::from_iter([(key.to_owned(), block.clone())]);
            effective(&alone.into()).is_some()
        });
        let policies = toml::Value::Table(policies);
        let shown = effective(&policies).unwrap();
        for path in policy_keys(&policies) {
            let mut others = policies.clone();
            let (key, above) = path.split_last().unwrap();
            at(&mut others, above).as_table_mut().unwrap().remove(key);
            let unsaid = effective(&others);
            let value = |config: &toml::Value| Some(below(config, &path)?.clone());
            if unsaid.and_then(|unsaid| value(&unsaid)) != value(&shown) {
                examples.insert(format!("{place}.{}", path.join(".")));
            }
        }
    }
    let expected = EXAMPLES.iter().map(|path| path.to_string()).collect();
    assert_eq!(examples, expected);
}

/// What holds where these policies are asked for; `None` where a key is missing.
fn effective(policies: &toml::Value) -> Option<toml::Value> {
    let config: policy::Config = policies.clone().try_into().ok()?;
    Some(toml::Value::try_from(config.with_defaults()).unwrap())
}

/// The keys of policies, and those in their blocks; of a list, those of its first block.
fn policy_keys(policies: &toml::Value) -> Vec<Vec<String>> {
    let mut keys = Vec::new();
    for (policy, block) in policies.as_table().unwrap() {
        let (above, block) = match block {
            toml::Value::Array(blocks) => (vec![policy.clone(), "0".to_owned()], &blocks[0]),
            block => (vec![policy.clone()], block),
        };
        match block.as_table() {
            Some(block) => keys.extend(
                block
                    .keys()
                    .map(|key| [&above[..], std::slice::from_ref(key)].concat()),
            ),
            None => keys.push(above),
        }
    }
    keys
}

/// What stands at `path`, where a number counts the items of a list.
fn below<'a>(value: &'a toml::Value, path: &[String]) -> Option<&'a toml::Value> {
    path.iter()
        .try_fold(value, |value, key| match key.parse::<usize>() {
            Ok(index) => value.get(index),
            Err(_) => value.get(key),
        })
}

fn at<'a>(value: &'a mut toml::Value, path: &[String]) -> &'a mut toml::Value {
    let inner = path
        .iter()
        .try_fold(value, |value, key| match key.parse::<usize>() {
            Ok(index) => value.get_mut(index),
            Err(_) => value.get_mut(key),
        });
    inner.unwrap()
}

/// The reference with every key in effect that stands there as a comment, unless its table has that key already.
fn reference_with_comments() -> String {
    let (text, _) = reference();
    let alone = |line: &str| line.parse::<toml::Table>().ok();
    let mut whole = String::new();
    for line in text.lines() {
        let comment = line.strip_prefix("# ").unwrap_or_default();
        let is_key = alone(comment).is_some_and(|table| !table.is_empty());
        let uncommented = format!("{whole}{comment}\n");
        if is_key && alone(&uncommented).is_some() {
            whole = uncommented;
        } else {
            whole.push_str(line);
            whole.push('\n');
        }
    }
    whole
}

/// The paths of all keys below `value`; items of a list have none of their own.
fn key_paths(value: &toml::Value, above: &str, found: &mut BTreeSet<String>) {
    match value {
        toml::Value::Table(table) => {
            for (key, value) in table {
                let path = format!("{above}{key}");
                key_paths(value, &format!("{path}."), found);
                found.insert(path);
            }
        }
        toml::Value::Array(items) => items.iter().for_each(|item| key_paths(item, above, found)),
        _ => {}
    }
}

/// Keys that exclude what stands in their place in the reference, each with the comment there that shows it.
const ALTERNATIVES: &[(&str, &str)] = &[
    ("brokers.NAME.url.env", "{ env = \"NAME\" }"),
    ("brokers.NAME.url.value", "{ value = \"...\" }"),
    ("databases.NAME.url.env", "{ env = \"NAME\" }"),
    ("databases.NAME.url.value", "{ value = \"...\" }"),
    ("routes.NAME.sql.file", "`file = \"order.sql\"`"),
    ("routes.NAME.sql.statements", "`statements = [...]`"),
    ("relays.NAME.publish.topic", "Kafka `topic` and `key`"),
    ("relays.NAME.publish.key", "Kafka `topic` and `key`"),
    ("routes.NAME.publish.topic", "Kafka `topic` and `key`"),
    ("routes.NAME.publish.key", "Kafka `topic` and `key`"),
    ("routes.NAME.match.listener", "`listener` under `match`"),
    (
        "routes.NAME.credentials.api_key.value.env",
        "{ env = \"NAME\" }",
    ),
    (
        "routes.NAME.credentials.api_key.value.value",
        "{ value = \"...\" }",
    ),
    ("routes.NAME.credentials.basic", "credentials = { basic = {"),
    (
        "routes.NAME.credentials.bearer",
        "credentials = { bearer = {",
    ),
    (
        "routes.NAME.credentials.oauth2.client_secret.env",
        "{ env = \"NAME\" }",
    ),
    (
        "routes.NAME.credentials.oauth2.client_secret.value",
        "{ value = \"...\" }",
    ),
    (
        "routes.NAME.jwt.jwks.ca",
        "{ url = \"https://...\", ca = \"/etc/tls/ca.crt\" }",
    ),
    ("routes.NAME.jwt.jwks.url", "{ url = \"https://...\" }"),
    ("upstreams.NAME.health_check.grpc", "`grpc = \"service\"`"),
    ("upstreams.NAME.health_check.tcp", "`tcp = true`"),
];

#[test]
fn the_reference_has_every_key_in_its_table() {
    let text = reference_with_comments();
    let documented: toml::Table = text.parse().unwrap();
    let mut found = BTreeSet::new();
    key_paths(&documented.into(), "", &mut found);
    let found: BTreeSet<String> = found.iter().map(|path| of_any(path)).collect();
    let mut missing = keys_in_effect();
    missing.extend(known_keys(&text));
    assert!(missing.len() > 150, "{missing:#?}");
    missing.retain(|path| !found.contains(path));
    for (path, comment) in ALTERNATIVES {
        assert!(missing.remove(*path), "{path} needs no comment");
        assert!(text.contains(comment), "{path}: {comment}");
    }
    assert!(
        missing.is_empty(),
        "config/outrigger.toml does not show {missing:#?}"
    );
}

/// `path` without the places in lists. One listener, route or upstream is an example of all.
fn of_any(path: &str) -> String {
    let keys = path.split('.').filter(|key| key.parse::<usize>().is_err());
    let mut keys: Vec<&str> = keys.collect();
    let named = [
        "brokers",
        "databases",
        "listeners",
        "relays",
        "routes",
        "subscriptions",
        "upstreams",
    ];
    if keys.len() > 1 && named.contains(&keys[0]) {
        keys[1] = "NAME";
    }
    // So is one queue.
    let declared = ["exchanges", "queues", "streams", "topics"];
    if keys.len() > 3 && keys[0] == "brokers" && declared.contains(&keys[2]) {
        keys[3] = "NAME";
    }
    // The policies of a route are those of `[defaults]`.
    match keys.as_slice() {
        ["defaults", policy @ ..] if !policy.is_empty() => {
            format!("routes.NAME.{}", policy.join("."))
        }
        _ => keys.join("."),
    }
}

/// The keys that have a value in the reference or a default.
fn keys_in_effect() -> BTreeSet<String> {
    let (_, config) = reference();
    let mut paths = BTreeSet::new();
    key_paths(&toml::Value::try_from(config).unwrap(), "", &mut paths);
    paths.iter().map(|path| of_any(path)).collect()
}

/// What the tables of `text` may have, as they tell when there is a key that they do not know.
fn known_keys(text: &str) -> BTreeSet<String> {
    const UNKNOWN: &str = "qqqqqqqqqqqqqqqqqq";
    let mut with_unknown = String::new();
    for line in text.lines() {
        with_unknown.push_str(&line.replace("{ ", &format!("{{ {UNKNOWN} = 1, ")));
        with_unknown.push('\n');
        if line.starts_with('[') {
            with_unknown.push_str(&format!("{UNKNOWN} = 1\n"));
        }
    }
    let report = parse("x.toml", &with_unknown).unwrap_err();
    let mut paths = BTreeSet::new();
    for found in report.problems() {
        let table = found.key.strip_suffix(UNKNOWN);
        let known = found
            .help
            .as_deref()
            .and_then(|help| help.strip_prefix("known keys: "));
        if let (Some(table), Some(known)) = (table, known) {
            paths.extend(
                known
                    .split(", ")
                    .map(|key| of_any(&format!("{table}{key}"))),
            );
        }
    }
    paths
}
