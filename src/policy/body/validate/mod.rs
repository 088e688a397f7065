//! `validate = { schema = "order.json" }`: a JSON Schema that a body has to match, in `request` and `response`.

use std::fmt;
use std::sync::Arc;

use jsonschema::{Retrieve, ValidationOptions, Validator};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::scanned::Scanned;
use super::document::{self, Node};
use crate::http::error::Violation;
use crate::value::problem::Problems;
use crate::value::{FilePath, Wrong};

/// `validate`
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// A JSON Schema in a file of its own: version 2020-12, unless its `$schema` names another. A change of the file is a
    /// change of the config. A `$ref` reaches what is in the file, and nothing else: no schema is ever fetched. `format`
    /// is an annotation, as the specification has it.
    pub schema: FilePath,
}

impl Config {
    /// Opens the schema; None when it is none.
    pub fn open(&self, problems: &mut Problems) -> Option<Schema> {
        match Schema::read(&self.schema) {
            Ok(schema) => Some(schema),
            Err(wrong) => {
                problems.wrong(&["schema"], wrong);
                None
            }
        }
    }
}

/// A schema that was read.
#[derive(Clone, Debug)]
pub struct Schema(Arc<Validator<Scanned>>);

/// The largest schema, in bytes.
const LARGEST: u64 = 1 << 20;

/// How to mend a schema that says no better.
const VERSION: &str = "what may stand there is told by JSON Schema 2020-12, or by the version that its `$schema` names";

/// As many violations are listed, with as many bytes in all; beyond that it is only said that there are more.
const MOST_LISTED: usize = 50;
const LONGEST_LIST: usize = 4096;
const LONGEST_ENTRY: usize = 300;

/// Whether a violation may tell the value that it is about. What an upstream sent may be nothing for the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Values {
    Shown,
    Hidden,
}

impl Schema {
    /// # Errors
    /// Every violation.
    pub fn check(&self, document: Node<'_>, values: Values) -> Result<(), Violations> {
        // Most documents have none, and to know that takes less.
        if self.0.is_valid(document) {
            return Ok(());
        }
        violations(&self.0, document, values)
    }

    fn read(file: &FilePath) -> Result<Self, Wrong> {
        let bytes = file.read(LARGEST)?;
        let schema =
            document::read(&bytes).map_err(|why| format!("`{file}` is not JSON: {why}"))?;
        let validator =
            compile(&schema, &jsonschema::options_for().offline()).map_err(|wrong| Wrong {
                message: format!("`{file}` is no JSON Schema: {}", wrong.message),
                help: wrong.help.or_else(|| Some(VERSION.to_owned())),
                ..wrong
            })?;
        Ok(Schema(Arc::new(validator)))
    }
}

fn compile(
    schema: &Value,
    options: &ValidationOptions<'_, Arc<dyn Retrieve>, Scanned>,
) -> Result<Validator<Scanned>, Wrong> {
    options
        .build(schema)
        .map_err(|first| schema_problems::found(schema, &first))
}

fn violations(
    validator: &Validator<Scanned>,
    document: Node<'_>,
    values: Values,
) -> Result<(), Violations> {
    let mut found = Violations::default();
    let mut room = LONGEST_LIST;
    for error in validator.iter_errors(document) {
        let message = match values {
            Values::Shown => error.to_string(),
            Values::Hidden => error.masked().to_string(),
        };
        let violation = Violation {
            pointer: shortened(error.instance_path().as_str()),
            detail: shortened(&message),
        };
        let size = violation.pointer.len() + violation.detail.len();
        if found.list.len() == MOST_LISTED || size > room {
            found.more = true;
            break;
        }
        room -= size;
        found.list.push(violation);
    }
    if found.list.is_empty() {
        Ok(())
    } else {
        Err(found)
    }
}

/// What a document does wrong, up to a limit.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Violations {
    pub list: Vec<Violation>,
    /// There are more than these.
    pub more: bool,
}

/// As one line, each behind its JSON Pointer.
impl fmt::Display for Violations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, Violation { pointer, detail }) in self.list.iter().enumerate() {
            let gap = if index == 0 { "" } else { "; " };
            match pointer.as_str() {
                "" => write!(f, "{gap}the document: {detail}")?,
                pointer => write!(f, "{gap}`{pointer}`: {detail}")?,
            }
        }
        f.write_str(if self.more { "; and more" } else { "" })
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(LONGEST_ENTRY) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}...", &text[..end]),
    }
}

