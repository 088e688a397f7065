//! `{ jmespath = "items[?price > `10`].{ id: id, name: name }" }`
//!
//! The language is that of jmespath.org, without extensions. Numbers that an expression only hands on keep all their
//! digits; those that it compares or computes with count as 64-bit floating point, as everywhere in JMESPath.

use std::sync::{Arc, LazyLock};

use jpx_core::ast::{Ast, Comparator};
use jpx_core::functions::{self, Function};
use jpx_core::{Context, Runtime, SearchResult, ValueExt};
use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};

use super::Failure;

/// A JMESPath expression, compiled.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Expression(Arc<jpx_core::Expression<'static>>);

/// How many times as large as the document a result may become. It is computed from the expression alone, so that one
/// which multiplies without end, such as `[@, @] | [@, @] | ...`, is refused when it is loaded.
const MAX_GROWTH: f64 = 1000.0;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let mut runtime = Runtime::strict();
    let computing: [(&str, Box<dyn Function>); 5] = [
        ("abs", Box::new(functions::AbsFn::new())),
        ("avg", Box::new(functions::AvgFn::new())),
        ("ceil", Box::new(functions::CeilFn::new())),
        ("floor", Box::new(functions::FloorFn::new())),
        ("sum", Box::new(functions::SumFn::new())),
    ];
    for (name, function) in computing {
        runtime.register_function(name, Box::new(Computing(function)));
    }
    let ordering: [(&str, Box<dyn Function>); 3] = [
        ("max", Box::new(functions::MaxFn::new())),
        ("min", Box::new(functions::MinFn::new())),
        ("sort", Box::new(functions::SortFn::new())),
    ];
    for (name, function) in ordering {
        runtime.register_function(name, Box::new(Ordering(function)));
    }
    let ordering_by_key: [(&str, Box<dyn Function>); 3] = [
        ("max_by", Box::new(functions::MaxByFn::new())),
        ("min_by", Box::new(functions::MinByFn::new())),
        ("sort_by", Box::new(functions::SortByFn::new())),
    ];
    for (name, function) in ordering_by_key {
        runtime.register_function(name, Box::new(OrderingByKey(function)));
    }
    runtime.register_function("contains", Box::new(Contains(functions::ContainsFn::new())));
    runtime
});

/// The functions of the specification, with the fewest and the most arguments that each takes.
const FUNCTIONS: [(&str, usize, usize); 26] = [
    ("abs", 1, 1),
    ("avg", 1, 1),
    ("ceil", 1, 1),
    ("contains", 2, 2),
    ("ends_with", 2, 2),
    ("floor", 1, 1),
    ("join", 2, 2),
    ("keys", 1, 1),
    ("length", 1, 1),
    ("map", 2, 2),
    ("max", 1, 1),
    ("max_by", 2, 2),
    ("merge", 0, usize::MAX),
    ("min", 1, 1),
    ("min_by", 2, 2),
    ("not_null", 1, usize::MAX),
    ("reverse", 1, 1),
    ("sort", 1, 1),
    ("sort_by", 2, 2),
    ("starts_with", 2, 2),
    ("sum", 1, 1),
    ("to_array", 1, 1),
    ("to_number", 1, 1),
    ("to_string", 1, 1),
    ("type", 1, 1),
    ("values", 1, 1),
];

impl Expression {
    /// What the expression finds in the document; `null` where it finds nothing.
    ///
    /// # Errors
    /// A function was given what it does not take.
    pub fn search(&self, document: &Value) -> Result<Value, Failure> {
        self.0
            .search(document)
            .map_err(|why| Failure::new(why.reason.to_string()))
    }
}

impl TryFrom<String> for Expression {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let ast = jpx_core::parse(&text).map_err(|why| {
            let place = match why.line() {
                1 => format!("column {}", why.column() + 1),
                line => format!("line {line}, column {}", why.column() + 1),
            };
            format!("not a JMESPath expression, at its {place}: {}", why.reason)
        })?;
        let growth = growth(&ast)?;
        if growth.peak > MAX_GROWTH {
            return Err(format!(
                "this expression can make a document more than {MAX_GROWTH} times as large: {:.0} times",
                growth.peak.min(1e9)
            ));
        }
        let compiled = jpx_core::Expression::new(text, ast, &RUNTIME);
        Ok(Expression(Arc::new(compiled)))
    }
}

