//! Routes by host and path: the most specific one is found, with what its path captures.

use proptest::prelude::*;

use super::*;

#[test]
fn hosts_go_before_paths_and_exact_ones_before_suffixes() {
    let routes = routes(
        r#"
        any = { path = "/very/exact" }
        wide = { host = "*.example" }
        narrow = { host = "*.pay.example" }
        exact = { host = "a.pay.example", path = "/{*rest}" }
        v6 = { host = "[::1]" }"#,
    );
    assert_routed(
        &routes,
        &[
            ("GET //a.pay.example/very/exact", "exact"),
            ("GET //A.Pay.Example.:8443/x", "exact"),
            ("GET //b.pay.example/very/exact", "narrow"),
            ("GET //b.a.pay.example/", "narrow"),
            ("GET //pay.example/", "wide"),
            ("GET //example/", "404"),
            ("GET //example/very/exact", "any"),
            ("GET //[0::1]:80/", "v6"),
            ("GET /very/exact", "any"),
        ],
    );
}

#[test]
fn paths_compare_segment_by_segment() {
    let routes = routes(
        r#"
        all = { path = "/{*rest}" }
        root = { path = "/" }
        a = { path = "/a" }
        a-dir = { path = "/a/" }
        a-rest = { path = "/a/{*rest}" }
        a-one = { path = "/a/{id}" }
        a-me = { path = "/a/me" }
        one-b = { path = "/{x}/b" }
        a-one-c = { path = "/a/{id}/c" }"#,
    );
    assert_routed(
        &routes,
        &[
            ("GET /", "root"),
            ("GET /a", "a"),
            ("GET /a/", "a-dir"),
            ("GET /a/me", "a-me"),
            ("GET /a/b", "a-one"),
            ("GET /a/b/c", "a-one-c"),
            ("GET /a/b/d", "a-rest"),
            ("GET /a/me/x", "a-rest"),
            ("GET /x/b", "one-b"),
            ("GET /x/b/", "all"),
            ("GET /x", "all"),
            ("GET /a/../a//./me", "a-me"),
        ],
    );
}

#[test]
fn the_rest_may_be_empty_and_a_segment_may_not() {
    let routes = routes("rest = { path = \"/a/{*rest}\" }\none = { path = \"/b/{id}\" }");
    assert_routed(
        &routes,
        &[
            ("GET /a", "rest"),
            ("GET /a/", "rest"),
            ("GET /a/x/y/", "rest"),
            ("GET /ab", "404"),
            ("GET /b", "404"),
            ("GET /b/", "404"),
            ("GET /b/x", "one"),
            ("GET /b/x/", "404"),
        ],
    );
}

#[test]
fn options_of_the_whole_server_is_a_request_for_the_root() {
    let rest = routes("all = { path = \"/{*rest}\" }\na = { path = \"/a\" }");
    assert_routed(&rest, &[("OPTIONS *", "all")]);
    assert_routed(&routes("all = {}"), &[("OPTIONS *", "all")]);
    assert_routed(&routes("a = { path = \"/a\" }"), &[("OPTIONS *", "404")]);
}

#[test]
fn encoded_separators_need_a_route_that_allows_them() {
    let mut routes = routes("open = { path = \"/open/{id}\" }\nshut = { path = \"/{*rest}\" }");
    routes
        .get_mut(&"open".parse().unwrap())
        .unwrap()
        .allow_encoded_slashes = true;
    assert_routed(
        &routes,
        &[
            ("GET /open/a%2fb", "open"),
            ("GET /open/a\\b", "open"),
            ("GET /open/a/b%2F", "400"),
            ("GET /x%00", "400"),
            ("GET /x?y=%2F", "shut"),
        ],
    );
    assert_routed(
        &self::routes("a = { path = \"/a\" }"),
        &[("GET /b%2F", "400")],
    );
}

#[test]
fn captures_come_with_the_route() {
    let routes = routes("a = { path = \"/v1/{id}/{*rest}\" }");
    let table = table(&routes);
    let lookup = Lookup {
        listener: "main",
        host: None,
        method: &Method::GET,
        path: "/v1/a%20b/c/d",
        encoded_separators: false,
        query: None,
        headers: &Headers::new(),
    };
    let Found::Route { captures, .. } = table.find(&lookup) else {
        panic!("no route");
    };
    assert_eq!(captures.get("id"), Some("a%20b"));
    assert_eq!(captures.get("rest"), Some("c/d"));
}

/// What the contract says, read out slowly: whether a pattern takes a path, and how specific it is.
fn slow_match(pattern: &str, path: &str) -> Option<Vec<u8>> {
    let mut segments = path[1..].split('/').peekable();
    let mut ranks = Vec::new();
    for wanted in pattern[1..].split('/') {
        if wanted.starts_with("{*") {
            ranks.push(2);
            return Some(ranks);
        }
        let segment = segments.next()?;
        let is_capture = wanted.starts_with('{');
        let fits = if is_capture {
            !segment.is_empty()
        } else {
            wanted == segment
        };
        if !fits {
            return None;
        }
        ranks.push(u8::from(is_capture));
    }
    segments.peek().is_none().then_some(ranks)
}

proptest! {
    #[test]
    fn the_table_agrees_with_a_slow_search(
        patterns in prop::collection::btree_set("(/(a|b|\\{x\\}|\\{y\\})){0,3}(/|/\\{\\*r\\})?", 1..12),
        path in "(/[abc]){0,4}/?",
    ) {
        let path = if path.is_empty() { "/".to_owned() } else { path };
        let mut taken = std::collections::BTreeMap::new();
        for pattern in patterns.into_iter().filter(|p| p.starts_with('/')) {
            if let Ok(read) = PathPattern::try_from(pattern.clone()) {
                // Patterns that differ in names only would tie.
                let shape = pattern.replace("{y}", "{x}");
                taken.entry(shape).or_insert((pattern, read));
            }
        }
        let configs: Vec<(Name, Config, String)> = taken.into_values().enumerate()
            .map(|(index, (pattern, read))| {
                let mut config = Config::default();
                config.matches.path = Some(read);
                (format!("r{index}").parse().unwrap(), config, pattern)
            })
            .collect();
        let expected = configs.iter()
            .filter_map(|(_, _, pattern)| slow_match(pattern, &path).map(|rank| (rank, pattern)))
            .min();
        let table = Table::build(configs.iter().map(|(n, c, p)| (n.clone(), c, p.clone())).collect()).unwrap();
        let found = ask(&table, &format!("GET {path}"), &Headers::new());
        prop_assert_eq!(found, expected.map_or("404".to_owned(), |(_, pattern)| pattern.clone()));
    }
}
