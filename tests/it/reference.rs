//! The reference pages tell of everything that the program has, and of nothing else.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use regex::Regex;

use crate::support::sources::{root, rust_files};

/// What `pattern` finds in the program: its groups, without the breaks of long lines.
fn declared(pattern: &str) -> BTreeSet<Vec<String>> {
    let pattern = Regex::new(pattern).unwrap();
    let continued = Regex::new(r"\\\n\s*").unwrap();
    let mut found = BTreeSet::new();
    for file in rust_files(Path::new("src")) {
        if file.is_for_tests() {
            continue;
        }
        for groups in pattern.captures_iter(file.program()) {
            let groups = groups.iter().skip(1).flatten();
            let words = groups.map(|group| {
                continued
                    .replace_all(group.as_str(), "")
                    .replace("\\\"", "\"")
            });
            found.insert(words.collect());
        }
    }
    found
}

/// The rows of the tables of a page, without their heads.
fn rows(page: &str) -> Vec<Vec<String>> {
    let text = fs::read_to_string(root().join("config/reference").join(page)).unwrap();
    let rows = text.lines().filter(|line| line.starts_with("| `"));
    rows.map(cells).collect()
}

fn cells(row: &str) -> Vec<String> {
    let cells = row.trim_matches('|').split(" | ");
    cells
        .map(|cell| cell.trim().trim_matches('`').to_owned())
        .collect()
}

/// The columns that the program knows, each row once.
fn columns(rows: &[Vec<String>], wanted: &[usize]) -> BTreeSet<Vec<String>> {
    let picked = |row: &Vec<String>| wanted.iter().map(|at| row[*at].clone()).collect();
    let found: BTreeSet<Vec<String>> = rows.iter().map(picked).collect();
    assert_eq!(found.len(), rows.len(), "a row stands there twice");
    found
}

#[test]
fn every_reason_is_told_with_its_status() {
    let declared = declared(r#"Reason::new\(\s*"(\w+)",\s*(\d+)\s*,?\s*\)"#);
    assert!(declared.len() > 50, "{declared:#?}");
    let rows = rows("reasons.md");
    assert_eq!(columns(&rows, &[0, 1]), declared);
    for row in rows {
        assert_eq!(row.len(), 4, "{row:?}");
        assert!(row.iter().all(|cell| !cell.is_empty()), "{row:?}");
    }
}

#[test]
fn every_metric_is_told_with_its_kind_and_its_help() {
    let declared = declared(r#"Metric::(\w+)\(\s*"(\w+)",\s*"((?:[^"\\]|\\.|\\\n)*)""#);
    assert!(declared.len() > 60, "{declared:#?}");
    let kind = |word: &str| match word {
        "histogram" => "histogram of seconds".to_owned(),
        "counts" => "histogram of counts".to_owned(),
        word => word.to_owned(),
    };
    let declared: BTreeSet<_> = declared
        .into_iter()
        .map(|metric| vec![metric[1].clone(), kind(&metric[0]), metric[2].clone()])
        .collect();
    assert_eq!(columns(&rows("metrics.md"), &[0, 1, 3]), declared);
}

#[test]
fn every_field_of_the_access_log_is_told() {
    let log = Path::new("src/telemetry/access_log");
    // As an argument, and within the text of a line, where its quotes are escaped.
    let fields =
        Regex::new(r#"(?:line,\s*"|[,{\s]\\"|\{\{\\")([a-z]+[a-z0-9_.]*)\\?"[,:]"#).unwrap();
    for (name, heading) in [
        ("mod.rs", "## Of a request"),
        ("connection.rs", "## Of a connection"),
    ] {
        let files = rust_files(log);
        let file = files.iter().find(|file| file.path.ends_with(name)).unwrap();
        let mut written: BTreeSet<String> = fields
            .captures_iter(file.program())
            .map(|field| field[1].to_owned())
            .collect();
        if file.program().contains("http.request.header.") {
            written.insert("http.request.header.NAME".to_owned());
        }
        let page = fs::read_to_string(root().join("config/reference/logs.md")).unwrap();
        let (_, section) = page.split_once(heading).unwrap();
        let section = section.split("\n## ").next().unwrap();
        let told = section
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split('`').next());
        let told: BTreeSet<String> = told.map(str::to_owned).collect();
        assert!(written.len() > 10, "{written:?}");
        assert_eq!(told, written, "{name}");
    }
}
