use http::Method;
use http::uri::PathAndQuery;
use proptest::prelude::*;

use super::*;
use crate::headers::Headers;
use crate::problem::{Problem, Severity};
use crate::testing::headers;

/// Routes out of TOML: the keys of `match`, each route answering here.
fn routes(text: &str) -> BTreeMap<Name, Config> {
    let matches: BTreeMap<Name, MatchConfig> = toml::from_str(text).unwrap();
    let respond = |matches| Config {
        matches,
        ..toml::from_str("respond = {}").unwrap()
    };
    matches
        .into_iter()
        .map(|(name, m)| (name, respond(m)))
        .collect()
}

fn table(routes: &BTreeMap<Name, Config>) -> Table<String> {
    let routes = routes
        .iter()
        .map(|(name, config)| (name.clone(), config, name.to_string()));
    Table::build(routes.collect()).unwrap()
}

/// `METHOD [//host]/path[?query]`, as a short way to ask.
fn ask(table: &Table<String>, line: &str, headers: &Headers) -> String {
    let (method, url) = line.split_once(' ').unwrap();
    let (host, target) = match url.strip_prefix("//") {
        Some(rest) => {
            let (host, _) = rest.split_once('/').unwrap();
            (Some(host), &rest[host.len()..])
        }
        None => (None, url),
    };
    let normalised = normalise(target.parse::<PathAndQuery>().unwrap()).unwrap();
    let lookup = Lookup {
        listener: "main",
        host,
        method: &Method::from_bytes(method.as_bytes()).unwrap(),
        path: normalised.target.path(),
        encoded_separators: normalised.encoded_separators,
        query: normalised.target.query(),
        headers,
    };
    match table.find(&lookup) {
        Found::Route { value, .. } => value.clone(),
        Found::BadPath => "400".to_owned(),
        Found::NoRoute => "404".to_owned(),
        Found::MethodNotAllowed { allow } => {
            let allow: Vec<_> = allow.iter().map(Method::as_str).collect();
            format!("405 {}", allow.join(","))
        }
    }
}

fn assert_routed(routes: &BTreeMap<Name, Config>, expected: &[(&str, &str)]) {
    let table = table(routes);
    for (line, route) in expected {
        assert_eq!(ask(&table, line, &Headers::new()), *route, "{line}");
    }
}

#[test]
fn an_announced_request_may_have_headers_whose_values_are_not_known_yet() {
    let routes = routes(
        r#"
        tenant = { path = "/a", methods = ["PUT"], headers = { x-tenant = "acme" } }
        any = { path = "/a", methods = ["PUT", "GET"] }
        slash = { path = "/a%2fb", methods = ["PUT"] }"#,
    );
    let table = table(&routes);
    let announced = |method: Method, path, announces: bool| {
        let lookup = Lookup {
            listener: "main",
            host: None,
            method: &method,
            path,
            encoded_separators: path.contains('%'),
            query: None,
            headers: &Headers::new(),
        };
        let found = table.find_announced(&lookup, |name| announces && name == "x-tenant");
        found.map_or("none".to_owned(), |(name, _)| name.clone())
    };
    assert_eq!(announced(Method::PUT, "/a", true), "tenant");
    assert_eq!(announced(Method::PUT, "/a", false), "any");
    assert_eq!(announced(Method::GET, "/a", true), "any");
    assert_eq!(announced(Method::POST, "/a", true), "none");
    assert_eq!(announced(Method::PUT, "/a%2fb", true), "none");
}

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
fn more_conditions_go_first_and_failing_ones_fall_through() {
    let routes = routes(
        r#"
        plain = { path = "/a" }
        beta = { path = "/a", query = { beta = "*" } }
        beta-acme = { path = "/a", query = { beta = "*" }, headers = { x-tenant = "acme" } }
        other = { headers = { x-tenant = "other" } }
        numbers = { path = "/n/{id}", path_regex = "^/n/[0-9]+$" }
        words = { path = "/n/{*rest}" }
        edge = { host = "h.example", path = "/a", listener = "edge" }"#,
    );
    let table = table(&routes);
    let acme = headers(&[("x-tenant", "acme")]);
    let other = headers(&[("x-tenant", "other")]);
    for (line, headers, expected) in [
        ("GET /a?beta", &acme, "beta-acme"),
        ("GET /a?beta", &other, "beta"),
        ("GET /a", &acme, "plain"),
        ("GET /b", &other, "other"),
        ("GET /b", &acme, "404"),
        ("GET /n/12", &acme, "numbers"),
        ("GET /n/x", &acme, "words"),
        ("GET //h.example/a", &acme, "plain"),
    ] {
        assert_eq!(ask(&table, line, headers), expected, "{line}");
    }
}

