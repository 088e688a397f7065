use std::sync::Arc;

use http::{Method, header};
use serde_json::{Value, json};

use super::call::Call;
use super::*;
use crate::http::message::RequestId;
use crate::testing::{headers, request};

fn entrance(path: &str) -> Entrance {
    Entrance {
        path: Some(path.to_owned().try_into().unwrap()),
        ..Entrance::default()
    }
}

fn called(document: Value, entrance: &Entrance) -> Result<Box<Request>, String> {
    let outer = request("POST", "/integrations/pay/execute");
    let call = Call::read(document.to_string().as_bytes());
    call.and_then(|call| call.request(entrance, &outer))
        .map_err(|error| error.detail().to_owned())
}

#[test]
fn what_is_asked_for_stands_in_the_path() {
    for (path, asked) in [
        ("/integrations", Some(Asked::List)),
        ("/integrations/", Some(Asked::List)),
        ("/integrations/register", Some(Asked::Register)),
        ("/integrations/pay/execute", Some(Asked::Execute("pay"))),
        (
            "/integrations/register/execute",
            Some(Asked::Execute("register")),
        ),
        ("/integrations/pay/health", Some(Asked::Health("pay"))),
        ("/integrations/pay/metrics", Some(Asked::Metrics("pay"))),
        ("/integrations/pay", None),
        ("/integrations/pay/execute/more", None),
    ] {
        assert!(answers(path), "{path}");
        assert_eq!(Asked::at(path), asked, "{path}");
    }
    assert!(!answers("/integrations-of-ours") && !answers("/"));
}

#[test]
fn what_is_not_said_is_what_the_route_has() {
    let pay = Entrance {
        method: Some(Method::PUT),
        host: Some("pay.localhost".to_owned()),
        ..entrance("/pay/{id}")
    };
    let request = called(
        json!({ "params": { "id": "a b/c", "page": [1, true] } }),
        &pay,
    )
    .unwrap();
    assert_eq!(request.method, Method::PUT);
    assert_eq!(request.target, "/pay/a%20b%2Fc?page=1&page=true");
    assert_eq!(request.authority.unwrap(), "pay.localhost");
    assert_eq!(
        request.headers.get_str(&header::HOST),
        Some("pay.localhost")
    );
    let missing = called(json!({}), &pay).unwrap_err();
    assert!(missing.contains("needs `id`"), "{missing}");
    let rest = entrance("/files/{*path}");
    let request = called(json!({ "params": { "path": "a/../b c" } }), &rest).unwrap();
    assert_eq!(request.target, "/files/a/../b%20c");
    assert_eq!(called(json!({}), &rest).unwrap().target, "/files/");
    let nothing = called(json!({}), &Entrance::default()).unwrap();
    assert_eq!(
        (&nothing.method, nothing.target.path()),
        (&Method::GET, "/")
    );
    let nothing = Call::read(b" \n").unwrap();
    let outer = crate::testing::request("POST", "/");
    assert!(nothing.request(&Entrance::default(), &outer).is_ok());
}

#[test]
fn what_is_said_counts() {
    let document = json!({
        "method": "delete",
        "path": "/x?a=1",
        "headers": { "X-Many": ["a", 2], "host": "b.localhost:80" },
        "params": { "id": "7" },
    });
    let request = called(document, &entrance("/pay/{id}")).unwrap();
    assert_eq!(request.method, Method::DELETE);
    assert_eq!(request.target, "/x?a=1&id=7");
    assert_eq!(request.authority.unwrap(), "b.localhost:80");
    let name = HeaderName::from_static("x-many");
    let many: Vec<_> = request.headers.get_all(&name).collect();
    assert_eq!(many, [&b"a"[..], b"2"]);
}

