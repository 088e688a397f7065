//! What is wrong with a block of `sql` by the word of its database.

use std::collections::{BTreeMap, BTreeSet};

use super::config::Config;
use crate::database::{Inspected, Objection, Type};
use crate::target::block::{Asked, Opened};
use crate::value::problem::Problems;

/// Has the database look at each statement.
///
/// # Errors
/// Why it cannot be asked.
pub(super) async fn check(
    config: &Config,
    asked: Asked<'_>,
    opened: &Opened,
) -> Result<Problems, String> {
    let mut problems = Problems::default();
    if asked.name != config.database {
        return Ok(problems);
    }
    let work = config.work(asked.kind, opened);
    let (Some(written), Some(work)) = (config.written(opened), work) else {
        return Ok(problems);
    };
    // By the number of the parameter: for what statements take it.
    let mut taken = BTreeMap::new();
    let mut columns = None;
    let mut last = Vec::new();
    for ((_, keys), statement) in written.iter().zip(&work.statements) {
        last = keys.iter().map(String::as_str).collect();
        match asked.client.inspect(statement).await {
            Ok(Inspected {
                parameters,
                columns: of_this,
            }) => {
                for (place, name) in parameters.into_iter().enumerate() {
                    if let Some(name) = name {
                        taken
                            .entry(place)
                            .or_insert_with(BTreeSet::new)
                            .insert(name);
                    }
                }
                columns = of_this;
            }
            Err(Objection::Refused(why)) => {
                problems.error(&last, format!("the database refuses this: {why}"));
                return Ok(problems);
            }
            Err(Objection::Unreachable(why)) => return Err(why),
        }
    }
    check_types(config, &taken, &mut problems);
    if let Some(columns) = columns {
        check_columns(config, &columns, &last, &mut problems);
    }
    Ok(problems)
}

/// A type that was declared is what counts, so another one is a doubt and no error.
fn check_types(
    config: &Config,
    taken: &BTreeMap<usize, BTreeSet<String>>,
    problems: &mut Problems,
) {
    for (place, parameter) in config.parameters.iter().enumerate() {
        let Some(names) = taken.get(&place) else {
            continue;
        };
        if parameter.of.is_inferred() || names.iter().any(|name| is_same(parameter.of, name)) {
            continue;
        }
        let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
        let names = names.join(" and ");
        problems
            .warning(
                &["parameters", &place.to_string(), "type"],
                format!(
                    "${} is declared as `{}`, and the database would take it for {names}",
                    place + 1,
                    parameter.of
                ),
            )
            .help("declare it as that, unless the difference is meant");
    }
}

/// Whether a type that is declared has this name in the database.
fn is_same(declared: Type, name: &str) -> bool {
    declared.to_string() == name || name.parse() == Ok(declared)
}

fn check_columns(config: &Config, columns: &[String], keys: &[&str], problems: &mut Problems) {
    if !config.result.has_rows() {
        return;
    }
    if columns.is_empty() {
        problems
            .error(&["result"], "the statement gives no rows")
            .help(
                "write `result = \"affected\"` or `\"none\"`, or have it give some (`returning`)",
            );
    }
    let mut seen = BTreeSet::new();
    if let Some(name) = columns.iter().find(|name| !seen.insert(name.as_str())) {
        problems
            .error(
                keys,
                format!("two columns of the result are called `{name}`"),
            )
            .help("name one of them otherwise (`as`)");
    }
}
