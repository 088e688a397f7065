//! Which route a request gets, from the text of the routes' config.

use http::Method;
use http::uri::PathAndQuery;

use super::*;
use crate::http::headers::Headers;
use crate::http::path::normalise;

mod conditions;
mod explanation;
mod paths;
mod problems;

/// Routes out of TOML: the keys of `match`.
fn routes(text: &str) -> BTreeMap<Name, Config> {
    let matches: BTreeMap<Name, MatchConfig> = toml::from_str(text).unwrap();
    let respond = |matches| Config {
        matches,
        ..Config::default()
    };
    matches
        .into_iter()
        .map(|(name, m)| (name, respond(m)))
        .collect()
}

fn table(routes: &BTreeMap<Name, Config>) -> Table<String> {
    let routes = routes
        .iter()
        .map(|(name, config)| (name.clone(), config, name.to_string()));
    Table::build(routes.collect()).unwrap()
}

/// `METHOD [//host]/path[?query]`, as a short way to ask.
fn ask(table: &Table<String>, line: &str, headers: &Headers) -> String {
    let (method, url) = line.split_once(' ').unwrap();
    let (host, target) = match url.strip_prefix("//") {
        Some(rest) => {
            let (host, _) = rest.split_once('/').unwrap();
            (Some(host), &rest[host.len()..])
        }
        None => (None, url),
    };
    let normalised = normalise(target.parse::<PathAndQuery>().unwrap()).unwrap();
    let lookup = Lookup {
        listener: "main",
        host,
        method: &Method::from_bytes(method.as_bytes()).unwrap(),
        path: normalised.target.path(),
        encoded_separators: normalised.encoded_separators,
        query: normalised.target.query(),
        headers,
    };
    match table.find(&lookup) {
        Found::Route { value, .. } => value.clone(),
        Found::BadPath => "400".to_owned(),
        Found::NoRoute => "404".to_owned(),
        Found::MethodNotAllowed { allow } => {
            let allow: Vec<_> = allow.iter().map(Method::as_str).collect();
            format!("405 {}", allow.join(","))
        }
    }
}

fn assert_routed(routes: &BTreeMap<Name, Config>, expected: &[(&str, &str)]) {
    let table = table(routes);
    for (line, route) in expected {
        assert_eq!(ask(&table, line, &Headers::new()), *route, "{line}");
    }
}