#[test]
fn only_a_missed_method_is_405() {
    let routes = routes(
        r#"
        read = { path = "/a", methods = ["GET"] }
        write = { path = "/a", methods = ["POST", "PUT"] }
        tenant = { path = "/a", methods = ["DELETE"], headers = { x-tenant = "acme" } }
        any-host = { path = "/b/{id}", methods = ["POST"] }
        host = { host = "h.example", path = "/b/{*rest}", methods = ["PATCH"] }"#,
    );
    let table = table(&routes);
    let acme = headers(&[("x-tenant", "acme")]);
    let none = Headers::new();
    for (line, headers, expected) in [
        ("GET /a", &none, "read"),
        ("HEAD /a", &none, "read"),
        ("PUT /a", &none, "write"),
        ("DELETE /a", &none, "405 GET,HEAD,POST,PUT"),
        ("DELETE /a", &acme, "tenant"),
        ("PATCH /a", &acme, "405 DELETE,GET,HEAD,POST,PUT"),
        ("GET //h.example/b/7", &none, "405 PATCH,POST"),
        ("POST //h.example/b/7", &none, "any-host"),
        ("GET /c", &none, "404"),
    ] {
        assert_eq!(ask(&table, line, headers), expected, "{line}");
    }
}

#[test]
fn a_route_that_names_head_goes_before_one_that_takes_it_as_get() {
    let routes = routes("a = { methods = [\"GET\"] }\nb = { methods = [\"HEAD\"] }");
    assert_routed(
        &routes,
        &[("HEAD /", "b"), ("GET /", "a"), ("POST /", "405 GET,HEAD")],
    );
}

#[test]
fn connect_must_be_named() {
    let without = routes("all = {}");
    let all = "405 DELETE,GET,HEAD,OPTIONS,PATCH,POST,PUT,TRACE";
    assert_routed(&without, &[("CONNECT /", all), ("BREW /", "all")]);
    let with = routes("all = {}\ntunnel = { methods = [\"CONNECT\"] }");
    assert_routed(&with, &[("CONNECT /", "tunnel"), ("GET /", "all")]);
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

fn problems(routes: &BTreeMap<Name, Config>) -> Vec<Problem> {
    let mut problems = Problems::default();
    let routes = routes.iter().map(|(name, config)| (name.clone(), config));
    check(&routes.collect(), &mut problems);
    problems.into_vec()
}

#[test]
fn ties_are_errors_that_name_both() {
    for tied in [
        "a = {}\nb = {}",
        "a = {}\nb = { path = \"/{*rest}\" }",
        "a = { path = \"/{x}\" }\nb = { path = \"/{y}\" }",
        "a = { host = \"h\" }\nb = { host = \"H.\" }",
        "a = { methods = [\"GET\", \"PUT\"] }\nb = { methods = [\"POST\", \"PUT\"] }",
        "a = { headers = { x = \"1\" } }\nb = { headers = { y = \"1\" } }",
        "a = { headers = { x = \"1\" } }\nb = { headers = { X = \"*\" } }",
        "a = { headers = { x = \"1\" } }\nb = { query = { x = \"2\" } }",
        "a = { query = { x = \"1\" } }\nb = { query = { x = { regex = \"[0-9]\" } } }",
        "a = { listener = [\"l\", \"m\"] }\nb = { listener = \"m\" }",
        "a = { path_regex = \"a\" }\nb = { path_regex = \"b\" }",
    ] {
        let routes = routes(tied);
        let found = problems(&routes);
        assert_eq!(found.len(), 1, "{tied}");
        assert_eq!(found[0].severity, Severity::Error);
        assert_eq!(found[0].at[..2], ["routes", "b"]);
        assert_eq!(found[0].related[0].0[..2], ["routes", "a"]);
        assert!(
            found[0].message.contains("`a` and `b`"),
            "{}",
            found[0].message
        );
        let configs = routes
            .iter()
            .map(|(name, config)| (name.clone(), config, ()));
        assert!(Table::build(configs.collect()).is_err());
    }
}

#[test]
fn routes_that_no_request_can_confuse_do_not_tie() {
    for apart in [
        "a = { methods = [\"GET\"] }\nb = { methods = [\"POST\"] }",
        "a = { methods = [\"GET\"] }\nb = { methods = [\"HEAD\"] }",
        "a = { headers = { x = \"1\" } }\nb = { headers = { X = \"2\" } }",
        "a = { query = { x = \"a\" } }\nb = { query = { x = { regex = \"[0-9]\" } } }",
        "a = { listener = \"l\" }\nb = { listener = \"m\" }",
        "a = { path = \"/a\" }\nb = { path = \"/a/\" }",
        "a = { path = \"/a\" }\nb = { path = \"/a/{*rest}\" }",
        "a = { path = \"/{a}\" }\nb = { path = \"/{*a}\" }",
        "a = { host = \"h\" }\nb = { host = \"*.h\" }",
        "a = {}\nb = { methods = [\"GET\"] }",
    ] {
        assert_eq!(problems(&routes(apart)), [], "{apart}");
    }
}

#[test]
fn a_route_behind_another_that_takes_everything_is_told() {
    for (text, back, front) in [
        (
            "a = { path = \"/x\" }\nb = { path = \"/x\", path_regex = \"^/x\" }",
            "a",
            "b",
        ),
        (
            "b = { path = \"/x\" }\na = { path = \"/x\", path_regex = \"^/x\" }",
            "b",
            "a",
        ),
    ] {
        let routes = routes(text);
        let found = problems(&routes);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].severity, Severity::Warning);
        assert_eq!(found[0].at, ["routes", back, "match"]);
        assert_eq!(found[0].related[0].0, ["routes", front, "match"]);
        table(&routes);
    }
}

