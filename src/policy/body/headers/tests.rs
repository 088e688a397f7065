use super::*;
use crate::http::error::UPSTREAM_RESET;
use crate::http::exchange::Exchange;
use crate::http::headers::Headers;
use crate::policy::stack::{Answer, Handler, Policy};
use crate::testing::{Echo, headers, next, request};

fn policy(request: &str, response: &str) -> ChangeHeaders {
    ChangeHeaders::new(
        Some(&toml::from_str(request).unwrap()),
        Some(&toml::from_str(response).unwrap()),
    )
    .unwrap()
}

fn shown(headers: &Headers) -> Vec<String> {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    let mut all: Vec<_> = headers
        .iter()
        .map(|(name, value)| format!("{}: {}", text(name).to_lowercase(), text(value)))
        .collect();
    all.sort();
    all
}

#[tokio::test]
async fn headers_are_removed_set_and_added_in_that_order() {
    let policy = policy(
        r#"
        remove_headers = ["x-secret", "X-Both"]
        set_headers = { x-both = "new", x-old = "was ${header.x-old}" }
        add_headers = { accept = "b", x-copy = "${header.x-secret}" }"#,
        "",
    );
    let mut request = request("GET", "/");
    request.headers = headers(&[
        ("x-secret", "s"),
        ("x-both", "1"),
        ("x-both", "2"),
        ("x-old", "1"),
        ("x-old", "2"),
        ("accept", "a"),
    ]);
    let response = policy.apply(request, next(&Echo)).await.unwrap();
    assert_eq!(
        shown(&response.headers),
        [
            "accept: a",
            "accept: b",
            "x-both: new",
            "x-copy: s",
            "x-old: was 1"
        ]
    );
}

#[tokio::test]
async fn the_answer_s_headers_may_speak_of_the_request() {
    let policy = policy(
        "remove_headers = [\"x-user\"]",
        "set_headers = { x-asked-by = \"${header.x-user}\" }",
    );
    let mut request = request("GET", "/");
    request.headers = headers(&[("x-user", "ann")]);
    let response = policy.apply(request, next(&Echo)).await.unwrap();
    assert_eq!(shown(&response.headers), ["x-asked-by: ann"]);
}

#[tokio::test]
async fn a_failure_passes_untouched() {
    struct Fails;
    impl Handler for Fails {
        fn call<'a>(&'a self, _: Box<Request>, _: &'a Exchange<'a>) -> Answer<'a> {
            Box::pin(std::future::ready(Err(Error::new(UPSTREAM_RESET, "cut"))))
        }
    }
    let policy = policy("", "set_headers = { a = \"b\" }");
    let error = policy
        .apply(request("GET", "/"), next(&Fails))
        .await
        .unwrap_err();
    assert!(error.headers().is_empty());
}

#[test]
fn nothing_to_change_is_no_policy() {
    assert!(ChangeHeaders::new(None, None).is_none());
    assert!(ChangeHeaders::new(Some(&RequestConfig::default()), None).is_none());
}
