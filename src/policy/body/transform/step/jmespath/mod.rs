//! `{ jmespath = "items[?price > `10`].{ id: id, name: name }" }`
//!
//! The language is that of jmespath.org, without extensions. Numbers that an expression only hands on keep all their
//! digits; those that it compares or computes with count as 64-bit floating point, as everywhere in JMESPath.

use std::sync::Arc;

use jpx_core::Context;
use serde::{Deserialize, Serialize};

use super::Failure;
use crate::policy::body::document::Draft;
use crate::value::Wrong;

mod evaluate;
mod functions;
mod growth;

/// A JMESPath expression, compiled.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Expression(Arc<jpx_core::Expression<'static>>);

impl Expression {
    /// What the expression finds in the document; `null` where it finds nothing.
    ///
    /// # Errors
    /// A function was given what it does not take.
    pub fn search<'a>(&'a self, document: &Draft<'a>) -> Result<Draft<'a>, Failure> {
        let mut context = Context::new(self.0.as_str(), &functions::RUNTIME);
        evaluate::evaluate(document, self.0.as_ast(), &mut context)
            .map_err(|why| Failure::new(why.reason.to_string()))
    }
}

impl TryFrom<String> for Expression {
    type Error = Wrong;

    fn try_from(text: String) -> Result<Self, Wrong> {
        let ast = jpx_core::parse(&text).map_err(|why| {
            let place = match why.line() {
                1 => format!("column {}", why.column() + 1),
                line => format!("line {line}, column {}", why.column() + 1),
            };
            let wrong = told(&why.reason.to_string());
            let message = format!(
                "not a JMESPath expression, at its {place}: {}",
                wrong.message
            );
            Wrong { message, ..wrong }
        })?;
        growth::check(&ast)?;
        let compiled = jpx_core::Expression::new(text, ast, &functions::RUNTIME);
        Ok(Expression(Arc::new(compiled)))
    }
}

/// The parser's words, or better ones for what people write most often.
fn told(reason: &str) -> Wrong {
    let found = reason.split_once("found ").map(|(_, found)| found);
    let number = found.and_then(|found| found.strip_prefix("Number(")?.split_once(')'));
    match (number, found) {
        (Some((number, _)), _) => Wrong::new("a number stands there without backticks")
            .help(format!("write it in backticks: `{number}`")),
        _ if reason.contains("'='") || reason.contains("\"=\"") || reason.contains("Assign") => {
            Wrong::new("`=` compares nothing").help("write `==`")
        }
        _ => reason.into(),
    }
}

impl From<Expression> for String {
    fn from(expression: Expression) -> String {
        expression.0.as_str().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::body::document::Document;

    fn search(expression: &str, text: &str) -> Result<String, String> {
        let expression =
            Expression::try_from(expression.to_owned()).map_err(|why| why.to_string())?;
        let document = Document::scan(text.as_bytes())?;
        let found = expression.search(&Draft::Node(document.root()));
        let found = found.map_err(|why| why.to_string())?.write(1 << 20);
        Ok(String::from_utf8(found.unwrap()).unwrap())
    }

    #[test]
    fn numbers_survive_and_keys_keep_their_order() {
        for (expression, text, found) in [
            (
                "[a, b]",
                r#"{"a":12345678901234567890123,"b":1.10}"#,
                "[12345678901234567890123,1.10]",
            ),
            ("@", r#"{"z":1,"a":2}"#, r#"{"z":1,"a":2}"#),
            ("{z: z, a: a}", r#"{"a":2,"z":1}"#, r#"{"z":1,"a":2}"#),
            ("sum(@)", "[1, 2, 3.0]", "6"),
            ("sum(@)", "[]", "0"),
            ("avg(@)", "[1, 2]", "1.5"),
            ("max(@)", "[9007199254740993, 1]", "9007199254740993"),
            ("sort(@)", "[2.50, 1.0]", "[1.0,2.50]"),
            ("contains(@, `1`)", "[1.0]", "true"),
            (
                "contains(@, `{\"a\": [1e0]}`)",
                r#"[0, {"a": [1]}]"#,
                "true",
            ),
            ("contains(@, `1`)", "[\"1\", true, 11]", "false"),
            (
                "sort_by(@, &a)[*].b",
                r#"[{"a":2,"b":1e400},{"a":1,"b":0}]"#,
                "[0,1e+400]",
            ),
        ] {
            assert_eq!(
                search(expression, text).as_deref(),
                Ok(found),
                "{expression}"
            );
        }
    }

    #[test]
    fn a_number_that_is_too_large_fails_where_it_is_computed_with() {
        for expression in [
            "abs(@[0])",
            "ceil(@[0])",
            "floor(@[0])",
            "sum(@)",
            "avg(@)",
            "max(@)",
            "sort(@)",
        ] {
            let error = search(expression, "[1e400]").unwrap_err();
            assert!(
                error.to_string().contains("too large"),
                "{expression}: {error}"
            );
        }
        for expression in ["sort_by(@, &a)", "max_by(@, &a)", "min_by(@, &a)"] {
            let error = search(expression, r#"[{"a":1},{"a":-1e400}]"#).unwrap_err();
            assert!(
                error.to_string().contains("too large"),
                "{expression}: {error}"
            );
        }
        assert_eq!(search("@", "[1e+400]").as_deref(), Ok("[1e+400]"));
    }

    #[test]
    fn problems_are_found_at_load() {
        for (expression, part) in [
            ("a[", "at its column 3"),
            ("", "not a JMESPath expression"),
            ("lenght(@)", "no function `lenght`"),
            ("a[*].{b: lenght(@)}", "no function `lenght`"),
            ("length(@, @)", "`length` takes 1 arguments, and is given 2"),
            ("not_null()", "at least 1"),
            ("a\n.[", "line 2"),
            ("items[?price > 10].{id: id}", "write it in backticks: `10`"),
            ("a[?b == -2]", "write it in backticks: `-2`"),
            ("a[?b = `2`]", "write `==`"),
            ("&a", "`&` stands before what `map`"),
            ("[a, &b]", "nowhere else"),
            ("not_null(&a)", "nowhere else"),
        ] {
            let error = Expression::try_from(expression.to_owned()).unwrap_err();
            assert!(error.to_string().contains(part), "{expression}: {error}");
        }
        assert!(Expression::try_from("(".repeat(100_000)).is_err());
        assert!(Expression::try_from("a.".repeat(100_000) + "a").is_err());
    }

    #[test]
    fn what_would_multiply_without_end_is_refused() {
        for expression in [
            ["[@, @]"; 40].join(" | "),
            ["{a: @, b: @}"; 40].join(" | "),
            format!("({}) == `1`", ["[@, @]"; 40].join(" | ")),
            format!("map(&{}, @)", ["[@, @]"; 40].join(" | ")),
            ["to_string(@)"; 40].join(" | "),
        ] {
            let error = Expression::try_from(expression).unwrap_err();
            assert!(error.to_string().contains("times as large"), "{error}");
        }
        let wide: Vec<String> = (0..200).map(|n| format!("f{n}: a.f{n}")).collect();
        Expression::try_from(format!(
            "items[*].{{{}}} | sort_by(@, &f1)",
            wide.join(", ")
        ))
        .unwrap();
    }
}
