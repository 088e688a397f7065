//! What is installed, in words.

use super::plan::Plan;
use super::rule::Rule;
use super::table::{Direction, Seen, Table};

/// What was found, each under the title of who showed it.
pub(super) fn text(found: &[(String, Table)]) -> String {
    if found.is_empty() {
        return "nothing is installed here".to_owned();
    }
    let mut lines = Vec::new();
    let mut plan = Plan::default();
    for (title, table) in found {
        lines.push(format!("{title}:"));
        for direction in Direction::BOTH {
            if table.has(direction) {
                lines.extend(chain(table, direction));
                plan.add(direction, &ours(table, direction));
            }
        }
    }
    lines.push("UDP is left alone".to_owned());
    lines.push(format!("as by: {plan}"));
    lines.join("\n")
}

fn chain(table: &Table, direction: Direction) -> Vec<String> {
    let what = match direction {
        Direction::Outbound => "outbound, TCP that processes here send",
        Direction::Inbound => "inbound, TCP that comes from elsewhere",
    };
    let mut lines = vec![format!("  {what} (chain {}):", direction.chain())];
    match table.jumps(direction) {
        0 => lines.push(format!(
            "    not in use: nothing in {} leads here, as something has removed that rule",
            direction.hook()
        )),
        1 => {}
        several => lines.push(format!(
            "    {} leads here {several} times",
            direction.hook()
        )),
    }
    lines.extend(table.rules(direction).iter().map(|seen| match seen {
        Seen::Ours(rule) => format!("    {}", rule.words()),
        Seen::Foreign(text) => format!("    not ours: {text}"),
    }));
    lines
}

fn ours(table: &Table, direction: Direction) -> Vec<Rule> {
    let seen = table.rules(direction).into_iter();
    let ours = seen.filter_map(|seen| match seen {
        Seen::Ours(rule) => Some(rule),
        Seen::Foreign(_) => None,
    });
    ours.collect()
}
