//! The architecture's invariants, read off the source text.

use std::collections::BTreeSet;
use std::path::Path;

use crate::support::imports::dependences;
use crate::support::sources::{SourceFile, root, rust_files};
use crate::support::tokens::tokens;

/// What each room below `src` imports of others, in what its program is made of. Whatever is named here stands below the
/// room, so that the house has no circle.
const ROOMS: [(&str, &[&str]); 26] = [
    ("value", &[]),
    ("process", &["value"]),
    ("watch", &[]),
    ("net", &["process", "value"]),
    ("trace", &["value"]),
    ("http", &["net", "trace", "value"]),
    ("tls", &["http", "net", "process", "value"]),
    ("codec", &["http", "net"]),
    (
        "upstream",
        &["codec", "http", "net", "process", "tls", "trace", "value"],
    ),
    ("explain", &["value"]),
    ("fetch", &["net", "tls", "value"]),
    (
        "telemetry",
        &["fetch", "http", "net", "process", "tls", "trace", "value"],
    ),
    ("broker", &["net", "tls", "trace", "value"]),
    ("database", &["net", "process", "tls", "value"]),
    (
        "target",
        &[
            "broker", "database", "http", "net", "trace", "upstream", "value",
        ],
    ),
    (
        "subscription",
        &["broker", "http", "net", "telemetry", "value"],
    ),
    (
        "relay",
        &["broker", "database", "net", "telemetry", "trace", "value"],
    ),
    ("route", &["http", "value"]),
    ("tcp", &["net", "route", "upstream", "value"]),
    ("policy", &["fetch", "http", "net", "tls", "value"]),
    (
        "listener",
        &["http", "net", "process", "telemetry", "tls", "value"],
    ),
    (
        "proxy",
        &[
            "codec",
            "http",
            "listener",
            "net",
            "policy",
            "route",
            "tcp",
            "telemetry",
            "tls",
            "trace",
        ],
    ),
    (
        "admin",
        &[
            "explain",
            "listener",
            "net",
            "policy",
            "telemetry",
            "tls",
            "value",
        ],
    ),
    (
        "config",
        &[
            "admin",
            "broker",
            "database",
            "listener",
            "net",
            "policy",
            "process",
            "relay",
            "route",
            "subscription",
            "target",
            "tcp",
            "telemetry",
            "tls",
            "upstream",
            "value",
            "watch",
        ],
    ),
    (
        "app",
        &[
            "admin",
            "broker",
            "config",
            "database",
            "explain",
            "fetch",
            "http",
            "listener",
            "net",
            "policy",
            "process",
            "proxy",
            "relay",
            "route",
            "subscription",
            "target",
            "tcp",
            "telemetry",
            "tls",
            "upstream",
            "value",
            "watch",
        ],
    ),
    ("cli", &["app", "config", "explain", "tls", "value"]),
];

/// What a room may not reach, not even by way of others.
const NEVER_REACHED: [(&str, &[&str]); 9] = [
    (
        "codec",
        &["upstream", "target", "route", "policy", "listener"],
    ),
    ("tls", &["codec", "upstream", "target", "route", "policy"]),
    (
        "upstream",
        &["target", "route", "policy", "listener", "proxy", "app"],
    ),
    ("target", &["route", "policy", "listener", "proxy", "app"]),
    (
        "route",
        &["target", "policy", "upstream", "listener", "app"],
    ),
    (
        "policy",
        &["upstream", "route", "target", "listener", "proxy", "app"],
    ),
    (
        "listener",
        &["policy", "upstream", "target", "route", "tcp", "app"],
    ),
    ("tcp", &["target", "policy", "listener", "proxy", "app"]),
    ("telemetry", &["upstream", "target", "route", "policy"]),
];

#[test]
fn every_room_imports_what_stands_below_it_and_nothing_else() {
    let mut unused: BTreeSet<(&str, &str)> = ROOMS
        .iter()
        .flat_map(|(room, below)| below.iter().map(move |other| (*room, *other)))
        .collect();
    for file in rust_files(Path::new("src")) {
        let here = room(&file);
        if ["lib", "main", "testing"].contains(&here.as_str()) || file.is_for_tests() {
            continue;
        }
        let (_, below) = ROOMS
            .iter()
            .find(|(room, _)| *room == here)
            .unwrap_or_else(|| panic!("{here} is not in the list of rooms"));
        for other in imports(file.program()) {
            if other == here {
                continue;
            }
            assert!(
                below.contains(&other.as_str()),
                "{} imports crate::{other}",
                file.path.display()
            );
            unused.retain(|(from, to)| *from != here || *to != other);
        }
    }
    assert!(unused.is_empty(), "nobody imports so: {unused:?}");
}

