//! Whole configs: what is found wrong, and at which place.

use std::fs;

use super::*;
use crate::admin;
use crate::value::Name;

mod directories;
mod never_panics;
mod secrets;

/// The end of a config that is good so far.
const GOOD: &str = r#"
[listeners.web]
listen = "127.0.0.1:0"
[upstreams.app]
endpoints = ["127.0.0.1:8080"]
[routes.app]
upstream = "app"
"#;

fn good() -> Config {
    parse("good.toml", GOOD).unwrap().config
}

/// Line, column and message of everything that is wrong.
fn wrong(text: &str) -> Vec<String> {
    match parse("x.toml", text) {
        Ok(loaded) => tell(&loaded.warnings, 0),
        Err(report) => tell(&report, 0),
    }
}

/// The lines before `start` are not counted.
fn tell(report: &Report, start: usize) -> Vec<String> {
    let tell = |d: &Problem| match d.position {
        Some(p) => format!("{}:{} {}", p.line - start, p.column, d.message),
        None => d.message.clone(),
    };
    report.problems().map(tell).collect()
}

#[test]
fn a_good_config_is_read_whole() {
    let config = good();
    let names = |names: Vec<&Name>| names.iter().map(|n| n.to_string()).collect::<Vec<_>>();
    assert_eq!(names(config.listeners.keys().collect()), ["web"]);
    assert_eq!(names(config.upstreams.keys().collect()), ["app"]);
    assert_eq!(names(config.routes.keys().collect()), ["app"]);
    assert_eq!(config.admin.config, admin::Config::default());
    let loaded = parse("good.toml", GOOD).unwrap();
    assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
    assert_eq!(loaded.content.hash.len(), 32);
}

#[test]
fn defaults_go_where_a_route_says_nothing() {
    let text = format!(
        "{GOOD}deadline = false\nidle_timeout = \"1m\"\n[defaults]\ntimeout = \"3s\"\n\
         deadline = \"9s\"\nidle_timeout = \"2m\""
    );
    let config = parse("x.toml", &text).unwrap().config;
    let policies = &config.routes[&"app".parse().unwrap()].policies.config;
    let shown = serde_json::to_value(policies).unwrap();
    assert_eq!(shown["timeout"], "3s");
    assert_eq!(shown["idle_timeout"], "1m");
    assert_eq!(shown["deadline"], false);
}

#[test]
fn a_route_is_shown_as_one_table() {
    let shown = serde_json::to_value(good()).unwrap();
    assert_eq!(shown["routes"]["app"]["upstream"], "app");
    assert_eq!(shown["routes"]["app"]["timeout"], "15s");
    assert_eq!(shown["routes"]["app"]["idle_timeout"], "5m");
    assert_eq!(shown["admin"]["listen"], "127.0.0.1:15000");
}

/// `problems.txt`: pieces of config that follow a good one, each with how its problems begin and, behind
/// `=>`, part of the help. Lines count from the start of the piece.
#[test]
fn every_problem_is_at_its_place() {
    let before = GOOD.lines().count();
    let mut misjudged = String::new();
    for case in include_str!("../problems.txt").split("\n\n") {
        let (expected, text): (Vec<_>, Vec<_>) =
            case.lines().partition(|line| line.starts_with("> "));
        let text = format!("{GOOD}{}", text.join("\n"));
        let report = match parse("x.toml", &text) {
            Ok(loaded) => loaded.warnings,
            Err(report) => report,
        };
        let found = tell(&report, before);
        let helps = report.problems().map(|d| d.help.as_deref());
        let all_match = found
            .iter()
            .zip(helps)
            .zip(&expected)
            .all(|((f, help), e)| {
                let (message, part) = e[2..].split_once(" => ").unwrap_or((&e[2..], ""));
                f.starts_with(message) && help.unwrap_or_default().contains(part)
            });
        if !all_match || found.len() != expected.len() {
            misjudged.push_str(&format!("{case}\n\n{report}\n\n"));
        }
    }
    assert!(misjudged.is_empty(), "{misjudged}");
}

