//! Why a route is passed over, in words.

use super::*;

/// What is said of each route when such a request is not theirs.
fn told(routes: &BTreeMap<Name, Config>, line: &str, fields: &[(&str, &str)]) -> Vec<String> {
    let (method, url) = line.split_once(' ').unwrap();
    let normalised = normalise(url.parse::<PathAndQuery>().unwrap()).unwrap();
    let headers = crate::testing::headers(fields);
    let lookup = Lookup {
        listener: "main",
        host: Some("a.example"),
        method: &Method::from_bytes(method.as_bytes()).unwrap(),
        path: normalised.target.path(),
        encoded_separators: normalised.encoded_separators,
        query: normalised.target.query(),
        headers: &headers,
    };
    let table = table(routes);
    let chosen = match table.find(&lookup) {
        Found::Route { value, .. } => Some(value.clone()),
        _ => None,
    };
    let passed = table.passed_over(&lookup, |_| false, chosen.as_deref());
    let passed = passed.into_iter();
    passed
        .map(|one| {
            format!(
                "{} {}: {}",
                one.route,
                one.condition.unwrap_or("-"),
                one.why
            )
        })
        .collect()
}

#[test]
fn the_first_condition_that_fails_is_told_with_what_each_side_says() {
    for (condition, line, expected) in [
        (
            "host = \"*.b.example\"",
            "GET /",
            "host: it takes the host `*.b.example`, and the request is for `a.example`",
        ),
        (
            "path = \"/a/{id}\"",
            "GET /b",
            "path: it takes the path `/a/{id}`, and the request has `/b`",
        ),
        (
            "methods = [\"PUT\"]",
            "GET /",
            "methods: it takes PUT, and the request is GET",
        ),
        (
            "path = \"/b\"",
            "TRACE /b",
            "methods: TRACE has to be named in `methods`",
        ),
        (
            "listener = \"x\"",
            "GET /",
            "listener: it takes callers of listener `x`, and the request came to `main`",
        ),
        (
            "headers = { x-a = \"1\" }",
            "GET /",
            "headers: it wants the header `x-a` to be `1`, and the request has `2`",
        ),
        (
            "headers = { x-b = \"*\" }",
            "GET /",
            "headers: it wants the header `x-b` with whatever value, and the request has none",
        ),
        (
            "headers = { x-token = { regex = \"^a\" } }",
            "GET /",
            "headers: it wants the header `x-token` to match `[redacted]`, and the request has `[redacted]`",
        ),
        (
            "query = { v = \"a b\" }",
            "GET /?v=a+c",
            "query: it wants the query parameter `v` to be `a b`, and the request has `a c`",
        ),
        (
            "path_regex = \"^/x\"",
            "GET /y",
            "path_regex: `path_regex` is `^/x`, which does not match `/y`",
        ),
        (
            "path = \"/{*r}\"",
            "GET /a%2fb",
            "allow_encoded_slashes: the path has an encoded slash, backslash or NUL, which the route does not allow",
        ),
    ] {
        let routes = routes(&format!("[r]\n{condition}"));
        let fields = [("x-a", "2"), ("x-token", "hush")];
        assert_eq!(told(&routes, line, &fields), [format!("r {expected}")]);
    }
}

#[test]
fn a_route_whose_conditions_hold_stands_behind_another() {
    let routes = routes("[exact]\npath = \"/a\"\n[rest]\npath = \"/{*r}\"\n[other]\npath = \"/b\"");
    let expected = [
        "rest -: all conditions hold, but `exact` takes precedence",
        "other path: it takes the path `/b`, and the request has `/a`",
    ];
    assert_eq!(told(&routes, "GET /a", &[]), expected);
}
