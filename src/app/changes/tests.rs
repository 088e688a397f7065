//! Whole configs, one after the other.

use std::fs;
use std::path::Path;

use super::*;
use crate::config;

const OLD: &str = r#"
[listeners.a]
listen = "unix:/a"
[upstreams.u]
endpoints = ["127.0.0.1:1"]
[routes.pay]
match = { path = "/pay" }
upstream = "u"
circuit_breaker = { consecutive_failures = 5 }
rate_limit = { requests = 10, per = "1s" }
credentials = { bearer = { value = "s3cret" } }
[routes.gone]
match = { path = "/gone" }
upstream = "u"
rate_limit = { requests = 1, per = "1s" }
"#;

fn differ(old: &str, new: &str) -> Changes {
    let [old, new] = [("old.toml", old), ("new.toml", new)]
        .map(|(name, text)| config::parse(name, text).unwrap_or_else(|report| panic!("{report}")));
    between(&Side::of(&old, None), &Side::of(&new, None)).unwrap()
}

fn lines(changes: &Changes) -> Vec<String> {
    changes.changes.iter().map(ToString::to_string).collect()
}

#[test]
fn the_same_config_written_otherwise_is_the_same() {
    let written = OLD.replace("\"1s\"", "\"1000ms\"") + "\n# a word\n";
    let changes = differ(OLD, &written);
    assert!(changes.is_empty(), "{changes}");
    assert_eq!(changes.lost().count(), 0, "{changes}");
}

#[test]
fn what_was_added_removed_and_changed_is_told_with_its_place() {
    let new = OLD
        .replace("consecutive_failures = 5", "consecutive_failures = 7")
        .replace("routes.gone", "routes.come")
        .replace("/gone", "/come");
    let changes = differ(OLD, &new);
    let told = lines(&changes);
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(told[0].starts_with("+ routes.come: {"), "{told:?}");
    assert!(told[1].starts_with("- routes.gone: {"), "{told:?}");
    assert_eq!(
        told[2],
        "~ routes.pay.circuit_breaker.consecutive_failures: 5 -> 7"
    );
    let places: Vec<_> = changes
        .changes
        .iter()
        .map(|c| c.place.as_ref().unwrap().to_string())
        .collect();
    assert_eq!(places, ["new.toml:12", "old.toml:12", "new.toml:9"]);
    let lost: Vec<_> = changes.lost().map(|fate| (&*fate.of, fate.what)).collect();
    assert_eq!(lost.first(), Some(&("routes.gone", "rate_limit")));
    assert!(
        changes.to_string().contains("kept: routes.pay: "),
        "{changes}"
    );
}

#[test]
fn a_secret_is_said_to_have_changed_and_never_shown() {
    let changes = differ(OLD, &OLD.replace("s3cret", "0ther"));
    assert_eq!(
        lines(&changes),
        ["~ routes.pay.credentials.bearer.value: another secret"]
    );
    let told = format!(
        "{changes} {} {} {changes:?}",
        changes.json(),
        changes.line()
    );
    assert!(
        !told.contains("s3cret") && !told.contains("0ther"),
        "{told}"
    );
}

#[test]
fn a_file_that_has_changed_is_told_at_the_key_that_names_it() {
    let [old, new] = [0, 1].map(|_| tempfile::tempdir().unwrap());
    let text = OLD.replace("{ value = \"s3cret\" }", "{ file = \"token\" }");
    let write = |folder: &Path, secret: &str| {
        fs::write(folder.join("x.toml"), &text).unwrap();
        fs::write(folder.join("token"), secret).unwrap();
        config::load(folder).unwrap()
    };
    let side = |secret: &str| write(new.path(), secret);
    let old_loaded = write(old.path(), "one");
    let compare = |loaded: &config::Loaded| {
        between(
            &Side::of(&old_loaded, Some(old.path())),
            &Side::of(loaded, Some(new.path())),
        )
        .unwrap()
    };
    let copy = compare(&side("one"));
    assert!(copy.is_empty(), "{copy}");
    let changed = compare(&side("two"));
    assert_eq!(
        lines(&changed),
        ["~ routes.pay.credentials.bearer.file: the file has another content"]
    );
}

#[test]
fn a_listener_that_moves_opens_and_drains() {
    let changes = differ(OLD, &OLD.replace("unix:/a", "unix:/b"));
    assert_eq!(
        lines(&changes),
        ["~ listeners.a.listen: \"unix:/a\" -> \"unix:/b\""]
    );
    assert_eq!((changes.opens.len(), changes.drains.len()), (1, 1));
    let changes = differ(OLD, &format!("{OLD}\n[admin]\nlisten = \"none\"\n"));
    assert_eq!(changes.restart.len(), 1, "{changes}");
}

#[test]
fn the_line_for_the_log_is_bounded() {
    let many: String = (0..200)
        .map(|n| format!("[routes.r{n}]\nmatch = {{ path = \"/{n}\" }}\nupstream = \"u\"\n"))
        .collect();
    let changes = differ(OLD, &format!("{OLD}{many}"));
    assert_eq!(changes.changes.len(), 200);
    let line = changes.line();
    assert!(line.len() < 700 && line.ends_with(" more"), "{line}");
}
