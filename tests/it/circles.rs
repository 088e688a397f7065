//! Files that need each other can only be read together: two of one room may, more may not.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::support::imports::{Module, dependences};
use crate::support::tokens::tokens;

type Graph = BTreeMap<Module, BTreeSet<Module>>;

#[test]
fn no_three_files_need_each_other() {
    let graph = dependences();
    let found = circles(&graph);
    let longer = found.iter().filter(|circle| circle.len() > 2);
    let longer: Vec<String> = longer.map(|circle| shown(circle)).collect();
    assert!(longer.is_empty(), "circles:\n{}", longer.join("\n"));
}

#[test]
fn no_two_files_of_different_rooms_need_each_other() {
    let found = circles(&dependences());
    let pairs = found.iter().filter(|circle| circle.len() == 2);
    let apart = pairs.filter(|circle| circle[0].first() != circle[1].first());
    let apart: Vec<String> = apart.map(|circle| shown(circle)).collect();
    assert!(apart.is_empty(), "circles:\n{}", apart.join("\n"));
}

#[test]
fn circles_are_found_and_told_once() {
    let edges = [
        ("a", "b"),
        ("b", "c"),
        ("c", "a"),
        ("c", "d"),
        ("d", "c"),
        ("d", "e"),
    ];
    let mut graph = Graph::new();
    for (from, to) in edges {
        graph.entry(vec![to.to_owned()]).or_default();
        graph
            .entry(vec![from.to_owned()])
            .or_default()
            .insert(vec![to.to_owned()]);
    }
    let found: Vec<String> = circles(&graph).iter().map(|circle| shown(circle)).collect();
    assert_eq!(found, ["a → b → c → a", "c → d → c"]);
}

#[test]
fn a_text_is_cut_into_words_and_signs() {
    let text =
        "use a::{b}; // c\nfn d<'e>() { \"f\\\"g\"; 'h'; '\\''; r#\"i\"j\"#; b\"k\" /* l */ }";
    let shown = tokens(text).join(" ");
    assert_eq!(
        shown,
        "use a :: { b } ; fn d < ' e > ( ) { \"\" ; \"\" ; \"\" ; \"\" ; \"\" }"
    );
}

/// For each file and each file that it needs, the shortest circle through both, each once.
fn circles(graph: &Graph) -> BTreeSet<Vec<Module>> {
    let mut found = BTreeSet::new();
    for (from, needed) in graph {
        for to in needed {
            let mutual = graph[to].contains(from);
            if mutual {
                found.insert(turned(vec![from.clone(), to.clone()]));
            }
            if let Some(way) = way_back(graph, to, from) {
                found.insert(turned(way));
            }
        }
    }
    found
}

/// The shortest way from one file to another that is not one step.
fn way_back(graph: &Graph, from: &Module, to: &Module) -> Option<Vec<Module>> {
    let mut came: BTreeMap<&Module, &Module> = BTreeMap::new();
    let mut open = VecDeque::from([from]);
    while let Some(here) = open.pop_front() {
        for next in &graph[here] {
            if next == from || came.contains_key(next) || (here == from && next == to) {
                continue;
            }
            came.insert(next, here);
            open.push_back(next);
        }
    }
    let mut way = vec![to.clone()];
    let mut here = to;
    while here != from {
        here = came.get(here)?;
        way.push(here.clone());
    }
    way.reverse();
    Some(way)
}

/// The same circle, begun at its first name.
fn turned(mut circle: Vec<Module>) -> Vec<Module> {
    let first = (0..circle.len()).min_by_key(|place| &circle[*place]);
    circle.rotate_left(first.unwrap_or_default());
    circle
}

fn shown(circle: &[Module]) -> String {
    let names = circle.iter().chain(circle.first());
    let names: Vec<String> = names.map(|module| module.join("::")).collect();
    names.join(" → ")
}