impl From<Expression> for String {
    fn from(expression: Expression) -> String {
        expression.0.as_str().to_owned()
    }
}

/// Upper bounds of how many times as large as its input something is.
#[derive(Clone, Copy)]
struct Growth {
    result: f64,
    /// The largest value on the way to the result.
    peak: f64,
}

/// # Errors
/// A function that does not exist, or takes another number of arguments.
fn growth(ast: &Ast) -> Result<Growth, String> {
    let plain = |result: f64, of: &[Growth]| Growth {
        result,
        peak: of.iter().map(|g| g.peak).fold(result, f64::max),
    };
    let chained = |first: Growth, second: Growth| Growth {
        result: first.result * second.result,
        peak: first.peak.max(first.result * second.peak),
    };
    let sum = |of: &[Growth]| of.iter().map(|g| g.result).sum::<f64>().max(1.0);
    let all = |of: &mut dyn Iterator<Item = &Ast>| of.map(growth).collect::<Result<Vec<_>, _>>();
    Ok(match ast {
        Ast::Identity { .. } | Ast::Field { .. } | Ast::Index { .. } | Ast::Slice { .. } => {
            plain(1.0, &[])
        }
        Ast::Literal { value, .. } => plain((value.to_string().len() as f64 / 16.0).max(1.0), &[]),
        Ast::Expref { ast: node, .. }
        | Ast::Flatten { node, .. }
        | Ast::ObjectValues { node, .. } => growth(node)?,
        Ast::Not { node, .. } => plain(1.0, &[growth(node)?]),
        Ast::Comparison { lhs, rhs, .. } => plain(1.0, &[growth(lhs)?, growth(rhs)?]),
        Ast::Condition {
            predicate, then, ..
        } => {
            let then = growth(then)?;
            plain(then.result, &[growth(predicate)?, then])
        }
        Ast::Or { lhs, rhs, .. } | Ast::And { lhs, rhs, .. } => {
            let (left, right) = (growth(lhs)?, growth(rhs)?);
            plain(left.result.max(right.result), &[left, right])
        }
        Ast::Subexpr { lhs, rhs, .. } | Ast::Projection { lhs, rhs, .. } => {
            chained(growth(lhs)?, growth(rhs)?)
        }
        Ast::MultiList { elements, .. } => {
            let parts = all(&mut elements.iter())?;
            plain(sum(&parts), &parts)
        }
        Ast::MultiHash { elements, .. } => {
            let parts = all(&mut elements.iter().map(|pair| &pair.value))?;
            plain(sum(&parts), &parts)
        }
        Ast::Function { name, args, .. } => {
            takes(name, args.len())?;
            let parts = all(&mut args.iter())?;
            match (name.as_str(), parts.as_slice()) {
                ("map", [each, list]) => chained(*list, *each),
                // Text is escaped once more, which can double it.
                ("to_string", _) => plain(2.0 * sum(&parts), &parts),
                // One of them stands between any two of the other.
                ("join", [between, list]) => chained(*list, *between),
                _ => plain(sum(&parts), &parts),
            }
        }
    })
}

fn takes(name: &str, given: usize) -> Result<(), String> {
    let known = FUNCTIONS.iter().find(|(known, ..)| *known == name);
    let (_, least, most) = known.ok_or_else(|| {
        let names: Vec<&str> = FUNCTIONS.iter().map(|(name, ..)| *name).collect();
        format!(
            "JMESPath has no function `{name}`; it has {}",
            names.join(", ")
        )
    })?;
    if (*least..=*most).contains(&given) {
        return Ok(());
    }
    let wanted = match (*least, *most) {
        (least, usize::MAX) => format!("at least {least}"),
        (least, _) => least.to_string(),
    };
    Err(format!(
        "`{name}` takes {wanted} arguments, and is given {given}"
    ))
}

/// A function on numbers: what has no fraction is written without one, as people expect of `sum` and `length` alike.
struct Computing(Box<dyn Function>);

impl Function for Computing {
    fn evaluate(&self, args: &[Value], ctx: &mut Context<'_>) -> SearchResult {
        in_range(args, ctx)?;
        Ok(match self.0.evaluate(args, ctx)? {
            Value::Number(number) => Value::Number(without_fraction(number)),
            other => other,
        })
    }
}

