//! The page at `/`, where a browser shows what the proxy does, and steers it: the same API that is there for tools.
//!
//! It is files of this directory, which are part of the program. What the browser may do with it is only that: it loads
//! nothing from elsewhere, runs nothing that is written into it, and is shown within no other page.

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{HeaderMap, StatusCode, header};

use super::answer::text;

const HTML: &str = "text/html; charset=utf-8";
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// What the page is made of beside itself: its path, its type and its content.
const PARTS: [(&str, &str, &str); 5] = [
    (
        "/page/page.css",
        "text/css; charset=utf-8",
        include_str!("page.css"),
    ),
    ("/page/icon.svg", "image/svg+xml", include_str!("icon.svg")),
    ("/page/page.js", JS, include_str!("page.js")),
    ("/page/dom.js", JS, include_str!("dom.js")),
    ("/page/views.js", JS, include_str!("views.js")),
];
const JS: &str = "text/javascript; charset=utf-8";

/// The page, and what it loads. `index` is what others are given in its place.
pub(super) fn routes<S: Clone + Send + Sync + 'static>(index: fn() -> String) -> Router<S> {
    let first = Router::new().route("/", get(async move |headers| first(&headers, index)));
    PARTS.iter().fold(first, |router, &(path, kind, content)| {
        router.route(path, get(async move || file(kind, content)))
    })
}

/// The page for browsers, the index of the API for everybody else.
fn first(headers: &HeaderMap, index: fn() -> String) -> Response {
    let mut answer = if wants_html(headers) {
        file(HTML, include_str!("page.html"))
    } else {
        text(StatusCode::OK, index())
    };
    let varies = http::HeaderValue::from_static("accept");
    answer.headers_mut().insert(header::VARY, varies);
    answer
}

/// Whether HTML is asked for by its name, as only browsers do.
fn wants_html(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter();
    let accepted = accepted.filter_map(|value| value.to_str().ok());
    accepted
        .flat_map(|value| value.split(','))
        .filter_map(|range| range.split(';').next())
        .any(|range| range.trim().eq_ignore_ascii_case("text/html"))
}

fn file(kind: &'static str, content: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        // Another version of the program has another page.
        (header::CACHE_CONTROL, "no-store"),
    ];
    (headers, content).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::fake::{Fake, api_over_tcp, exchange};

    #[tokio::test]
    async fn browsers_are_given_the_page_and_others_the_index() {
        let served = api_over_tcp(Fake::default()).await;
        for (accept, is_page) in [
            ("text/html,application/xhtml+xml,*/*;q=0.8", true),
            ("TEXT/HTML;q=0.5", true),
            ("*/*", false),
            ("application/json, text/htmlx", false),
        ] {
            let head = format!("GET / HTTP/1.1\r\nHost: localhost\r\nAccept: {accept}\r\n");
            let answer = exchange(&served, &head).await;
            assert_eq!(answer.contains("<!doctype html>"), is_page, "{accept}");
            assert_eq!(answer.contains("GET  /livez"), !is_page, "{accept}");
            assert!(answer.contains("vary: accept\r\n"), "{answer}");
        }
    }

    #[test]
    fn the_page_is_small_and_has_nothing_from_elsewhere() {
        let page = include_str!("page.html");
        let parts = PARTS.iter().map(|(_, _, content)| *content);
        let all: Vec<_> = parts.chain([page]).collect();
        let size: usize = all.iter().map(|content| content.len()).sum();
        assert!(size < 64 << 10, "{size} bytes");
        for content in all {
            let elsewhere = content.replace("http://www.w3.org/2000/svg", "");
            for scheme in ["http://", "https://", "@import", "url("] {
                assert!(!elsewhere.contains(scheme), "{scheme}");
            }
        }
        for inline in ["<script>", "<style", " style=", " onclick="] {
            assert!(!page.contains(inline), "{inline}");
        }
    }
}
