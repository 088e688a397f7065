//! Keys that are in another table here, or that other proxies have under another name.

use super::suggest::nearest;

/// How what is meant by `key` is written here, in a table that knows the keys `known`.
pub(super) fn hint(key: &str, known: &[&str]) -> Option<&'static str> {
    let here = || HINTS.iter().filter(|(table, _, _)| known.contains(table));
    // A slip of such a word is a slip of the key that it stands for, unless it is nearer to a key.
    let alike = |words: &[&str]| {
        nearest(key, known.iter().copied()).is_none()
            && nearest(key, words.iter().copied()).is_some()
    };
    here()
        .find(|(_, words, _)| words.contains(&key))
        .or_else(|| here().find(|(_, words, _)| key.len() > 4 && alike(words)))
        .map(|(_, _, hint)| *hint)
}

/// A key that tells the table from others, words that are no keys of it, and what to write.
const HINTS: &[(&str, &[&str], &str)] = &[
    (
        "max_header_bytes",
        &["port", "address", "addr", "bind", "host"],
        "write `listen = \"127.0.0.1:15001\"`",
    ),
    (
        "probe_listen",
        &["port", "address", "addr", "bind", "host"],
        "write `listen = \"127.0.0.1:15000\"`",
    ),
    (
        "endpoints",
        &[
            "servers",
            "hosts",
            "host",
            "nodes",
            "targets",
            "addresses",
            "address",
            "url",
            "port",
        ],
        "write `endpoints = [\"host:port\"]`",
    ),
    (
        "endpoints",
        &[
            "lb",
            "lb_policy",
            "load_balancer",
            "load_balancing",
            "algorithm",
            "strategy",
        ],
        "write `balancer = \"round-robin\"`, or another of its values",
    ),
    (
        "endpoints",
        &["timeout"],
        "write `timeout` on the route, or `connect_timeout` here",
    ),
    (
        "path_regex",
        &["prefix", "path_prefix", "location"],
        "write `path = \"/prefix/{*rest}\"`, which takes all below `/prefix`",
    ),
    (
        "upstream",
        &[
            "path",
            "path_regex",
            "host",
            "method",
            "methods",
            "headers",
            "query",
        ],
        "write it under `match`, like `match = { path = \"/v1/{*rest}\" }`",
    ),
    (
        "upstream",
        &["prefix", "path_prefix", "location"],
        "write `match = { path = \"/prefix/{*rest}\" }`, which takes all below `/prefix`",
    ),
    (
        "upstream",
        &[
            "cluster",
            "service",
            "backend",
            "target",
            "to",
            "destination",
            "proxy_pass",
            "url",
        ],
        "write `upstream = \"NAME\"` for a table `[upstreams.NAME]`",
    ),
    (
        "upstream",
        &["strip_prefix", "prefix_rewrite"],
        "write `rewrite = { path = \"/${path.rest}\" }`, with `{*rest}` in the path of `match`",
    ),
    ("retry", &["retries"], "write `retry = { attempts = 2 }`"),
    (
        "retry",
        &["match", "upstream", "split", "listener", "rewrite"],
        "write it on a route, `[routes.NAME]`",
    ),
    (
        "listeners",
        &["server", "servers", "frontends", "entrypoints", "http"],
        "write `[listeners.NAME]`",
    ),
    (
        "upstreams",
        &["clusters", "services", "backends"],
        "write `[upstreams.NAME]`",
    ),
    ("log", &["logging", "logs"], "write `[log]`"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_means_something_else_in_each_table() {
        let says = |key, known, part| hint(key, known).is_some_and(|hint| hint.contains(part));
        assert!(says("port", &["listen", "max_header_bytes"], "15001"));
        assert!(says("port", &["listen", "probe_listen"], "15000"));
        assert!(says("port", &["endpoints"], "host:port"));
        assert!(says("path", &["upstream", "match"], "under `match`"));
        assert!(hint("path", &["status"]).is_none());
        assert!(says("retires", &["retry", "timeout"], "attempts"));
        assert!(says("clutser", &["upstream", "timeout"], "upstreams.NAME"));
        assert!(hint("timeuot", &["retry", "timeout"]).is_none());
    }
}
