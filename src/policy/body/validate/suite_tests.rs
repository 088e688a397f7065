//! The official test suite of JSON Schema 2020-12, judged as a route judges bodies.

use std::collections::HashMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jsonschema::{Retrieve, Uri};

use super::*;
use crate::policy::body::document::Document;

/// Required cases that come out otherwise, each with the reason: none.
const EXCEPT: [(&str, &str); 0] = [];

/// Names the folder of the suite, with its `tests` and `remotes`. The suite is not ours, so it is not kept here.
const FOLDER: &str = "JSON_SCHEMA_SUITE";

/// What the suite says its references lead to. A route's schema reaches nothing outside of its file.
#[derive(Clone)]
struct Remotes(Arc<HashMap<String, Value>>);

impl Remotes {
    fn read(folder: &Path) -> Self {
        let mut remotes = HashMap::new();
        let mut waiting = vec![folder.to_owned()];
        while let Some(path) = waiting.pop() {
            if path.is_dir() {
                waiting.extend(std::fs::read_dir(&path).unwrap().map(|e| e.unwrap().path()));
                continue;
            }
            let name = path.strip_prefix(folder).unwrap().display().to_string();
            remotes.insert(format!("http://localhost:1234/{name}"), json(&path));
        }
        Remotes(remotes.into())
    }
}

impl Retrieve for Remotes {
    fn retrieve(
        &self,
        uri: &Uri<String>,
    ) -> Result<Value, Box<dyn std::error::Error + Send + Sync>> {
        let found = self.0.get(uri.as_str()).cloned();
        found.ok_or_else(|| format!("there is no {uri}").into())
    }
}

fn json(path: &Path) -> Value {
    document::read(&std::fs::read(path).unwrap()).unwrap()
}

fn judge(validator: &Validator<Scanned>, document: &Value) -> bool {
    let text = document.to_string();
    let document = Document::scan(text.as_bytes()).unwrap();
    let found = violations(validator, document.root(), Values::Shown);
    assert_eq!(validator.is_valid(document.root()), found.is_ok(), "{text}");
    found.is_ok()
}

#[test]
fn every_required_case_is_judged_as_the_suite_says() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else {
        // Not by a macro, whose output would be kept back.
        let skipped =
            "skipped: the official cases of JSON Schema; `tests/run` fetches and runs them";
        writeln!(std::io::stderr(), "{skipped}").unwrap();
        return;
    };
    let mut passed = 0;
    let mut failed = Vec::new();
    let remotes = Remotes::read(&folder.join("remotes"));
    for entry in std::fs::read_dir(folder.join("tests/draft2020-12")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            continue;
        }
        for group in json(&path).as_array().unwrap() {
            let options = jsonschema::options_for().with_retriever(remotes.clone());
            let validator = compile(&group["schema"], &options);
            for test in group["tests"].as_array().unwrap() {
                let judged = match &validator {
                    Ok(validator) => judge(validator, &test["data"]),
                    Err(_) => !test["valid"].as_bool().unwrap(),
                };
                let name = format!(
                    "{}: {}: {}",
                    path.file_name().unwrap().display(),
                    group["description"],
                    test["description"]
                );
                if judged == test["valid"].as_bool().unwrap() {
                    passed += 1
                } else {
                    failed.push((name, validator.as_ref().err().cloned()))
                }
            }
        }
    }
    failed.retain(|(name, _)| EXCEPT.iter().all(|(known, _)| name != known));
    assert!(failed.is_empty(), "{failed:#?}");
    assert!(passed > 1200, "only {passed} cases were found");
}
