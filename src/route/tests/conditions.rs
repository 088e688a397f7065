//! Routes by method, headers, query and the like: what a path alone does not decide.

use super::*;
use crate::testing::headers;

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
    let all = "405 DELETE,GET,HEAD,OPTIONS,PATCH,POST,PUT";
    assert_routed(&without, &[("CONNECT /", all), ("BREW /", "all")]);
    let with = routes("all = {}\ntunnel = { methods = [\"CONNECT\"] }");
    assert_routed(&with, &[("CONNECT /", "tunnel"), ("GET /", "all")]);
}

#[test]
fn trace_must_be_named() {
    let without = routes("all = {}\nget = { path = \"/a\", methods = [\"GET\"] }");
    let all = "405 DELETE,GET,HEAD,OPTIONS,PATCH,POST,PUT";
    assert_routed(&without, &[("TRACE /", all), ("TRACE /a", all)]);
    let with = routes("all = {}\ntraced = { methods = [\"TRACE\", \"GET\"] }");
    let allow = "405 DELETE,GET,HEAD,OPTIONS,PATCH,POST,PUT,TRACE";
    assert_routed(
        &with,
        &[
            ("TRACE /", "traced"),
            ("CONNECT /", allow),
            ("PUT /", "all"),
        ],
    );
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
fn allow_tells_which_methods_a_route_takes() {
    for (text, expected) in [
        ("a = {}", "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"),
        (
            "a.methods = [\"OPTIONS\", \"GET\", \"TRACE\"]",
            "GET, HEAD, OPTIONS, TRACE",
        ),
    ] {
        let routes = routes(text);
        assert_eq!(routes.values().next().unwrap().allow(), expected);
    }
}
