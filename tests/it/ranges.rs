//! Requests for a range of bytes on a route that changes JSON.

use crate::support::{Origin, Proxy, Script, Setup};

fn part(kind: &str, body: &str) -> Script {
    Script::new().send(format!(
        "HTTP/1.1 206 Partial Content\r\n{kind}content-range: bytes 2-5/9\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    ))
}

const STEPS: &str = r#"response = { body = [{ remove = ["secret"] }], on_status = "any" }"#;
const RANGE: (&str, &str) = ("Range", "bytes=2-5");

#[test]
fn a_part_of_a_file_beside_the_documents_is_passed_on() {
    let origin = Origin::start().on("/", part("content-type: video/mp4\r\n", "abcd"));
    let proxy = Proxy::with(&Setup::to(&origin).route(STEPS));
    let headers = [RANGE, ("If-Range", "\"1\"")];
    let answer = proxy.client().request("GET", "/", &headers, "");
    assert_eq!((answer.status, answer.text().as_str()), (206, "abcd"));
    assert_eq!(answer.header("content-range"), Some("bytes 2-5/9"));
    let seen = origin.only_request();
    assert_eq!(seen.header("range"), Some("bytes=2-5"));
    assert_eq!(seen.header("if-range"), Some("\"1\""));
}

#[test]
fn all_of_a_document_is_asked_for_when_part_of_it_comes() {
    let whole = r#"{"a":1,"secret":2}"#;
    for kind in [
        "content-type: application/json\r\n",
        "content-type: multipart/byteranges; boundary=x\r\n",
        "",
    ] {
        let answer = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{whole}",
            whole.len()
        );
        let origin = Origin::start()
            .on("/", part(kind, "cret"))
            .on("/", Script::new().send(answer));
        let proxy = Proxy::with(&Setup::to(&origin).route(STEPS));
        let headers = [RANGE, ("If-Range", "\"1\"")];
        let answer = proxy.client().request("GET", "/", &headers, "");
        assert_eq!((answer.status, answer.text().as_str()), (200, r#"{"a":1}"#));
        let seen = origin.requests();
        let ranges: Vec<_> = seen.iter().map(|seen| seen.header("range")).collect();
        assert_eq!(ranges, [Some("bytes=2-5"), None], "{kind}");
        assert_eq!(seen[1].header("if-range"), None);
    }
}

#[test]
fn a_part_is_one_of_the_answers_that_its_whole_is_one_of() {
    let whole = r#"{"a":1,"secret":2}"#;
    let route =
        |on| format!(r#"response = {{ body = [{{ remove = ["secret"] }}], on_status = {on} }}"#);
    let part = || part("content-type: application/json\r\n", "cret");
    for on in [r#""200""#, r#"["404", "200"]"#, r#""206""#] {
        let answer = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{whole}",
            whole.len()
        );
        let origin = Origin::start()
            .on("/", part())
            .on("/", Script::new().send(answer));
        let proxy = Proxy::with(&Setup::to(&origin).route(route(on)));
        let answer = proxy.client().request("GET", "/", &[RANGE], "");
        let changed = if on == r#""206""# {
            whole
        } else {
            r#"{"a":1}"#
        };
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (200, changed),
            "{on}"
        );
    }

    // The steps are not for what it is part of.
    let origin = Origin::start().on("/", part());
    let proxy = Proxy::with(&Setup::to(&origin).route(route(r#""404""#)));
    let answer = proxy.client().request("GET", "/", &[RANGE], "");
    assert_eq!((answer.status, answer.text().as_str()), (206, "cret"));
}

#[test]
fn no_range_is_asked_for_where_every_answer_is_changed() {
    for route in ["response.envelope = true", "graphql = {}"] {
        let origin = Origin::start();
        let proxy = Proxy::with(&Setup::to(&origin).route(route));
        proxy.client().request("GET", "/", &[RANGE], "");
        assert_eq!(origin.only_request().header("range"), None, "{route}");
    }
}
