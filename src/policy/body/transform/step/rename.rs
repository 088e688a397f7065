//! `{ rename = { "old" = "new", "/customer/nr" = "number", "/customer/mail" = "/contact/mail" } }`

use std::collections::BTreeMap;

use super::{Failure, nothing_to_do};
use crate::policy::body::document::{Draft, DraftFields};
use crate::policy::body::transform::pointer::Pointer;
use crate::value::problem::Problems;

/// A new name keeps the field where it is; a pointer moves it there. Every pointer means the document as it was
/// before, so two fields may swap. A field that is not there stays away, and one that is in the way is replaced.
pub fn apply<'a>(
    names: &'a BTreeMap<Pointer, Pointer>,
    document: &mut Draft<'a>,
) -> Result<(), Failure> {
    let (renamed, mut moved): (Vec<_>, Vec<_>) = names.iter().partition(|(_, to)| to.is_name());
    // Out of a list the last one goes first, so that they do not shift each other.
    moved.sort_by_key(|(from, _)| std::cmp::Reverse((from.parents(), from.index())));
    let mut taken: Vec<_> = moved
        .into_iter()
        .filter_map(|(from, to)| Some((to, from.take(document)?)))
        .collect();
    taken.sort_by_key(|(to, _)| *to);
    let mut parents: Vec<&[String]> = renamed.iter().map(|(from, _)| from.parents()).collect();
    parents.sort_unstable();
    parents.dedup();
    // Inner ones first: an outer one may get another name.
    for parent in parents.into_iter().rev() {
        let within: BTreeMap<&str, &'a str> = renamed
            .iter()
            .filter(|(from, _)| from.parents() == parent)
            .map(|(from, to)| (from.last(), to.last()))
            .collect();
        let holder = renamed
            .iter()
            .find(|(from, _)| from.parents() == parent)
            .and_then(|(from, _)| from.parent(document));
        if let Some(fields) = holder.and_then(Draft::fields_mut) {
            *fields = with_names(std::mem::take(fields), &within);
        }
    }
    taken
        .into_iter()
        .try_for_each(|(to, value)| to.put(document, value))
}

fn with_names<'a>(fields: DraftFields<'a>, names: &BTreeMap<&str, &'a str>) -> DraftFields<'a> {
    let in_the_way: Vec<&str> = names
        .iter()
        .filter(|(from, _)| fields.iter().any(|(name, _)| name == **from))
        .map(|(_, to)| *to)
        .collect();
    fields
        .into_iter()
        .filter_map(|(name, value)| match names.get(&*name) {
            Some(new) => Some(((*new).into(), value)),
            None if in_the_way.contains(&&*name) => None,
            None => Some((name, value)),
        })
        .collect()
}

pub fn check(names: &BTreeMap<Pointer, Pointer>, problems: &mut Problems) {
    if names.is_empty() {
        nothing_to_do(problems);
    }
    for (index, (from, to)) in names.iter().enumerate() {
        for (other, other_to) in names.iter().take(index) {
            if target(from, to) == target(other, other_to) {
                problems
                    .error(&[from.as_str()], "two fields would get the same name")
                    .related(&[other.as_str()], "the other one");
            }
            if disturb((from, to), (other, other_to)) || disturb((other, other_to), (from, to)) {
                problems
                    .error(
                        &[from.as_str()],
                        "what this moves is in the way of another field",
                    )
                    .help("write two steps")
                    .related(&[other.as_str()], "the other one");
            }
        }
    }
}

/// Whether taking the first away changes where the second is: it lies in it, or behind it in a list.
fn disturb((from, to): (&Pointer, &Pointer), (other, other_to): (&Pointer, &Pointer)) -> bool {
    let shifts = from.index().is_some()
        && other.parents().starts_with(from.parents())
        && other.parents().len() > from.parents().len();
    let same = from.is_within(other) && other.is_within(from);
    same || !to.is_name() && (other.is_within(from) || shifts && other_to.is_name())
}

/// Where a field is afterwards.
fn target<'a>(from: &'a Pointer, to: &'a Pointer) -> (&'a [String], &'a str) {
    if to.is_name() {
        (from.parents(), to.last())
    } else {
        (to.parents(), to.last())
    }
}
