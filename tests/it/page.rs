//! The page that a browser shows of the proxy, as it is served. What it loads and asks for is all there.

use std::collections::BTreeSet;

use crate::support::{Origin, Proxy, Response, Setup};

const BROWSER: [(&str, &str); 2] = [
    ("accept", "text/html,application/xhtml+xml,*/*;q=0.8"),
    ("sec-fetch-site", "none"),
];

fn asked(proxy: &Proxy, method: &str, path: &str, fields: &[(&str, &str)]) -> Response {
    proxy.admin_client().request(method, path, fields, "")
}

/// What stands between `before` and the next quote, wherever it does.
fn quoted<'a>(text: &'a str, before: &str) -> Vec<&'a str> {
    let found = text.split(before).skip(1);
    found.filter_map(|rest| rest.split('"').next()).collect()
}

/// Everything that the page loads, by its path, and what each is.
fn loaded(proxy: &Proxy) -> Vec<(String, String)> {
    let page = asked(proxy, "GET", "/", &BROWSER).text();
    let mut paths: BTreeSet<String> = (quoted(&page, "src=\"").into_iter())
        .chain(quoted(&page, "<link rel=\"icon\" href=\""))
        .chain(quoted(&page, "<link rel=\"stylesheet\" href=\""))
        .map(str::to_owned)
        .collect();
    let mut parts: Vec<(String, String)> = Vec::new();
    while let Some(path) = paths.pop_first() {
        let part = asked(proxy, "GET", &path, &[("sec-fetch-site", "same-origin")]);
        assert_eq!(part.status, 200, "{path}");
        let kind = match path.rsplit_once('.') {
            Some((_, "js")) => "text/javascript; charset=utf-8",
            Some((_, "css")) => "text/css; charset=utf-8",
            _ => "image/svg+xml",
        };
        assert_eq!(part.header("content-type"), Some(kind), "{path}");
        assert_eq!(part.header("x-content-type-options"), Some("nosniff"));
        let text = part.text();
        let imports = quoted(&text, " from \"./");
        let imports = imports.into_iter().map(|name| format!("/page/{name}"));
        paths.extend(imports.filter(|import| parts.iter().all(|(known, _)| known != import)));
        parts.push((path, text));
    }
    parts
}

#[test]
fn a_browser_is_given_a_page_that_is_whole_and_kept_to_itself() {
    let origin = Origin::start();
    let proxy = Proxy::with(&Setup::to(&origin));
    let page = asked(&proxy, "GET", "/", &BROWSER);
    assert_eq!(
        page.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    let policy = page.header("content-security-policy").unwrap();
    for rule in [
        "default-src 'none'",
        "script-src 'self'",
        "connect-src 'self'",
        "frame-ancestors 'none'",
    ] {
        assert!(policy.contains(rule), "{policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    assert_eq!(page.header("referrer-policy"), Some("no-referrer"));
    let parts = loaded(&proxy);
    let names: BTreeSet<_> = parts.iter().map(|(path, _)| path.as_str()).collect();
    for part in ["page.css", "page.js", "views.js", "dom.js", "icon.svg"] {
        assert!(names.contains(&*format!("/page/{part}")), "{names:?}");
    }
    let text = proxy.admin("GET", "/", "").text();
    assert!(text.contains("GET  /stats"), "{text}");
}

#[test]
fn all_that_the_page_asks_of_the_api_is_there() {
    let origin = Origin::start();
    let proxy = Proxy::with(&Setup::to(&origin));
    let mut asks = BTreeSet::new();
    for (_, text) in loaded(&proxy) {
        for method in ["GET", "POST", "PUT", "DELETE"] {
            let paths = quoted(&text, &format!("\"{method} /")).into_iter();
            asks.extend(paths.map(|path| (method, format!("/{path}"))));
        }
    }
    for known in ["/stats", "/requests", "/reloads", "/config", "/routes"] {
        assert!(asks.contains(&("GET", known.to_owned())), "{asks:?}");
    }
    assert!(asks.len() > 10, "{asks:?}");
    for (method, path) in asks {
        let own = [("sec-fetch-site", "same-origin")];
        let answer = asked(&proxy, method, &path.replace("{name}", "nobody"), &own);
        let text = answer.text();
        assert!(answer.status != 405, "{method} {path}: {text}");
        assert!(
            !text.contains("there is nothing at"),
            "{method} {path}: {text}"
        );
    }
}

#[test]
fn a_page_of_another_site_orders_nothing() {
    let origin = Origin::start();
    let proxy = Proxy::with(&Setup::to(&origin));
    for site in ["same-site", "cross-site"] {
        for (method, path) in [
            ("POST", "/drain"),
            ("POST", "/reload"),
            ("GET", "/config"),
            ("GET", "/page/page.js"),
        ] {
            let fields = [("sec-fetch-site", site), ("sec-fetch-mode", "no-cors")];
            let answer = asked(&proxy, method, path, &fields);
            assert_eq!(answer.status, 403, "{method} {path}");
        }
        let followed = [
            ("accept", "text/html"),
            ("sec-fetch-site", site),
            ("sec-fetch-mode", "navigate"),
            ("sec-fetch-dest", "document"),
        ];
        assert_eq!(asked(&proxy, "GET", "/", &followed).status, 200);
    }
    assert!(proxy.is_ready());
}