/// A function that orders numbers.
struct Ordering(Box<dyn Function>);

impl Function for Ordering {
    fn evaluate(&self, args: &[Value], ctx: &mut Context<'_>) -> SearchResult {
        in_range(args, ctx)?;
        self.0.evaluate(args, ctx)
    }
}

/// A function that orders what it is given by something of it.
struct OrderingByKey(Box<dyn Function>);

impl Function for OrderingByKey {
    fn evaluate(&self, args: &[Value], ctx: &mut Context<'_>) -> SearchResult {
        if let [list, key] = args
            && has_beyond(list)
        {
            let keys = functions::MapFn::new().evaluate(&[key.clone(), list.clone()], ctx)?;
            in_range(&[keys], ctx)?;
        }
        self.0.evaluate(args, ctx)
    }
}

/// `contains`, for which a number is in a list as soon as `==` finds it there: 1 and 1.0 are one number.
struct Contains(functions::ContainsFn);

impl Function for Contains {
    fn evaluate(&self, args: &[Value], ctx: &mut Context<'_>) -> SearchResult {
        let [Value::Array(items), sought] = args else {
            return self.0.evaluate(args, ctx);
        };
        let mut equal = items
            .iter()
            .map(|item| item.compare(&Comparator::Equal, sought));
        Ok(Value::Bool(equal.any(|equal| equal == Some(true))))
    }
}

/// Whether a number beyond 64-bit floating point stands anywhere in a document.
fn has_beyond(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.iter().any(has_beyond),
        Value::Object(fields) => fields.values().any(has_beyond),
        leaf => is_beyond(leaf),
    }
}

fn is_beyond(value: &Value) -> bool {
    value.is_number() && value.as_f64().is_none()
}

/// The library takes a number beyond 64-bit floating point for 0, or panics.
fn in_range(args: &[Value], ctx: &Context<'_>) -> Result<(), jpx_core::JmespathError> {
    let found = args.iter().any(|arg| match arg {
        Value::Array(items) => items.iter().any(is_beyond),
        arg => is_beyond(arg),
    });
    match found {
        true => Err(functions::custom_error(
            ctx,
            "a number is too large to compute with",
        )),
        false => Ok(()),
    }
}

fn without_fraction(number: Number) -> Number {
    const EXACT: f64 = 9_007_199_254_740_992.0; // 2^53
    match number.as_f64() {
        Some(value) if value.fract() == 0.0 && value.abs() < EXACT => Number::from(value as i64),
        _ => number,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::body_transform::document;

    fn search(expression: &str, text: &str) -> Result<String, String> {
        let expression = Expression::try_from(expression.to_owned())?;
        let document = document::read(text.as_bytes())?;
        let found = expression
            .search(&document)
            .map_err(|why| why.to_string())?;
        Ok(found.to_string())
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
            assert!(error.contains("too large"), "{expression}: {error}");
        }
        for expression in ["sort_by(@, &a)", "max_by(@, &a)", "min_by(@, &a)"] {
            let error = search(expression, r#"[{"a":1},{"a":-1e400}]"#).unwrap_err();
            assert!(error.contains("too large"), "{expression}: {error}");
        }
        assert_eq!(search("@", "[1e+400]").as_deref(), Ok("[1e+400]"));
    }

    #[test]
    fn mistakes_are_found_at_load() {
        for (expression, part) in [
            ("a[", "at its column 3"),
            ("", "not a JMESPath expression"),
            ("lenght(@)", "no function `lenght`"),
            ("a[*].{b: lenght(@)}", "no function `lenght`"),
            ("length(@, @)", "`length` takes 1 arguments, and is given 2"),
            ("not_null()", "at least 1"),
            ("a\n.[", "line 2"),
        ] {
            let error = Expression::try_from(expression.to_owned()).unwrap_err();
            assert!(error.contains(part), "{expression}: {error}");
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
            assert!(error.contains("times as large"), "{error}");
        }
        let wide: Vec<String> = (0..200).map(|n| format!("f{n}: a.f{n}")).collect();
        Expression::try_from(format!(
            "items[*].{{{}}} | sort_by(@, &f1)",
            wide.join(", ")
        ))
        .unwrap();
    }
}
