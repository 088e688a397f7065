//! Which route a request takes, and what a route makes of it.

use crate::support::{Origin, Proxy, Setup};

const LISTENER: &str = "[listeners.main]\nlisten = \"127.0.0.1:0\"\n";

/// A proxy whose routes answer with their own names. Each is given as its name and the inside of `match`.
fn answering(routes: &[(&str, &str)]) -> Proxy {
    let mut toml = LISTENER.to_owned();
    for (name, matches) in routes {
        toml.push_str(&format!(
            "[routes.{name}]\nmatch = {{ {matches} }}\nrespond = {{ body = \"{name}\" }}\n"
        ));
    }
    Proxy::start(&toml)
}

/// The name of the route that such a request takes.
fn route(proxy: &Proxy, method: &str, target: &str, headers: &[(&str, &str)]) -> String {
    proxy.client().request(method, target, headers, "").text()
}

#[test]
fn the_more_specific_path_wins_whatever_the_order() {
    let proxy = answering(&[
        ("a-rest", r#"path = "/{*rest}""#),
        ("b-users", r#"path = "/users/{id}""#),
        ("c-me", r#"path = "/users/me""#),
        ("d-below", r#"path = "/users/{id}/{*rest}""#),
        ("e-orders", r#"path = "/users/{id}/orders""#),
    ]);
    for (path, expected) in [
        ("/users/me", "c-me"),
        ("/users/7", "b-users"),
        ("/users/7/orders", "e-orders"),
        ("/users/me/orders", "e-orders"),
        ("/users/7/else", "d-below"),
        ("/users", "a-rest"),
        ("/", "a-rest"),
    ] {
        assert_eq!(route(&proxy, "GET", path, &[]), expected, "{path}");
    }
}

#[test]
fn the_more_specific_host_wins_over_the_more_specific_path() {
    let proxy = answering(&[
        ("any", r#"path = "/exactly/this""#),
        ("suffix", r#"host = "*.example.com""#),
        ("longer", r#"host = "*.eu.example.com""#),
        ("exact", r#"host = "shop.eu.example.com""#),
    ]);
    for (host, expected) in [
        ("shop.eu.example.com", "exact"),
        ("SHOP.EU.EXAMPLE.COM:8080", "exact"),
        ("other.eu.example.com", "longer"),
        ("deep.other.eu.example.com", "longer"),
        ("us.example.com", "suffix"),
        ("example.org", "any"),
    ] {
        assert_eq!(
            route(&proxy, "GET", "/exactly/this", &[("Host", host)]),
            expected,
            "{host}"
        );
    }
}

#[test]
fn more_conditions_win_and_a_route_whose_conditions_fail_is_passed_over() {
    let proxy = answering(&[
        ("plain", r#"path = "/x""#),
        ("posted", r#"path = "/x", methods = ["POST"]"#),
        (
            "tenant",
            r#"path = "/x", methods = ["POST"], headers = { x-tenant = "acme" }"#,
        ),
        (
            "present",
            r#"path = "/x", methods = ["GET"], headers = { x-debug = "*" }"#,
        ),
        ("second", r#"path = "/z", query = { v = "2" }"#),
        (
            "regex",
            r#"path = "/y", headers = { x-id = { regex = "^[0-9]+$" } }"#,
        ),
        ("elsewhere", r#"path = "/{*rest}""#),
    ]);
    assert_eq!(route(&proxy, "GET", "/x", &[]), "plain");
    assert_eq!(route(&proxy, "POST", "/x", &[]), "posted");
    assert_eq!(
        route(&proxy, "POST", "/x", &[("X-Tenant", "acme")]),
        "tenant"
    );
    assert_eq!(route(&proxy, "GET", "/x", &[("X-Tenant", "acme")]), "plain");
    assert_eq!(route(&proxy, "GET", "/x", &[("X-Debug", "")]), "present");
    assert_eq!(route(&proxy, "GET", "/z?a=1&v=2", &[]), "second");
    assert_eq!(route(&proxy, "GET", "/z?v=3", &[]), "elsewhere");
    assert_eq!(route(&proxy, "GET", "/y", &[("X-Id", "42")]), "regex");
    assert_eq!(route(&proxy, "GET", "/y", &[("X-Id", "42a")]), "elsewhere");
}

#[test]
fn no_route_is_404_and_the_wrong_method_405() {
    let proxy = answering(&[
        ("read", r#"path = "/x", methods = ["GET"]"#),
        ("write", r#"path = "/x", methods = ["PUT"]"#),
    ]);
    proxy.get("/y").assert_refused(404, "no_route");
    let answer = proxy.client().request("DELETE", "/x", &[], "");
    answer.assert_refused(405, "method_not_allowed");
    assert!(answer.head.lists("allow", "GET"));
    assert!(answer.head.lists("allow", "PUT"));
    assert!(!answer.head.lists("allow", "DELETE"));
}

#[test]
fn a_route_of_one_listener_is_not_seen_at_another() {
    let proxy = Proxy::start(
        r#"
        [listeners.main]
        listen = "127.0.0.1:0"
        [listeners.inner]
        listen = "127.0.0.1:0"
        [routes.inner]
        match = { path = "/admin" }
        listener = "inner"
        respond = { body = "inner" }
        [routes.all]
        respond = { body = "all" }
        "#,
    );
    assert_eq!(proxy.get("/admin").text(), "all");
    let inner = proxy.address_of("inner").unwrap().parse().unwrap();
    assert_eq!(
        crate::support::Client::tcp(inner).get("/admin").text(),
        "inner"
    );
}

#[test]
fn an_answer_of_the_route_itself_is_as_written() {
    let proxy = Proxy::start(&format!(
        "{LISTENER}[routes.all]\nrespond = {{ status = 418, body = \"short\", headers = {{ x-pot = \"tea\" }} }}\n"
    ));
    let mut client = proxy.client();
    let answer = client.get("/");
    assert_eq!((answer.status, answer.text()), (418, "short".into()));
    assert_eq!(answer.header("x-pot"), Some("tea"));
    assert_eq!(
        answer.reason(),
        None,
        "an answer that was asked for is no refusal"
    );
    let answer = client.request("POST", "/", &[], "a body that nobody reads");
    assert_eq!(answer.status, 418);
    assert_eq!(client.request("HEAD", "/", &[], "").status, 418);
    assert_eq!(
        client.get("/").text(),
        "short",
        "the connection stays usable"
    );
}

#[test]
fn a_redirect_knows_what_the_path_matched() {
    let proxy = Proxy::start(&format!(
        "{LISTENER}[routes.old]\nmatch = {{ path = \"/old/{{*rest}}\" }}\nredirect = {{ location = \"https://new.example/${{path.rest}}\" }}\n\
         [routes.gone]\nmatch = {{ path = \"/gone\" }}\nredirect = {{ status = 302, location = \"/here\" }}\n"
    ));
    let answer = proxy.get("/old/a/b");
    assert_eq!(
        (answer.status, answer.header("location")),
        (308, Some("https://new.example/a/b"))
    );
    let answer = proxy.get("/old/a/b?id=5&x=%20");
    assert_eq!(
        answer.header("location"),
        Some("https://new.example/a/b?id=5&x=%20")
    );
    let answer = proxy.get("/gone");
    assert_eq!(
        (answer.status, answer.header("location")),
        (302, Some("/here"))
    );
}

#[test]
fn a_rewrite_changes_what_the_upstream_sees() {
    let origin = Origin::start();
    let proxy = Proxy::with(
        &Setup::to(&origin)
            .route(r#"match = { path = "/api/{version}/{*rest}" }"#)
            .route(
                r#"rewrite = { path = "/internal/${path.version}/x/${path.rest}", host = "inner.example" }"#,
            ),
    );
    proxy.get("/api/v1/a/b%20c?d=e");
    let seen = origin.only_request();
    assert_eq!(seen.target(), "/internal/v1/x/a/b%20c?d=e");
    assert_eq!(seen.head.all("host"), ["inner.example"]);
}

#[test]
fn the_upstreams_own_name_can_be_sent_as_host() {
    let origin = Origin::start();
    let proxy = Proxy::with(&Setup::to(&origin).route(r#"rewrite = { host = "upstream" }"#));
    proxy.get("/");
    let seen = origin.only_request();
    assert_eq!(seen.head.all("host"), [origin.address().to_string()]);
}

#[test]
fn the_path_that_is_judged_is_the_path_that_is_forwarded() {
    let origin = Origin::start();
    let proxy = Proxy::with(&Setup::to(&origin));
    let mut client = proxy.client();
    for (sent, forwarded) in [
        ("/a/./b", "/a/b"),
        ("/a/../b", "/b"),
        ("/../../b", "/b"),
        ("/a//b///c", "/a/b/c"),
        ("/%7Euser/%41", "/~user/A"),
        ("/a/%2e%2E/b", "/b"),
        ("/caf%c3%a9", "/caf%C3%A9"),
        ("/a?x=/../%2F//", "/a?x=/../%2F//"),
    ] {
        assert_eq!(client.get(sent).status, 200, "{sent}");
        assert_eq!(
            origin.requests().last().unwrap().target(),
            forwarded,
            "{sent}"
        );
    }
}

#[test]
fn a_path_that_can_be_read_in_two_ways_is_refused() {
    let origin = Origin::start();
    let proxy = Proxy::with(&Setup::to(&origin));
    for path in [
        "/a%2fb", "/a%2Fb", "/a%5cb", "/a\\b", "/a%00", "/a%", "/a%2", "/a%zz",
    ] {
        proxy.get(path).assert_refused(400, "bad_path");
    }
    assert_eq!(origin.connections(), 0);
}

#[test]
fn a_guarded_path_has_no_second_spelling() {
    let origin = Origin::start();
    let proxy = Proxy::with(&Setup::to(&origin).also(
        "[routes.guarded]\nmatch = { path = \"/admin/{*rest}\" }\nrespond = { status = 403 }\n",
    ));
    for path in [
        "/admin",
        "/admin/x",
        "//admin/x",
        "/./admin/x",
        "/a/../admin/x",
        "/%61dmin/x",
        "/a/%2e%2e/admin/x",
        "/admin/../admin/x",
    ] {
        assert_eq!(proxy.get(path).status, 403, "{path}");
    }
    assert_eq!(origin.connections(), 0);
}

#[test]
fn a_route_may_allow_encoded_slashes() {
    let origin = Origin::start();
    let proxy = Proxy::with(
        &Setup::to(&origin)
            .route(r#"match = { path = "/files/{name}" }"#)
            .route("allow_encoded_slashes = true"),
    );
    assert_eq!(proxy.get("/files/a%2Fb").status, 200);
    assert_eq!(origin.only_request().target(), "/files/a%2Fb");
}

fn split(sides: &[(&Origin, u32)], more: &str) -> Proxy {
    let mut toml = LISTENER.to_owned();
    let mut list = Vec::new();
    for (number, (origin, weight)) in sides.iter().enumerate() {
        toml.push_str(&format!(
            "[upstreams.v{number}]\nendpoints = [\"{}\"]\n",
            origin.address()
        ));
        list.push(format!("{{ upstream = \"v{number}\", weight = {weight} }}"));
    }
    toml.push_str(&format!(
        "[routes.all]\nsplit = [{}]\n{more}\n",
        list.join(", ")
    ));
    Proxy::start(&toml)
}

#[test]
fn a_split_follows_its_weights() {
    let (most, some, none) = (Origin::start(), Origin::start(), Origin::start());
    let proxy = split(&[(&most, 80), (&some, 20), (&none, 0)], "");
    let mut client = proxy.client();
    for _ in 0..500 {
        assert_eq!(client.get("/").status, 200);
    }
    // Six standard deviations around 100: fails once in some hundred million runs.
    let share = some.requests().len();
    assert!(
        (46..=154).contains(&share),
        "{share} of 500 went to the side with 20 %"
    );
    assert_eq!(none.connections(), 0);
}

#[test]
fn a_sticky_split_keeps_a_caller_on_one_side() {
    let (a, b) = (Origin::start(), Origin::start());
    let proxy = split(&[(&a, 50), (&b, 50)], r#"sticky = "header:x-user""#);
    let mut client = proxy.client();
    for user in 0..20 {
        let name = format!("user-{user}");
        let before = (a.requests().len(), b.requests().len());
        for _ in 0..5 {
            client.request("GET", "/", &[("X-User", &name)], "");
        }
        let now = (a.requests().len() - before.0, b.requests().len() - before.1);
        assert!(matches!(now, (5, 0) | (0, 5)), "{name}: {now:?}");
    }
    assert!(
        a.connections() > 0 && b.connections() > 0,
        "both sides have callers"
    );
}
