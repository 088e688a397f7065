use super::*;
use crate::http::error::UPSTREAM_RESET;
use crate::http::exchange::Exchange;
use crate::policy::stack::{Answer, Handler};
use crate::policy::table::Block;
use crate::testing::{headers, next, request};
use crate::value::problem::Problems;
use http::HeaderName;

fn config(text: &str) -> Config {
    toml::from_str(text).unwrap()
}

fn asked(method: &str, fields: &[(&str, &str)]) -> Box<Request> {
    let mut request = request(method, "/");
    request.headers = headers(fields);
    request
}

/// Answers with these headers, or fails when there are none.
struct Upstream(&'static [(&'static str, &'static str)]);

impl Handler for Upstream {
    fn call<'a>(&'a self, _: Box<Request>, _: &'a Exchange<'a>) -> Answer<'a> {
        Box::pin(std::future::ready(match self.0 {
            [] => Err(Error::new(UPSTREAM_RESET, "cut")),
            fields => {
                let mut response = Response::new(StatusCode::OK, Body::empty());
                response.headers = headers(fields);
                Ok(Box::new(response))
            }
        }))
    }
}

async fn answer(text: &str, request: Box<Request>, upstream: Upstream) -> Box<Response> {
    Cors::new(&config(text))
        .apply(request, next(&upstream))
        .await
        .unwrap()
}

fn shown(headers: &Headers, name: &str) -> Vec<String> {
    let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
    let values = headers.get_all(&name);
    values
        .map(|value| String::from_utf8_lossy(value).into_owned())
        .collect()
}

const PREFLIGHT: &[(&str, &str)] = &[
    ("origin", "https://app.example"),
    ("access-control-request-method", "PUT"),
    ("access-control-request-headers", "x-a,x-b"),
];

#[tokio::test]
async fn a_preflight_is_answered_with_what_is_allowed() {
    let text = r#"
        allow_origins = ["https://app.example"]
        allow_methods = ["GET", "PUT"]
        allow_headers = ["X-A"]
        allow_credentials = true
        max_age = "1h""#;
    let response = answer(text, asked("OPTIONS", PREFLIGHT), Upstream(&[])).await;
    assert_eq!(response.status, StatusCode::NO_CONTENT);
    for (name, value) in [
        ("access-control-allow-origin", "https://app.example"),
        ("access-control-allow-credentials", "true"),
        ("access-control-allow-methods", "GET, PUT"),
        ("access-control-allow-headers", "X-A"),
        ("access-control-max-age", "3600"),
    ] {
        assert_eq!(shown(&response.headers, name), [value], "{name}");
    }
    assert!(shown(&response.headers, "vary")[0].starts_with("origin,"));
}

#[tokio::test]
async fn without_lists_what_is_asked_for_is_allowed() {
    for more in ["", "allow_methods = [\"*\"]\nallow_headers = [\"*\"]"] {
        let text = format!("allow_origins = [\"*\"]\n{more}");
        let response = answer(&text, asked("OPTIONS", PREFLIGHT), Upstream(&[])).await;
        assert_eq!(
            shown(&response.headers, "access-control-allow-origin"),
            ["*"]
        );
        assert_eq!(
            shown(&response.headers, "access-control-allow-methods"),
            ["PUT"]
        );
        assert_eq!(
            shown(&response.headers, "access-control-allow-headers"),
            ["x-a,x-b"]
        );
        assert_eq!(shown(&response.headers, "access-control-max-age"), ["600"]);
    }
}

#[tokio::test]
async fn a_preflight_of_a_stranger_is_refused() {
    let policy = Cors::new(&config("allow_origins = [\"https://other.example\"]"));
    let refused = policy
        .apply(asked("OPTIONS", PREFLIGHT), next(&Upstream(&[])))
        .await;
    assert_eq!(refused.unwrap_err().reason(), FORBIDDEN);
}

#[tokio::test]
async fn what_is_no_preflight_goes_to_the_upstream() {
    let text = "allow_origins = [\"https://app.example\"]";
    for fields in [&PREFLIGHT[..1], &PREFLIGHT[1..]] {
        let response = answer(text, asked("OPTIONS", fields), Upstream(&[("x-up", "1")])).await;
        assert_eq!(shown(&response.headers, "x-up"), ["1"]);
    }
}

