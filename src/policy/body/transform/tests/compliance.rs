//! The official compliance cases of JMESPath, through a route's own way of applying an expression.

use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use super::sent;
use crate::policy::body::RequestConfig;
use crate::policy::body::document;

/// Another folder of cases than the one that the library's own package has.
const FOLDER: &str = "JMESPATH_CASES";

/// Cases that are not as the suite has them, each with the reason: none.
const EXCEPT: [(&str, &str); 0] = [];

#[tokio::test]
async fn every_case_of_jmespath_s_own_suite_is_passed() {
    let mut passed = 0;
    let mut failed = Vec::new();
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let groups = document::read(&std::fs::read(&path).unwrap()).unwrap();
        for group in groups.as_array().unwrap() {
            for case in group["cases"].as_array().unwrap() {
                // Some only measure how long it takes.
                if case.get("result").is_none() && case.get("error").is_none() {
                    continue;
                }
                let expression = case["expression"].as_str().unwrap();
                match judge(expression, &group["given"], case).await {
                    Ok(()) => passed += 1,
                    Err(why) => failed.push((format!("{}: {expression}", path.display()), why)),
                }
            }
        }
    }
    let unexpected: Vec<_> = failed
        .iter()
        .filter(|(case, _)| EXCEPT.iter().all(|(known, _)| !case.ends_with(known)))
        .collect();
    assert!(unexpected.is_empty(), "{unexpected:#?}");
    assert!(passed > 800, "only {passed} cases were found");
}

async fn judge(expression: &str, given: &Value, case: &Value) -> Result<(), String> {
    let step = json!({ "body": [{ "jmespath": expression }] });
    let outcome = match serde_json::from_value::<RequestConfig>(step) {
        Ok(config) => sent(&config, given.to_string())
            .await
            .map_err(|e| e.to_string()),
        Err(error) => Err(error.to_string()),
    };
    match (outcome, case.get("result")) {
        (Ok(found), Some(wanted)) => {
            let found = document::read(found.as_bytes())?;
            if same(&found, wanted) {
                Ok(())
            } else {
                Err(format!("found {found}, wanted {wanted}"))
            }
        }
        (Err(_), None) => Ok(()),
        (Ok(found), None) => Err(format!("found {found}, wanted the error {}", case["error"])),
        (Err(why), Some(_)) => Err(why),
    }
}

/// Equal as JSON: 1 and 1.0 are one number.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            let matches = |(key, a): (&String, &Value)| b.get(key).is_some_and(|b| same(a, b));
            a.len() == b.len() && a.iter().all(matches)
        }
        (a, b) => a == b,
    }
}

fn folder() -> PathBuf {
    if let Some(folder) = std::env::var_os(FOLDER) {
        return folder.into();
    }
    // What only other platforms need was not downloaded to build this.
    let platform = output(Command::new("rustc").args(["--print", "host-tuple"]));
    let metadata = output(
        Command::new(env!("CARGO"))
            .args(["metadata", "--format-version", "1", "--locked", "--offline"])
            .args(["--filter-platform", platform.trim()])
            .current_dir(env!("CARGO_MANIFEST_DIR")),
    );
    let metadata: Value = serde_json::from_str(&metadata).unwrap();
    let mut packages = metadata["packages"].as_array().unwrap().iter();
    let library = packages
        .find(|package| package["name"] == "jpx-core")
        .unwrap();
    let manifest = PathBuf::from(library["manifest_path"].as_str().unwrap());
    manifest.with_file_name("tests").join("compliance")
}

fn output(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}
