//! What is said of routes before they serve: problems, ties, and routes that no request can reach.

use super::*;
use crate::value::problem::{Problem, Severity};

fn problems(routes: &BTreeMap<Name, Config>) -> Vec<Problem> {
    let mut problems = Problems::default();
    let routes = routes.iter().map(|(name, config)| (name.clone(), config));
    let listeners = ["l", "m"].map(|name| name.parse().unwrap());
    check(&routes.collect(), &listeners, &mut problems);
    problems.into_vec()
}

#[test]
fn ties_are_errors_that_name_both() {
    for tied in [
        "a = {}\nb = {}",
        "a = {}\nb = { path = \"/{*rest}\" }",
        "a = { path = \"/{x}\" }\nb = { path = \"/{y}\" }",
        "a = { host = \"h\" }\nb = { host = \"H.\" }",
        "a = { methods = [\"GET\", \"PUT\"] }\nb = { methods = [\"POST\", \"PUT\"] }",
        "a = { headers = { x = \"1\" } }\nb = { headers = { y = \"1\" } }",
        "a = { headers = { x = \"1\" } }\nb = { headers = { X = \"*\" } }",
        "a = { headers = { x = \"1\" } }\nb = { query = { x = \"2\" } }",
        "a = { query = { x = \"1\" } }\nb = { query = { x = { regex = \"[0-9]\" } } }",
        "a = { listener = [\"l\", \"m\"] }\nb = { listener = \"m\" }",
        "a = { path_regex = \"a\" }\nb = { path_regex = \"b\" }",
    ] {
        let routes = routes(tied);
        let found = problems(&routes);
        assert_eq!(found.len(), 1, "{tied}");
        assert_eq!(found[0].severity, Severity::Error);
        assert_eq!(found[0].at[..2], ["routes", "b"]);
        assert_eq!(found[0].related[0].0[..2], ["routes", "a"]);
        assert!(
            found[0].message.contains("`a` and `b`"),
            "{}",
            found[0].message
        );
        let configs = routes
            .iter()
            .map(|(name, config)| (name.clone(), config, ()));
        assert!(Table::build(configs.collect()).is_err());
    }
}

#[test]
fn routes_that_no_request_can_confuse_do_not_tie() {
    for apart in [
        "a = { methods = [\"GET\"] }\nb = { methods = [\"POST\"] }",
        "a = { methods = [\"GET\"] }\nb = { methods = [\"HEAD\"] }",
        "a = { headers = { x = \"1\" } }\nb = { headers = { X = \"2\" } }",
        "a = { path_regex = \"^/v1/[0-9]+$\" }\nb = { path_regex = \"^/v2/[a-z]+$\" }",
        "a = { headers = { x = { regex = \"^a\" } } }\nb = { headers = { x = { regex = \"^b\" } } }",
        "a = { query = { x = { regex = \"^1\" } } }\nb = { query = { x = { regex = \"^2\" } } }",
        "a = { query = { x = \"a\" } }\nb = { query = { x = { regex = \"[0-9]\" } } }",
        "a = { listener = \"l\" }\nb = { listener = \"m\" }",
        "a = { path = \"/a\" }\nb = { path = \"/a/\" }",
        "a = { path = \"/a\" }\nb = { path = \"/a/{*rest}\" }",
        "a = { path = \"/{a}\" }\nb = { path = \"/{*a}\" }",
        "a = { host = \"h\" }\nb = { host = \"*.h\" }",
        "a = {}\nb = { methods = [\"GET\"] }",
    ] {
        assert_eq!(problems(&routes(apart)), [], "{apart}");
    }
}

#[test]
fn a_route_behind_another_that_takes_everything_is_told() {
    for (text, back, front) in [
        (
            "a = { path = \"/x\" }\nb = { path = \"/x\", path_regex = \"^/x\" }",
            "a",
            "b",
        ),
        (
            "b = { path = \"/x\" }\na = { path = \"/x\", path_regex = \"^/x\" }",
            "b",
            "a",
        ),
    ] {
        let routes = routes(text);
        let found = problems(&routes);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].severity, Severity::Warning);
        assert_eq!(found[0].at, ["routes", back, "match"]);
        assert_eq!(found[0].related[0].0, ["routes", front, "match"]);
        table(&routes);
    }
}

#[test]
fn a_path_that_two_expressions_match_is_shown() {
    let tied = routes("a = { path_regex = \"^/v[0-9]/\" }\nb = { path_regex = \"/x$\" }");
    let help = problems(&tied).remove(0).help.unwrap();
    assert!(help.starts_with("`/v0/x` matches both"), "{help}");
}

#[test]
fn routes_that_take_everything_between_them_are_told() {
    for (text, fronts) in [
        (
            "a = { listener = \"l\" }\nb = { listener = \"m\" }\nc = {}",
            Some(2),
        ),
        ("a = { listener = [\"l\", \"m\"] }\nc = {}", Some(1)),
        ("a = { listener = \"l\" }\nc = {}", None),
        (
            "a = { listener = \"l\", methods = [\"GET\"] }\nb = { listener = \"l\", methods = [\"PUT\"] }\n\
             c = { listener = \"l\" }",
            None,
        ),
        (
            "a = { listener = \"l\", methods = [\"GET\"] }\nb = { listener = \"m\", methods = [\"GET\", \"PUT\"] }\n\
             c = { methods = [\"GET\"] }",
            Some(2),
        ),
        (
            "a = { listener = \"l\", methods = [\"GET\"] }\nb = { listener = \"m\", methods = [\"PUT\"] }\n\
             c = { methods = [\"GET\"] }",
            None,
        ),
    ] {
        let found = problems(&routes(text));
        let told = found.first().map(|problem| problem.related.len());
        assert_eq!(told, fronts, "{text}");
        assert!(found.iter().all(|problem| problem.at[1] == "c"), "{text}");
    }
}

fn checked(text: &str) -> Vec<String> {
    let config: Config = toml::from_str(text).unwrap();
    let mut problems = Problems::default();
    config.check(&mut problems);
    problems
        .into_vec()
        .into_iter()
        .map(|p| p.at.join("."))
        .collect()
}

#[test]
fn a_route_s_own_problems_stand_at_their_key() {
    for (text, places) in [
        ("", &[][..]),
        ("listener = \"a\"\nmatch.listener = \"b\"", &["listener"]),
        ("match.listener = []", &["match.listener"]),
        ("match.methods = []", &["match.methods"]),
    ] {
        assert_eq!(checked(text), places, "{text}");
    }
}