fn checked(text: &str) -> Vec<String> {
    let config: Config = toml::from_str(text).unwrap();
    let mut problems = Problems::default();
    config.check(&mut problems);
    problems
        .into_vec()
        .into_iter()
        .map(|p| p.at.join("."))
        .collect()
}

#[test]
fn a_route_s_own_mistakes_stand_at_their_key() {
    for (text, places) in [
        ("upstream = \"u\"", &[][..]),
        ("", &[""]),
        ("upstream = \"u\"\nrespond = {}", &["respond"]),
        ("respond = {}\nrewrite = { path = \"/\" }", &["rewrite"]),
        ("upstream = \"u\"\nsticky = \"client-ip\"", &["sticky"]),
        ("split = []", &["split"]),
        ("split = [{ upstream = \"a\", weight = 0 }]", &["split"]),
        (
            "split = [{ upstream = \"a\", weight = 1 }, { upstream = \"a\", weight = 1 }]",
            &["split.1.upstream"],
        ),
        (
            "upstream = \"u\"\nlistener = \"a\"\nmatch.listener = \"b\"",
            &["listener"],
        ),
        ("upstream = \"u\"\nmatch.listener = []", &["match.listener"]),
        ("upstream = \"u\"\nmatch.methods = []", &["match.methods"]),
        (
            "upstream = \"u\"\nmatch.path = \"/{id}\"\nrewrite.path = \"/{id}\"",
            &[],
        ),
        (
            "upstream = \"u\"\nmatch.path = \"/{id}\"\nrewrite.path = \"/{i}\"",
            &["rewrite.path"],
        ),
        ("redirect.location = \"/{rest}\"", &["redirect.location"]),
        (
            "respond.headers = { x = \"${path.id}\" }",
            &["respond.headers.x"],
        ),
        ("respond.status = 99", &["respond.status"]),
        (
            "redirect = { status = 200, location = \"\" }",
            &["redirect.status", "redirect.location"],
        ),
    ] {
        assert_eq!(checked(text), places, "{text}");
    }
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
        ranks.push(match wanted.starts_with('{') {
            true if segment.is_empty() => return None,
            true => 1,
            false if wanted != segment => return None,
            false => 0,
        });
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
                let mut config: Config = toml::from_str("respond = {}").unwrap();
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
