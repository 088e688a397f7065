//! What the values of a route call the parts of its path.

use super::problem::Problems;
use super::template::bare_capture;

/// Reports, at `place`, captures that the path does not have, and those that it has, `known`, in another spelling.
pub fn check<'a>(
    known: &[&str],
    place: &[&str],
    used: impl Iterator<Item = &'a str>,
    text: &str,
    problems: &mut Problems,
) {
    for name in used.filter(|used| !known.contains(used)) {
        problems
            .error(
                place,
                format!("the path of `match` captures nothing under the name `{name}`"),
            )
            .help(match known {
                [] => "name a part of it there, like `{id}` or `{*rest}`".to_owned(),
                _ => {
                    let known: Vec<_> = known.iter().map(|n| format!("`${{path.{n}}}`")).collect();
                    format!("there is {}", known.join(", "))
                }
            });
    }
    if let Some(name) = bare_capture(text, known.iter().copied()) {
        problems
            .error(
                place,
                format!("`{{{name}}}` names a part of the path only in `match`, and would be sent as it stands"),
            )
            .help(format!("write `${{path.{name}}}`"));
    }
}
