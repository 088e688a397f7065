//! The cases of `tests/cases`, whose README says how they are written.

mod exchange;
mod report;

use std::path::Path;

use serde::de::DeserializeOwned;

use crate::support::sources::files;

/// As many cases at once; each waits for a process most of the time.
const AT_ONCE: usize = 4;

#[test]
fn every_exchange_goes_as_its_case_says() {
    run::<exchange::Family>("tests/cases/exchanges");
}

#[test]
fn every_config_is_reported_as_its_case_says() {
    run::<report::Family>("tests/cases/reports");
}

/// A file of cases.
trait Family: DeserializeOwned {
    type Case: Send;

    fn cases(self) -> Vec<Self::Case>;
    fn name(case: &Self::Case) -> &str;
    /// What is wrong, if anything is.
    fn run(case: &Self::Case) -> Result<(), String>;
}

/// Runs every case of a folder and names all that go wrong, not the first only.
fn run<F: Family>(folder: &str) {
    let mut cases = Vec::new();
    for file in files(Path::new(folder), "toml") {
        let family: F = toml::from_str(&file.text)
            .unwrap_or_else(|error| panic!("{}: {error}", file.path.display()));
        let stem = file.path.file_stem().expect("a file's name");
        let stem = stem.to_string_lossy().into_owned();
        cases.extend(family.cases().into_iter().map(|case| (stem.clone(), case)));
    }
    assert!(!cases.is_empty(), "no cases in {folder}");
    let cases = std::sync::Mutex::new(cases.into_iter());
    let wrong = std::sync::Mutex::new(Vec::new());
    let next = || cases.lock().unwrap().next();
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some((file, case)) = next() {
                    if let Err(what) = F::run(&case) {
                        let name = F::name(&case);
                        wrong
                            .lock()
                            .unwrap()
                            .push(format!("{file}: {name}: {what}"));
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Says what is wrong when a condition does not hold.
fn holds(condition: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if condition { Ok(()) } else { Err(what()) }
}