#[test]
fn what_is_missing_altogether_is_told() {
    assert_eq!(
        wrong(""),
        ["there is no listener, so nothing would be served"]
    );
    assert_eq!(
        wrong("routes = 5\n[listeners.a]\nlisten = \"unix:/a\"")[0],
        "1:10 expected tables `[routes.NAME]`, found a number"
    );
    assert_eq!(wrong("admin = []")[0], "1:9 expected a table, found a list");
    assert_eq!(
        wrong("[listeners.a]\nlisten = \"unix:/a\""),
        ["1:1 no route serves this listener: every request gets 404"]
    );
}

#[test]
fn a_broken_block_raises_no_further_doubts() {
    let text = "[listeners.a]\nlisten = 5\n[upstreams.b]\nendpoints = 5\n[routes.c]\nupstream = \"b\"\nlistener = \"a\"\nmatch.path = 1";
    assert_eq!(
        wrong(text),
        [
            "2:10 expected an address such as \"127.0.0.1:15001\", found `5`",
            "4:13 expected a list, found `5`",
            "8:14 expected text, found `1`",
        ]
    );
}

#[test]
fn the_report_shows_the_line() {
    let text = format!(
        "{}timout = \"1s\"\n[upstreams.ap]\nendpoints = 1\n[routes.x]\nupstream = \"appp\"\nmatch.path = \"/x\"\n",
        &GOOD[1..]
    );
    let report = parse("conf/x.toml", &text).unwrap_err();
    assert_eq!(report.errors(), 3);
    assert_eq!(
        report.to_string(),
        "\
error: unknown key `timout`, did you mean `timeout`?
 --> conf/x.toml:7:1
  |
7 | timout = \"1s\"
  | ^^^^^^

error: expected a list, found `1`
 --> conf/x.toml:9:13
  |
9 | endpoints = 1
  |             ^
  |
  = help: write it in brackets, like `[\"...\"]`

error: there is no upstream `appp`, did you mean `app`?
  --> conf/x.toml:11:12
   |
 3 | [upstreams.app]
   |            --- this one
...
11 | upstream = \"appp\"
   |            ^^^^^^"
    );
    assert_eq!(
        report.first_line(),
        "conf/x.toml:7:1: unknown key `timout`, did you mean `timeout`? (and 2 more)"
    );
}

#[test]
fn help_stands_below() {
    let report = parse("x.toml", &format!("{GOOD}[rollback]\nwatch = \"60s\"")).unwrap_err();
    assert_eq!(
        report.to_string(),
        "\
error: `rollback` is known, but not built yet in this version
 --> x.toml:8:2
  |
8 | [rollback]
  |  ^^^^^^^^
  |
  = help: remove it"
    );
    assert!(report.coloured().contains("\u{1b}["));
}

#[test]
fn a_problem_names_its_key() {
    let text = format!("{GOOD}timout = \"1s\"\nretry = {{ attempts = 99 }}\n");
    let report = parse("x.toml", &text).unwrap_err();
    let keys: Vec<_> = report.problems().map(|d| d.key.as_str()).collect();
    assert_eq!(keys, ["routes.app.timout", "routes.app.retry.attempts"]);
}

#[test]
fn another_language_is_told_once() {
    let yaml = "# a\nlisteners:\n  web:\n    listen: 127.0.0.1:80\n    token: hunter2\n";
    assert_eq!(
        wrong(yaml),
        ["2:1 this looks like YAML, and a config is written in TOML"]
    );
    assert!(wrong("{ \"a\": 1 }")[0].contains("looks like JSON"));
}

#[test]
fn the_defaults_that_depend_are_filled_in() {
    let shown = serde_json::to_value(good()).unwrap();
    assert!(shown["process"]["workers"].as_u64().is_some_and(|n| n > 0));
    assert!(shown["log"]["format"].is_string());
    assert_eq!(shown["listeners"]["web"]["forwarded_headers"], "pass");
    assert_eq!(shown["routes"]["app"]["deadline"], "none");
    let route = shown["routes"]["app"].as_object().unwrap();
    assert!(!route.contains_key("listener"), "{route:?}");
}

#[test]
fn nesting_without_end_is_refused() {
    for piece in ["a.", "[", "{a="] {
        assert!(parse("x.toml", &format!("a = {}", piece.repeat(100_000))).is_err());
        assert!(parse("x.toml", &format!("{}a = 1", piece.repeat(100_000))).is_err());
    }
}
