//! The architecture's invariants, read off the source text.

use std::collections::BTreeSet;
use std::path::Path;

use crate::support::sources::{SourceFile, rust_files};

/// Rooms that may know what a whole config looks like.
const KNOW_CONFIG: [&str; 6] = ["config", "cli", "app", "admin", "lib", "main"];

#[test]
fn nobody_imports_config_but_those_who_put_the_house_together() {
    for file in rust_files(Path::new("src")) {
        if !KNOW_CONFIG.contains(&room(&file).as_str()) {
            assert_imports_none(&file, &["config"]);
        }
    }
}

#[test]
fn a_policy_knows_only_requests_answers_and_itself() {
    for file in rust_files(Path::new("src/policy")) {
        assert_imports_none(
            &file,
            &[
                "route", "upstream", "listener", "snapshot", "proxy", "admin", "app",
            ],
        );
    }
}

#[test]
fn listener_policy_and_upstream_do_not_know_each_other() {
    let rooms = ["listener", "policy", "upstream"];
    for here in rooms {
        let others: Vec<&str> = rooms.into_iter().filter(|room| *room != here).collect();
        for file in rust_files(&Path::new("src").join(here)) {
            assert_imports_none(&file, &others);
        }
    }
}

#[test]
fn a_target_knows_upstreams_and_neither_routes_nor_policies() {
    for file in rust_files(Path::new("src/target")) {
        assert_imports_none(
            &file,
            &["route", "policy", "listener", "proxy", "admin", "app"],
        );
    }
}

#[test]
fn a_route_only_chooses() {
    for file in rust_files(Path::new("src/route")) {
        assert_imports_none(
            &file,
            &[
                "target", "policy", "upstream", "listener", "proxy", "admin", "app",
            ],
        );
    }
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

fn assert_imports_none(file: &SourceFile, forbidden: &[&str]) {
    let found = imports(&file.text);
    for room in forbidden {
        assert!(
            !found.contains(*room),
            "{} imports crate::{room}",
            file.path.display()
        );
    }
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
                rooms.extend(top_level(group).map(word));
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