#[test]
fn a_body_is_json_text_or_bytes() {
    for (document, kind, bytes) in [
        (
            json!({ "body": { "a": 1 } }),
            Some("application/json"),
            "{\"a\":1}",
        ),
        (json!({ "body": [] }), Some("application/json"), "[]"),
        (
            json!({ "body": "hi" }),
            Some("text/plain; charset=utf-8"),
            "hi",
        ),
        (
            json!({ "body_base64": "aGk=" }),
            Some("application/octet-stream"),
            "hi",
        ),
        (
            json!({ "body": "<a/>", "headers": { "content-type": "text/xml" } }),
            Some("text/xml"),
            "<a/>",
        ),
        (json!({ "body": null }), None, ""),
    ] {
        let mut request = called(document, &Entrance::default()).unwrap();
        assert_eq!(request.headers.get_str(&header::CONTENT_TYPE), kind);
        assert_eq!(request.body.take_full().unwrap_or_default(), bytes);
        let method = if bytes.is_empty() {
            Method::GET
        } else {
            Method::POST
        };
        assert_eq!(request.method, method);
    }
}

#[test]
fn what_makes_no_request_is_refused_with_a_word_that_helps() {
    for (document, part) in [
        (json!([]), "must be JSON like"),
        (json!({ "pth": "/" }), "unknown field `pth`"),
        (json!({ "method": "G T" }), "is no method"),
        (json!({ "method": "CONNECT" }), "cannot be executed"),
        (json!({ "path": "x" }), "begins with `/`"),
        (json!({ "path": "http://elsewhere/" }), "begins with `/`"),
        (
            json!({ "headers": { "Transfer-Encoding": "chunked" } }),
            "belongs to the connection",
        ),
        (
            json!({ "headers": { "X-Forwarded-For": "1.2.3.4" } }),
            "belongs to the connection",
        ),
        (
            json!({ "headers": { "outrigger-attempt": 1 } }),
            "belongs to the connection",
        ),
        (
            json!({ "headers": { "x-forwarded-client-cert": "URI=a" } }),
            "belongs to the connection",
        ),
        (
            json!({ "headers": { "a b": "c" } }),
            "is no name of a header",
        ),
        (
            json!({ "headers": { "a": "b\r\nc: d" } }),
            "is no value of a header",
        ),
        (json!({ "headers": { "a": {} } }), "must be text"),
        (
            json!({ "headers": { "host": "a b" } }),
            "is no name of a host",
        ),
        (json!({ "params": { "a": null } }), "must be text"),
        (json!({ "body": 1, "body_base64": "" }), "give one of them"),
        (json!({ "body_base64": "?" }), "is not base64"),
        (
            json!({ "headers": { "content-type": "application/grpc" } }),
            "gRPC has its messages in frames",
        ),
    ] {
        let error = called(document.clone(), &Entrance::default()).unwrap_err();
        assert!(error.contains(part), "{document}: {error}");
    }
}

#[test]
fn who_calls_goes_along() {
    let mut outer = request("POST", "/integrations/pay/execute");
    outer.headers = headers(&[
        ("x-forwarded-for", "192.0.2.1"),
        ("traceparent", "00-1-2-01"),
        ("authorization", "Bearer of the outer one"),
        ("x-forwarded-client-cert", "URI=a"),
    ]);
    outer.context.client = Some("192.0.2.1".parse().unwrap());
    outer.context.request_id = RequestId::kept("r-1");
    let document = br#"{ "headers": { "traceparent": "00-3-4-01" } }"#;
    let call = Call::read(document).unwrap();
    let inner = call.request(&Entrance::default(), &outer).unwrap();
    assert!(Arc::ptr_eq(&inner.context.peer, &outer.context.peer));
    assert_eq!(inner.context.client, outer.context.client);
    assert_eq!(inner.context.request_id.as_str(), "r-1");
    for (name, value) in [
        ("x-forwarded-for", Some("192.0.2.1")),
        ("x-forwarded-client-cert", Some("URI=a")),
        ("traceparent", Some("00-3-4-01")),
        ("authorization", None),
    ] {
        let found = inner.headers.get_str(&HeaderName::from_static(name));
        assert_eq!(found, value, "{name}");
    }
}

#[tokio::test]
async fn a_body_is_read_up_to_its_limit() {
    assert_eq!(within(Body::full("abc"), 3).await.unwrap().unwrap(), "abc");
    assert!(within(Body::full("abcd"), 3).await.unwrap().is_none());
    assert_eq!(
        whole(Body::full("abcd"), 3).await.unwrap_err().reason(),
        BODY_TOO_LARGE
    );
}
