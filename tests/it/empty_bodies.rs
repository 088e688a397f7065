//! An empty body is no document, however its emptiness shows.

use crate::support::{H2Client, Origin, Proxy, Script, Setup};

/// Nothing, as gzip and zstd have it, and as brotli has it.
const NOTHING: [(&str, &[u8]); 3] = [
    (
        "gzip",
        b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00",
    ),
    ("br", b"\x3b"),
    (
        "zstd",
        b"\x28\xb5\x2f\xfd\x24\x00\x01\x00\x00\x99\xe9\xd8\x51",
    ),
];

const JSON: &str = "content-type: application/json\r\n";

/// A route that wants a document, with a schema and without.
fn wanting() -> ([String; 2], tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("schema.json");
    std::fs::write(&path, r#"{ "required": ["id"] }"#).unwrap();
    let validate = format!("request.validate = {{ schema = {path:?} }}");
    ([validate, "request.require_json = true".to_owned()], folder)
}

fn posts() -> Vec<Vec<u8>> {
    let head = |more: &str| format!("POST / HTTP/1.1\r\nhost: a\r\n{JSON}{more}\r\n").into_bytes();
    let mut posts = vec![
        head("content-length: 0\r\n"),
        head(""),
        [&head("transfer-encoding: chunked\r\n")[..], b"0\r\n\r\n"].concat(),
        head("content-encoding: gzip\r\ncontent-length: 0\r\n"),
        [
            &head("content-encoding: br\r\ntransfer-encoding: chunked\r\n")[..],
            b"0\r\n\r\n",
        ]
        .concat(),
    ];
    for (coding, nothing) in NOTHING {
        let length = nothing.len();
        let sized = head(&format!(
            "content-encoding: {coding}\r\ncontent-length: {length}\r\n"
        ));
        posts.push([&sized[..], nothing].concat());
    }
    posts
}

#[test]
fn a_request_without_a_document_is_refused_where_one_is_wanted() {
    let (routes, _folder) = wanting();
    for route in routes {
        let origin = Origin::start();
        let proxy = Proxy::with(&Setup::to(&origin).route(&route));
        for post in posts() {
            let mut client = proxy.client();
            client.send(&post);
            let refused = client.read_answer();
            refused.assert_refused(400, "invalid_body");
            let text = String::from_utf8_lossy(&post).into_owned();
            assert!(refused.text().contains("it is empty"), "{route}: {text}");
        }
        let answer = H2Client::connect(proxy.address())
            .open("POST", "/", &[("content-type", "application/json")])
            .ended()
            .answer();
        assert_eq!(answer.header("outrigger-reason"), Some("invalid_body"));
        assert!(origin.requests().is_empty(), "{route}");
    }
}

#[test]
fn methods_that_carry_nothing_need_no_document_and_no_type() {
    let (routes, _folder) = wanting();
    for route in routes {
        let origin = Origin::start();
        let proxy = Proxy::with(&Setup::to(&origin).route(&route));
        assert_eq!(proxy.get("/").status, 200);
        let mut client = proxy.client();
        client.send("DELETE / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n");
        assert_eq!(client.read_answer().status, 200);
        let delete = proxy.client().request("DELETE", "/", &[], "some text");
        delete.assert_refused(400, "invalid_body");
        let answer = H2Client::connect(proxy.address()).open("GET", "/", &[]);
        assert_eq!(answer.ended().answer().status, 200);
    }
}

#[test]
fn a_body_that_was_looked_into_arrives_whole() {
    let origin = Origin::start();
    let proxy = Proxy::with(&Setup::to(&origin).route("request.require_json = true"));
    let mut client = proxy.client();
    client.send(format!(
        "POST / HTTP/1.1\r\nhost: a\r\n{JSON}transfer-encoding: chunked\r\n\r\n1\r\n[\r\n2\r\n1]\r\n0\r\n\r\n"
    ));
    assert_eq!(client.read_answer().status, 200);
    assert_eq!(origin.only_request().text(), "[1]");
}

#[test]
fn an_answer_without_content_is_left_alone_whatever_its_coding() {
    let mut origin = Origin::start();
    for coding in ["gzip", "br", "zstd", "deflate", "dcb"] {
        let head = format!("{JSON}content-encoding: {coding}\r\n");
        let answer = |status: &str, end: &str| {
            Script::new().send(format!("HTTP/1.1 {status}\r\n{head}{end}"))
        };
        let chunked = "transfer-encoding: chunked\r\n\r\n0\r\n\r\n";
        origin = origin
            .on(
                &format!("/{coding}/sized"),
                answer("201 Created", "content-length: 0\r\n\r\n"),
            )
            .on(&format!("/{coding}/chunked"), answer("200 OK", chunked))
            .on(&format!("/{coding}/204"), answer("204 No Content", "\r\n"))
            .on(
                &format!("/{coding}/304"),
                answer("304 Not Modified", "\r\n"),
            )
            .on(
                &format!("/{coding}/head"),
                answer("200 OK", "content-length: 9\r\n\r\n"),
            );
    }
    let (_, folder) = wanting();
    let path = folder.path().join("schema.json");
    let validate = format!("response.validate = {{ schema = {path:?} }}");
    for route in [
        r#"response.body = [{ wrap = "a" }]"#,
        "response.envelope = true",
        validate.as_str(),
        "graphql = {}",
    ] {
        let proxy = Proxy::with(&Setup::to(&origin).route(route));
        for coding in ["gzip", "br", "zstd", "deflate", "dcb"] {
            let status = |path: &str| proxy.get(&format!("/{coding}/{path}")).status;
            assert_eq!(status("sized"), 201, "{route} {coding}");
            assert_eq!(status("chunked"), 200, "{route} {coding}");
            assert_eq!((status("204"), status("304")), (204, 304));
            let path = format!("/{coding}/head");
            let head = proxy.client().request("HEAD", &path, &[], "");
            assert_eq!(head.status, 200, "{route} {coding}");
        }
    }
}

#[test]
fn nothing_in_a_coding_is_no_document_on_the_way_back() {
    let mut origin = Origin::start();
    for (coding, nothing) in NOTHING {
        let head = format!(
            "HTTP/1.1 200 OK\r\n{JSON}content-encoding: {coding}\r\ncontent-length: {}\r\n\r\n",
            nothing.len()
        );
        let answer = Script::new().send([head.as_bytes(), nothing].concat());
        origin = origin.on(&format!("/{coding}"), answer);
    }
    let steps = Setup::to(&origin).route(r#"response.body = [{ wrap = "a" }]"#);
    let (steps, envelope) = (
        Proxy::with(&steps),
        Proxy::with(&Setup::to(&origin).route("response.envelope = true")),
    );
    for (coding, nothing) in NOTHING {
        let path = format!("/{coding}");
        let answer = steps.get(&path);
        assert_eq!((answer.status, answer.body.as_slice()), (200, nothing));
        assert!(envelope.get(&path).json()["data"].is_null(), "{coding}");
    }
}
