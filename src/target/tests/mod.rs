//! What is said of targets before they serve, and what a new kind of target has to add.

use super::*;
use crate::value::problem::Problems;

mod added;

/// Where the problems of a target stand, on a route whose path names `known`.
fn checked(text: &str, known: &[&str]) -> Vec<String> {
    let config: Config = toml::from_str(text).unwrap();
    let mut problems = Problems::default();
    config.check(known, &mut problems);
    let problems = problems.into_vec().into_iter();
    problems.map(|problem| problem.at.join(".")).collect()
}

#[test]
fn a_target_s_own_problems_stand_at_their_key() {
    for (text, known, places) in [
        ("upstream = \"u\"", &[][..], &[][..]),
        ("", &[], &[""]),
        ("upstream = \"u\"\nrespond = {}", &[], &["respond"]),
        (
            "respond = {}\nrewrite = { path = \"/\" }",
            &[],
            &["rewrite"],
        ),
        (
            "respond = {}\nmirror = { upstream = \"u\" }",
            &[],
            &["mirror"],
        ),
        ("upstream = \"u\"\nsticky = \"client-ip\"", &[], &["sticky"]),
        ("split = []", &[], &["split"]),
        (
            "split = [{ upstream = \"a\", weight = 0 }]",
            &[],
            &["split"],
        ),
        (
            "split = [{ upstream = \"a\", weight = 1 }, { upstream = \"a\", weight = 1 }]",
            &[],
            &["split.1.upstream"],
        ),
        (
            "upstream = \"u\"\nrewrite.path = \"/${path.id}\"",
            &["id"],
            &[],
        ),
        (
            "upstream = \"u\"\nrewrite.path = \"/${path.i}\"",
            &["id"],
            &["rewrite.path"],
        ),
        (
            "redirect.location = \"/${path.rest}\"",
            &[],
            &["redirect.location"],
        ),
        (
            "respond.body = \"{id} ${path.id}\"",
            &["id"],
            &["respond.body"],
        ),
        (
            "respond.body = '{\"a\": \"${path.id}\", \"id\": {}}'",
            &["id"],
            &[],
        ),
        ("respond.body = \"${path.idd}\"", &["id"], &["respond.body"]),
        (
            "respond.headers = { x = \"{id}\" }",
            &["id"],
            &["respond.headers.x"],
        ),
        (
            "respond.headers = { x = \"${path.id}\" }",
            &[],
            &["respond.headers.x"],
        ),
        ("respond.status = 99", &[], &["respond.status"]),
        (
            "redirect = { status = 200, location = \"\" }",
            &[],
            &["redirect.status", "redirect.location"],
        ),
    ] {
        assert_eq!(checked(text, known), places, "{text}");
    }
}

#[test]
fn what_is_missing_is_told_by_the_list() {
    let mut problems = Problems::default();
    Config::default().check(&[], &mut problems);
    let help = problems.into_vec().remove(0).help.unwrap();
    assert!(
        help.starts_with("set one of `upstream`, `split`, "),
        "{help}"
    );
    for key in Config::KEYS {
        assert!(help.contains(&format!("`{key}`")), "{help} lacks {key}");
    }
}

#[test]
fn the_upstreams_are_told_with_their_keys() {
    let config: Config = toml::from_str(
        "split = [{ upstream = \"a\", weight = 1 }, { upstream = \"b\", weight = 1 }]\nmirror.upstream = \"c\"",
    )
    .unwrap();
    let named = config.upstreams().into_iter();
    let named: Vec<_> = named
        .map(|(name, keys)| format!("{} {name}", keys.join(".")))
        .collect();
    assert_eq!(
        named,
        [
            "split.0.upstream a",
            "split.1.upstream b",
            "mirror.upstream c"
        ]
    );
    assert!(config.is_forwarded());
}
