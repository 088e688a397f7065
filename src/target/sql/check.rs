//! What is wrong with a block of `sql`.

use std::ops::Range;

use super::config::Config;
use super::source::Source;
use crate::database::{Kind, Scalar, Scanned, Shape, scan};
use crate::target::block::Opened;
use crate::value::problem::Problems;

/// The most parameters: PostgreSQL counts them in 16 bits, and nobody has so many.
const MOST_PARAMETERS: usize = 1000;

/// What can be told without the database and the file.
pub(super) fn check(config: &Config, known: &[&str], problems: &mut Problems) {
    let set = [
        ("statement", config.statement.is_some()),
        ("file", config.file.is_some()),
        ("statements", !config.statements.is_empty()),
    ];
    let mut set = set.into_iter().filter(|(_, is_set)| *is_set);
    match (set.next(), set.next()) {
        (None, _) => {
            problems
                .error(&[], "this does not say what is to be run")
                .help("set `statement`, `file` or `statements`");
        }
        (Some((first, _)), Some((second, _))) => {
            problems
                .error(&[second], format!("there is a `{first}` already"))
                .help("write several in one list, `statements`");
        }
        _ => {}
    }
    if config.max_rows == 0 {
        problems.error(&["max_rows"], "no result has no room for a row");
    }
    if config.max_bytes.0 == 0 {
        problems.error(&["max_bytes"], "no result has no bytes");
    }
    if config.parameters.len() > MOST_PARAMETERS {
        problems.error(
            &["parameters"],
            format!("a statement has at most {MOST_PARAMETERS} parameters"),
        );
    }
    for (place, parameter) in config.parameters.iter().enumerate() {
        let place = place.to_string();
        problems.within(&["parameters", &place], |problems| {
            if let Source::Path(name) = &parameter.from
                && !known.contains(&name.as_str())
            {
                problems
                    .error(
                        &["from"],
                        format!("the path of `match` captures nothing under the name `{name}`"),
                    )
                    .help(match known {
                        [] => "name a part of it there, like `{id}`".to_owned(),
                        known => {
                            let known = known.iter().map(|name| format!("`path.{name}`"));
                            format!("there is {}", known.collect::<Vec<_>>().join(", "))
                        }
                    });
            }
            if let Some(default) = &parameter.default
                && let Err(what) = parameter.of.of_text(&default.text())
            {
                problems.error(&["default"], format!("this is {what}"));
            }
        });
    }
}

/// What can be told once it is known what the statements are, and for whom.
pub(super) fn check_statements(
    config: &Config,
    kind: Kind,
    opened: &Opened,
    problems: &mut Problems,
) {
    let Some(written) = config.written(opened) else {
        return;
    };
    let mut highest = 0;
    for (text, keys) in &written {
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        let found = scan(text, kind);
        highest = highest.max(found.highest);
        check_one(text, &found, kind, &keys, problems);
        let is_transaction = written.len() > 1 || config.transaction.is_some();
        if kind == Kind::MySql && is_transaction && commits(&found) {
            problems
                .error(&keys, "MariaDB ends a transaction before it does this")
                .help("give it a route of its own, without `transaction`");
        }
        if found.highest > config.parameters.len() {
            problems
                .error(
                    &keys,
                    format!(
                        "this has a parameter ${}, and there are {} under `parameters`",
                        found.highest,
                        config.parameters.len()
                    ),
                )
                .help("add one for each placeholder, in their order");
        }
    }
    if highest < config.parameters.len() {
        problems
            .error(
                &["parameters", &highest.to_string()],
                format!(
                    "no statement has a placeholder ${} for this one",
                    config.parameters.len()
                ),
            )
            .help("take it out, or use it in the statement");
    }
    if kind == Kind::MySql {
        check_types(config, problems);
    }
    let writes = written.iter().any(|(text, _)| !scan(text, kind).only_reads);
    if config.result == Shape::Affected && !writes {
        problems.warning(
            &["result"],
            "a query changes no row: this tells how many it has found",
        );
    }
}

/// What MariaDB commits before and behind it, whatever transaction it stands in.
fn commits(found: &Scanned) -> bool {
    const WORDS: [&str; 15] = [
        "alter",
        "analyze",
        "cache",
        "check",
        "create",
        "drop",
        "flush",
        "grant",
        "install",
        "optimize",
        "rename",
        "repair",
        "revoke",
        "truncate",
        "uninstall",
    ];
    WORDS.contains(&found.first.as_str()) && found.second != "temporary"
}

/// Types that only PostgreSQL has.
fn check_types(config: &Config, problems: &mut Problems) {
    for (place, parameter) in config.parameters.iter().enumerate() {
        let keys = ["parameters", &place.to_string(), "type"];
        if parameter.of.is_list {
            problems
                .error(&keys, "MariaDB has no lists")
                .help("write `json`, and `json_table($1, '$[*]' columns (...))` in the statement");
        } else if parameter.of.scalar == Scalar::Interval {
            problems
                .error(&keys, "MariaDB has no type for intervals")
                .help("write `int8`, and `interval $1 second` in the statement");
        }
    }
}

fn check_one(text: &str, found: &Scanned, kind: Kind, keys: &[&str], problems: &mut Problems) {
    if found.is_open {
        problems.error(keys, "a quote or a comment in this does not end");
        return;
    }
    if found.commands == 0 {
        problems.error(keys, "there is no command in this");
        return;
    }
    if found.commands > 1 {
        problems
            .error(keys, "this is more than one command")
            .help("write them as a list, `statements`, which is one transaction");
        return;
    }
    let is_bare = |(place, _): &(Range<usize>, usize)| &text[place.clone()] == "?";
    let bare = found.placeholders.iter().filter(|one| is_bare(one)).count();
    if bare > 0 && bare < found.placeholders.len() {
        problems
            .error(
                keys,
                "some placeholders of this have a number, and some have none",
            )
            .help("write `$1` and so on");
    }
    if text.contains('\0') {
        problems.error(keys, "no statement has a NUL in it");
    }
    if let Some(placeholder) = &found.unnumbered {
        problems
            .error(
                keys,
                format!("`{placeholder}` is no placeholder that is bound here"),
            )
            .help("write `$1`, `$2` and so on, in the order of `parameters`");
    }
    let first = found.first.as_str();
    match first {
        "begin" | "start" | "commit" | "end" | "rollback" | "abort" | "savepoint" | "release"
        | "xa" => {
            problems
                .error(keys, "transactions are not begun or ended here")
                .help("write the statements as a list, `statements`, which is one transaction");
        }
        "set" if kind == Kind::MySql && found.second == "statement" => {}
        "set"
            if kind == Kind::Postgres
                && matches!(found.second.as_str(), "local" | "transaction") => {}
        "set" | "reset" | "use" => {
            problems
                .error(
                    keys,
                    "this would hold for the next ones on the same connection as well",
                )
                .help(match kind {
                    Kind::MySql => "write `set statement NAME = VALUE for ...`, and for transactions `transaction`",
                    _ => "write `set local`, in a list of `statements`, or set it for the database's user",
                });
        }
        "lock" if kind == Kind::Postgres => {}
        "copy" | "listen" | "unlisten" | "prepare" | "execute" | "deallocate" | "discard"
        | "load" | "attach" | "detach" | "pragma" | "lock" | "unlock" | "handler" => {
            problems.error(
                keys,
                format!("`{first}` belongs to a connection, and none is kept here"),
            );
        }
        _ => {}
    }
}