#[test]
fn no_room_reaches_what_it_must_not_know_by_way_of_another() {
    let place = |name: &str| ROOMS.iter().position(|(room, _)| *room == name);
    for (index, (room, below)) in ROOMS.iter().enumerate() {
        for other in *below {
            assert!(place(other) < Some(index), "{room} stands below {other}");
        }
    }
    for (room, never) in NEVER_REACHED {
        let mut reached = BTreeSet::new();
        let mut open = vec![room];
        while let Some(next) = open.pop() {
            let below = ROOMS.iter().find(|(room, _)| *room == next);
            for other in below.expect("a room of the list").1 {
                if reached.insert(*other) {
                    open.push(other);
                }
            }
        }
        for other in never {
            assert!(!reached.contains(other), "{room} reaches {other}");
        }
    }
}

#[test]
fn no_other_room_names_a_single_policy() {
    let policies = listed_policies();
    assert!(policies.contains("cors") && policies.contains("body"));
    for (module, used) in dependences() {
        let mut used = used.iter().filter(|used| used[0] == "policy");
        let policy = used.find(|used| used.get(1).is_some_and(|name| policies.contains(name)));
        assert!(
            policy.is_none() || module[0] == "policy",
            "{} uses {}",
            module.join("::"),
            policy.map(|policy| policy.join("::")).unwrap_or_default()
        );
    }
}

/// The modules of the policies, by the list of them.
fn listed_policies() -> BTreeSet<String> {
    let text = std::fs::read_to_string(root().join("src/policy/mod.rs"));
    let text = text.expect("a text file");
    let (_, list) = text
        .split_once("policies! {")
        .expect("the list of policies");
    let tokens = tokens(list);
    let paths = tokens
        .windows(3)
        .filter(|three| three[2] == "::" && three[0] != "::");
    paths.map(|three| three[1].to_owned()).collect()
}

#[test]
fn the_imports_of_a_file_are_found_however_they_are_written() {
    let text = "use crate::route::Table;\nuse crate::{body::Body, config, upstream::{Pool, Upstream}};\n\
                // crate::admin in a comment\nfn f() -> crate::net::drain::Config { crate :: peer::new() }\n";
    let found: Vec<String> = imports(text).into_iter().collect();
    assert_eq!(
        found,
        ["body", "config", "net", "peer", "route", "upstream"]
    );
}

/// The first part of a path below `src`: a folder, or a file without its ending.
fn room(file: &SourceFile) -> String {
    let first = file.path.iter().nth(1).expect("a file below src");
    first.to_string_lossy().trim_end_matches(".rs").to_owned()
}

/// The rooms that a text names after `crate::`.
fn imports(text: &str) -> BTreeSet<String> {
    let code: String = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .flat_map(str::chars)
        .chain(" ".chars())
        .filter(|c| !c.is_whitespace())
        .collect();
    let mut rooms = BTreeSet::new();
    for after in code.split("crate::").skip(1) {
        match after.strip_prefix('{') {
            None => rooms.insert(word(after)),
            Some(group) => {
                let items = top_level(group).filter(|item| !item.is_empty());
                rooms.extend(items.map(word));
                true
            }
        };
    }
    rooms
}

fn word(text: &str) -> String {
    text.chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect()
}

/// The items of a group of imports, up to its closing brace.
fn top_level(group: &str) -> impl Iterator<Item = &str> {
    let mut depth = 1;
    let end = group.find(|c| {
        depth += match c {
            '{' => 1,
            '}' => -1,
            _ => 0,
        };
        depth == 0
    });
    let mut depth = 0;
    group[..end.unwrap_or(group.len())].split(move |c| {
        depth += match c {
            '{' => 1,
            '}' => -1,
            _ => 0,
        };
        depth == 0 && c == ','
    })
}
