//! Routes to where the caller wanted to go, and the listeners that can tell.

use super::serves;
use crate::config::read::Blocks;
use crate::route;
use crate::upstream::ORIGINAL_DESTINATION;
use crate::value::Name;
use crate::value::problem::Problems;

/// No upstream of the config has the name that stands for all original destinations.
pub(super) fn check_name(blocks: &Blocks, problems: &mut Problems) {
    if blocks.upstream_names.contains(ORIGINAL_DESTINATION) {
        problems
            .error(
                &["upstreams", ORIGINAL_DESTINATION],
                "this name stands for where the caller wanted to go",
            )
            .help("give the upstream another name");
    }
}

/// `name` is that of the route, which sends to original destinations by the key at `keys`.
pub(super) fn check(
    blocks: &Blocks,
    (name, route): (&Name, &route::Config),
    keys: &[String],
    problems: &mut Problems,
) {
    let above = ["routes", name.as_str()];
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let at = [&above[..], &keys].concat();
    if keys != ["upstream"] {
        problems
            .error(
                &at,
                "where the caller wanted to go is a target of its own, and no part of another one",
            )
            .help("write `upstream = \"original-destination\"`");
        return;
    }
    let mut served = blocks
        .listeners
        .iter()
        .filter(|(listener, _)| serves(route, listener));
    if let Some((listener, _)) = served.find(|(_, listener)| !listener.transparent) {
        problems
            .error(
                &at,
                format!("nobody knows where callers of the listener `{listener}` wanted to go: it is not transparent"),
            )
            .help("name the transparent listeners that this route serves: `listener = \"NAME\"`")
            .related(&["listeners", listener.as_str()], "this one");
    }
}
