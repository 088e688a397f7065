//! What keeps the source readable.

use std::path::Path;

use crate::support::sources::{SourceFile, rust_files};

const MOST_LINES: usize = 600;

/// Marks of unfinished work, written in two parts so that this file does not hold them.
const LEFT_OVERS: [&str; 7] = [
    concat!("to", "do!("),
    concat!("unimpl", "emented!("),
    concat!("db", "g!("),
    concat!("FIX", "ME"),
    concat!("TO", "DO"),
    concat!("XX", "X"),
    concat!("HA", "CK"),
];

fn all() -> impl Iterator<Item = SourceFile> {
    ["src", "tests", "benches"]
        .into_iter()
        .flat_map(|folder| rust_files(Path::new(folder)))
}

#[test]
fn no_file_is_longer_than_a_reader_can_hold() {
    for file in all() {
        let lines = file.text.lines().count();
        assert!(
            lines <= MOST_LINES,
            "{} has {lines} lines",
            file.path.display()
        );
    }
}

#[test]
fn nothing_is_left_unfinished() {
    for file in all() {
        for left_over in LEFT_OVERS {
            let line = file.text.lines().position(|line| line.contains(left_over));
            assert!(
                line.is_none(),
                "{}:{} has {left_over}",
                file.path.display(),
                line.unwrap_or_default() + 1
            );
        }
    }
}

#[test]
fn no_test_is_left_out() {
    let ignored = concat!("#[ign", "ore");
    for file in all() {
        assert!(
            !file.text.contains(ignored),
            "{} leaves a test out",
            file.path.display()
        );
    }
}

#[test]
fn every_file_of_the_program_says_what_it_is() {
    let files = rust_files(Path::new("src")).into_iter();
    // The tests of a file belong to what that file says.
    for file in files.filter(|file| !is_tests(&file.path)) {
        assert!(
            file.text.starts_with("//!"),
            "{} does not begin with what it is for",
            file.path.display()
        );
    }
}

fn is_tests(path: &Path) -> bool {
    path.file_stem()
        .is_some_and(|stem| stem.to_string_lossy().ends_with("tests"))
}