mod scanned;
mod schema_problems;
#[cfg(test)]
mod suite_tests;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::body::document::Document;
    use serde_json::json;

    fn schema(text: &str) -> Result<Schema, Wrong> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("schema.json");
        std::fs::write(&path, text).unwrap();
        Schema::read(&path.into())
    }

    fn check(schema: &Schema, document: &Value, values: Values) -> Result<(), Violations> {
        let text = document.to_string();
        schema.check(Document::scan(text.as_bytes()).unwrap().root(), values)
    }

    fn order() -> Schema {
        schema(
            r##"{
                "type": "object",
                "required": ["id"],
                "properties": { "id": { "type": "integer" }, "lines": { "items": { "$ref": "#/$defs/line" } } },
                "$defs": { "line": { "properties": { "count": { "minimum": 1 } } } }
            }"##,
        )
        .unwrap()
    }

    #[test]
    fn every_violation_is_listed_with_its_pointer() {
        let document = json!({ "id": "secret-7", "lines": [{ "count": 1 }, { "count": 0 }] });
        let shown = check(&order(), &document, Values::Shown).unwrap_err();
        let pointers: Vec<&str> = shown.list.iter().map(|v| v.pointer.as_str()).collect();
        assert_eq!(pointers, ["/id", "/lines/1/count"]);
        assert_eq!(
            shown.to_string(),
            r#"`/id`: "secret-7" is not of type "integer"; `/lines/1/count`: 0 is less than the minimum of 1"#
        );
        let hidden = check(&order(), &document, Values::Hidden)
            .unwrap_err()
            .to_string();
        assert!(
            !hidden.contains("secret-7") && hidden.contains("`/lines/1/count`"),
            "{hidden}"
        );
        let missing = check(&order(), &json!({}), Values::Shown).unwrap_err();
        assert_eq!(missing.list[0].pointer, "");
        assert_eq!(
            missing.to_string(),
            r#"the document: "id" is a required property"#
        );
        assert_eq!(check(&order(), &json!({ "id": 1 }), Values::Shown), Ok(()));
    }

    #[test]
    fn large_numbers_are_judged_by_their_value() {
        let bounded = schema(r#"{ "maximum": 9007199254740992 }"#).unwrap();
        let judge = |text: &str| {
            bounded.check(
                Document::scan(text.as_bytes()).unwrap().root(),
                Values::Shown,
            )
        };
        assert!(judge("9007199254740992").is_ok());
        assert!(judge("9007199254740993").is_err());
        assert!(judge("123456789012345678901234567890").is_err());
    }

    #[test]
    fn the_list_is_bounded() {
        let strings = schema(r#"{ "items": { "type": "integer" } }"#).unwrap();
        for document in [json!(vec!["a"; 1000]), json!(vec!["x".repeat(5000); 40])] {
            let found = check(&strings, &document, Values::Shown).unwrap_err();
            assert!(found.list.len() <= MOST_LISTED);
            let list = found.to_string();
            assert!(
                list.len() < 2 * LONGEST_LIST && list.ends_with("; and more"),
                "{list}"
            );
        }
    }

    #[test]
    fn problems_of_a_schema_are_told() {
        for (text, part) in [
            ("{", "is not JSON"),
            ("[]", "is no JSON Schema"),
            (
                r#"{ "properties": { "a": { "type": "integr" } } }"#,
                "at `/properties/a/type`",
            ),
            (
                r#"{ "properties": { "a": { "type": "integr" }, "b": { "minLength": "x" } } }"#,
                "at `/properties/b/minLength`",
            ),
            (
                r#"{ "type": "integr" }"#,
                r#""integr" is not one of "array""#,
            ),
            (
                r#"{ "$ref": "http://localhost:1234/x.json" }"#,
                "`http://localhost:1234/x.json`, which is not in this file",
            ),
            (
                r#"{ "$ref": "other.json" }"#,
                "other.json`, which is not in this file",
            ),
            (
                r##"{ "$ref": "#/$defs/none" }"##,
                "`/$defs/none`, which is not there",
            ),
            (r#"{ "pattern": "(" }"#, "is no JSON Schema"),
        ] {
            let error = schema(text).unwrap_err();
            assert!(error.to_string().contains(part), "{text}: {error}");
        }
        let missing = Schema::read(&std::path::PathBuf::from("/nowhere.json").into());
        assert!(missing.unwrap_err().to_string().contains("cannot read"));
        for url in [
            "https://x.example/s.json",
            "/etc/outrigger/https:/x.example/s.json",
        ] {
            let fetched = Schema::read(&std::path::PathBuf::from(url).into());
            assert!(
                fetched
                    .unwrap_err()
                    .to_string()
                    .contains("nothing is fetched")
            );
        }
    }
}