#[tokio::test]
async fn the_upstream_s_own_word_is_replaced() {
    let upstream = || {
        Upstream(&[
            ("access-control-allow-origin", "https://theirs.example"),
            ("access-control-allow-credentials", "true"),
            ("access-control-expose-headers", "x-theirs"),
            ("vary", "accept"),
        ])
    };
    let text = "allow_origins = [\"*.app.example\"]\nexpose_headers = [\"x-ours\"]";
    let origin = [("origin", "https://x.app.example")];
    let response = answer(text, asked("GET", &origin), upstream()).await;
    let told = |name| shown(&response.headers, name);
    assert_eq!(
        told("access-control-allow-origin"),
        ["https://x.app.example"]
    );
    assert_eq!(told("access-control-allow-credentials"), [""; 0]);
    assert_eq!(told("access-control-expose-headers"), ["x-ours"]);
    assert_eq!(told("vary"), ["accept", "origin"]);

    for stranger in [
        &[("origin", "https://evil.example")][..],
        &[],
        &[origin[0], origin[0]],
    ] {
        let response = answer(text, asked("GET", stranger), upstream()).await;
        let told = |name| shown(&response.headers, name);
        assert_eq!(told("access-control-allow-origin"), [""; 0]);
        assert_eq!(told("access-control-expose-headers"), [""; 0]);
        assert_eq!(told("vary"), ["accept", "origin"]);
    }
}

#[tokio::test]
async fn one_answer_for_all_origins_varies_with_none() {
    let text = "allow_origins = [\"*\"]";
    let origin = [("origin", "https://app.example")];
    let response = answer(text, asked("GET", &origin), Upstream(&[("x-up", "1")])).await;
    assert_eq!(
        shown(&response.headers, "access-control-allow-origin"),
        ["*"]
    );
    assert_eq!(shown(&response.headers, "vary"), [""; 0]);
}

#[tokio::test]
async fn a_page_may_read_why_its_request_failed() {
    let policy = Cors::new(&config(
        "allow_origins = [\"https://app.example\"]\nallow_credentials = true",
    ));
    let origin = [("origin", "https://app.example")];
    let error = policy
        .apply(asked("GET", &origin), next(&Upstream(&[])))
        .await
        .unwrap_err();
    let names: Vec<_> = error
        .headers()
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    let expected = [
        "vary",
        "access-control-allow-origin",
        "access-control-allow-credentials",
    ];
    assert_eq!(names, expected);
}

#[test]
fn credentials_are_not_for_everybody() {
    let places = |text: &str| {
        let mut problems = Problems::default();
        config(text).check(&mut problems);
        let found = problems.into_vec();
        found.iter().map(|p| p.at.join(".")).collect::<Vec<_>>()
    };
    assert_eq!(places("allow_origins = []"), ["allow_origins"]);
    assert_eq!(places("allow_origins = [\"*\"]"), [""; 0]);
    assert_eq!(
        places("allow_origins = [\"https://a.example\", \"*\"]\nallow_credentials = true"),
        ["allow_origins.1"]
    );
    assert_eq!(
        places("allow_origins = [\"null\"]\nallow_credentials = true"),
        ["allow_origins.0"]
    );
    assert_eq!(
        places(
            "allow_origins = [\"https://a.example\"]\nallow_credentials = true\nexpose_headers = [\"*\"]"
        ),
        ["expose_headers.0"]
    );
}

#[tokio::test]
async fn a_page_that_speaks_grpc_may_read_its_status() {
    let call = [
        ("origin", "https://app.example"),
        ("content-type", "application/grpc-web+proto"),
    ];
    let status = "grpc-status, grpc-message, grpc-status-details-bin";
    for (more, exposed) in [
        ("", status.to_owned()),
        (
            "expose_headers = [\"x-a\", \"Grpc-Status\"]",
            format!("x-a, {status}"),
        ),
        ("expose_headers = [\"*\"]", format!("*, {status}")),
    ] {
        let text = format!("allow_origins = [\"*\"]\n{more}");
        let upstream = Upstream(&[("grpc-status", "5")]);
        let response = answer(&text, asked("POST", &call), upstream).await;
        let told = shown(&response.headers, "access-control-expose-headers");
        assert_eq!(told, [&*exposed]);
        let policy = Cors::new(&config(&text));
        let refused = policy
            .apply(asked("POST", &call), next(&Upstream(&[])))
            .await;
        let error = refused.unwrap_err();
        let mut headers = error.headers().iter();
        assert!(headers.any(|(_, value)| *value == *exposed), "{error}");
    }
}
