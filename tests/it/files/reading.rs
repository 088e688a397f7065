//! GET and HEAD.

use std::fs::{self, File, FileTimes};
use std::time::{Duration, SystemTime};

use serde_json::json;

use super::{Data, config};
use crate::support::{H2Client, Proxy, Response, SOON, eventually};

/// The table of what nginx says to ranges: `tests/load/file_ranges.py`.
const RANGES: &str = include_str!("ranges.txt");

#[test]
fn what_is_not_there_is_remembered_with_the_directory() {
    let data = Data::new();
    let proxy = data.start("");
    let fields = [("x-request-id", "lost")];
    let answer = proxy.client().request("GET", "/files/none", &fields, "");
    answer.assert_refused(404, "file_not_found");
    let one = proxy.admin("GET", "/requests/lost", "").json();
    let root = data.root().display().to_string();
    assert_eq!(one["root"], root, "{one}");
    let attempt = &one["attempts"][0];
    assert_eq!(
        (&attempt["root"], &attempt["outcome"]),
        (&json!(root), &json!("file_not_found"))
    );
    assert!(attempt["phases"]["first_byte"].is_f64(), "{one}");
}

#[test]
fn ranges_are_answered_as_by_nginx() {
    let data = Data::new();
    data.write("100", (0..100).collect::<Vec<u8>>());
    let proxy = data.start("");
    let mut client = proxy.client();
    let lines = RANGES.lines().filter(|line| !line.starts_with('#'));
    let mut judged = 0;
    for line in lines {
        let mut columns = line.split(" | ");
        let (value, nginx) = (columns.next().unwrap(), columns.next().unwrap());
        let expected = match columns.next() {
            Some(own) => own.split(": ").next().unwrap(),
            None => nginx,
        };
        let got = client.request("GET", "/files/100", &[("Range", value)], "");
        assert_eq!(told(&got), expected, "{value}");
        check_body(&got);
        judged += 1;
    }
    assert!(judged > 60, "{judged}");
}

/// The status, and the ranges of the answer in their order.
fn told(got: &Response) -> String {
    let mut words = vec![got.status.to_string()];
    let body = String::from_utf8_lossy(&got.body);
    let parts = body
        .lines()
        .filter_map(|line| line.strip_prefix("content-range: bytes "));
    let own = got
        .header("content-range")
        .and_then(|value| value.strip_prefix("bytes "));
    words.extend(own.into_iter().chain(parts).map(str::to_owned));
    words.join(" ")
}

/// Each byte is the number of its place.
fn check_body(got: &Response) {
    match (got.status, got.header("content-range")) {
        (200, _) => assert_eq!(got.body, (0..100).collect::<Vec<u8>>()),
        (206, Some(range)) => {
            let range = range
                .strip_prefix("bytes ")
                .unwrap()
                .strip_suffix("/100")
                .unwrap();
            let (first, last) = range.split_once('-').unwrap();
            let (first, last): (u8, u8) = (first.parse().unwrap(), last.parse().unwrap());
            assert_eq!(got.body, (first..=last).collect::<Vec<u8>>());
        }
        _ => {}
    }
}

#[test]
fn conditions_are_answered_by_both_protocols() {
    let data = Data::new();
    data.write("f", "hello");
    let modified = SystemTime::now() - Duration::from_secs(3600);
    let file = File::options().write(true).open(data.path("f")).unwrap();
    file.set_times(FileTimes::new().set_modified(modified))
        .unwrap();
    let proxy = data.start("");
    let (mut tag, mut date) = (String::new(), String::new());
    eventually(SOON, "the tag is strong", || {
        let got = proxy.get("/files/f");
        got.header("etag").unwrap().clone_into(&mut tag);
        got.header("last-modified").unwrap().clone_into(&mut date);
        tag.starts_with('"')
    });
    let weak = format!("W/{tag}");
    let other = "\"other\"";
    let old = "Sun, 06 Nov 1994 08:49:37 GMT";
    let cases: [(&[(&str, &str)], u16); 22] = [
        (&[("if-none-match", &tag)], 304),
        (&[("if-none-match", &weak)], 304),
        (&[("if-none-match", "*")], 304),
        (&[("if-none-match", other)], 200),
        (&[("if-modified-since", &date)], 304),
        (&[("if-modified-since", old)], 200),
        (
            &[("if-none-match", other), ("if-modified-since", &date)],
            200,
        ),
        (&[("if-match", &tag)], 200),
        (&[("if-match", "*")], 200),
        (&[("if-match", &weak)], 412),
        (&[("if-match", other)], 412),
        (&[("if-match", &tag), ("if-none-match", &tag)], 304),
        (&[("if-match", other), ("if-none-match", &tag)], 412),
        (&[("if-unmodified-since", &date)], 200),
        (&[("if-unmodified-since", old)], 412),
        (&[("if-match", &tag), ("if-unmodified-since", old)], 200),
        (&[("range", "bytes=0-0"), ("if-range", &tag)], 206),
        (&[("range", "bytes=0-0"), ("if-range", &weak)], 200),
        (&[("range", "bytes=0-0"), ("if-range", other)], 200),
        (&[("range", "bytes=0-0"), ("if-range", &date)], 206),
        (&[("range", "bytes=9-9"), ("if-range", &tag)], 416),
        (&[("range", "bytes=9-9"), ("if-none-match", &tag)], 304),
    ];
    let mut http1 = proxy.client();
    let http2 = H2Client::connect(proxy.address());
    for (headers, expected) in cases {
        let got = http1.request("GET", "/files/f", headers, "");
        assert_eq!(got.status, expected, "{headers:?}");
        let by_h2 = http2.request("GET", "/files/f", headers, "");
        assert_eq!(by_h2.status, expected, "{headers:?} over HTTP/2");
        if expected == 304 {
            assert_eq!(got.header("etag"), Some(&*tag));
            assert_eq!((got.header("content-type"), got.body.len()), (None, 0));
        }
        if expected == 416 {
            assert_eq!(got.header("content-range"), Some("bytes */5"));
            assert_eq!(got.reason(), Some("range_not_satisfiable"));
        }
        if expected == 412 {
            got.assert_refused(412, "precondition_failed");
        }
    }
    let head = http1.request("HEAD", "/files/f", &[], "");
    assert_eq!(
        (head.status, head.header("content-length")),
        (200, Some("5"))
    );
    let head = http2.request("HEAD", "/files/f", &[], "");
    assert_eq!(
        (head.status, head.header("content-length")),
        (200, Some("5"))
    );
    assert_eq!(http2.get("/files/f").text(), "hello");
}

#[test]
fn a_path_that_leads_out_is_refused_on_the_way() {
    let data = Data::new();
    fs::write(data.directory.path().join("secret"), "nobody may see this").unwrap();
    std::os::unix::fs::symlink("../secret", data.path("link")).unwrap();
    let proxy = data.start(", list = true, hidden = true");
    for (target, status, reason) in [
        ("/files/../secret", 404, "no_route"),
        ("/files/%2e%2e/secret", 404, "no_route"),
        ("/files/..%2fsecret", 400, "bad_path"),
        ("/files/..%5csecret", 400, "bad_path"),
        ("/files/a%00", 400, "bad_path"),
        ("/files/%252e%252e/secret", 404, "file_not_found"),
        ("/files/link", 403, "forbidden"),
    ] {
        proxy.get(target).assert_refused(status, reason);
    }
}

#[test]
fn the_path_below_the_directory_may_be_said() {
    let data = Data::new();
    fs::create_dir_all(data.path("u/7")).unwrap();
    data.write("u/7/photo", "smile");
    data.write("robots.txt", "none");
    let root = data.root();
    let text = format!(
        "[listeners.main]\nlisten = \"127.0.0.1:0\"\n\
         [routes.photos]\nmatch = {{ path = \"/users/{{id}}/photo\" }}\n\
         files = {{ root = {root:?}, path = \"/u/${{path.id}}/photo\" }}\n\
         [routes.robots]\nmatch = {{ path = \"/robots.txt\" }}\nfiles = {{ root = {root:?} }}\n"
    );
    let proxy = Proxy::start(&text);
    assert_eq!(proxy.get("/users/7/photo").text(), "smile");
    assert_eq!(proxy.get("/robots.txt").text(), "none");
    proxy
        .get("/users/8/photo")
        .assert_refused(404, "file_not_found");
}

/// Callers that read nothing hold a file, and no more memory than a piece of it.
#[test]
fn slow_readers_cost_little() {
    let data = Data::new();
    let size = 8 << 20;
    data.write("large", vec![b'x'; size]);
    let proxy = data.start("");
    let before = proxy.resident();
    let mut clients: Vec<_> = (0..40).map(|_| proxy.client()).collect();
    for client in &mut clients {
        client.send_request("GET", "/files/large", &[], "");
        let head = client.read_head();
        assert_eq!(head.get("content-length"), Some(&*size.to_string()));
    }
    let grown = proxy.resident().saturating_sub(before);
    assert!(
        grown < 24 << 20,
        "{grown} bytes for {} callers",
        clients.len()
    );
    for client in &mut clients {
        assert!(client.read_bytes(size).iter().all(|byte| *byte == b'x'));
    }
}

#[test]
fn a_download_goes_on_when_another_directory_is_served() {
    let (first, second) = (Data::new(), Data::new());
    let size = 8 << 20;
    first.write("f", vec![b'1'; size]);
    second.write("f", "two");
    let mut proxy = first.start("");
    let mut client = proxy.client();
    client.send_request("GET", "/files/f", &[], "");
    client.read_head();
    proxy.reload_with(config(&second.root(), ""));
    fs::remove_dir_all(first.root()).unwrap();
    assert_eq!(proxy.get("/files/f").text(), "two");
    assert!(client.read_bytes(size).iter().all(|byte| *byte == b'1'));
    let refused = proxy.reload_refused(config(&first.root(), ""));
    assert!(refused.contains("cannot open"), "{refused}");
    assert_eq!(proxy.get("/files/f").text(), "two");
}

/// As a release that is made ready beside the old one.
#[test]
fn another_directory_under_the_path_is_served_soon() {
    let data = Data::new();
    let size = 8 << 20;
    let current = data.path("current");
    for (release, content) in [("one", vec![b'1'; size]), ("two", b"2".to_vec())] {
        fs::create_dir(data.path(release)).unwrap();
        data.write(&format!("{release}/f"), content);
    }
    std::os::unix::fs::symlink("one", &current).unwrap();
    let proxy = Proxy::start(&config(&current, ""));
    let mut client = proxy.client();
    client.send_request("GET", "/files/f", &[], "");
    client.read_head();
    std::os::unix::fs::symlink("two", data.path("next")).unwrap();
    fs::rename(data.path("next"), &current).unwrap();
    eventually(SOON, "the new release is served", || {
        proxy.get("/files/f").text() == "2"
    });
    let old = client.read_bytes(size);
    assert!(old.iter().all(|byte| *byte == b'1'));
    fs::remove_file(&current).unwrap();
    assert_eq!(proxy.get("/files/f").text(), "2", "better than nothing");
}

#[test]
fn a_directory_of_many_files_is_listed_page_by_page() {
    let data = Data::new();
    let mut expected: Vec<String> = (0..5000)
        .map(|at| format!("file-{}", at * 7919 % 5000))
        .collect();
    for name in &expected {
        data.write(name, "");
    }
    expected.sort();
    let proxy = data.start(", list = true");
    let mut client = proxy.client();
    let (mut names, mut next) = (Vec::new(), String::new());
    loop {
        let page = client.get(&format!("/files/{next}")).json();
        let entries = page["entries"].as_array().unwrap();
        assert!(entries.len() <= 1000);
        names.extend(
            entries
                .iter()
                .map(|entry| entry["name"].as_str().unwrap().to_owned()),
        );
        match page["next"].as_str() {
            Some(following) => following.clone_into(&mut next),
            None => break,
        }
    }
    assert_eq!(names, expected);
}

#[test]
fn what_may_not_be_read_is_forbidden() {
    let data = Data::new();
    data.write("f", "hello");
    fs::set_permissions(
        data.path("f"),
        std::os::unix::fs::PermissionsExt::from_mode(0o000),
    )
    .unwrap();
    // Root may read everything.
    if File::open(data.path("f")).is_err() {
        data.start("")
            .get("/files/f")
            .assert_refused(403, "forbidden");
    }
    let proxy = data.start("");
    let fifo = data.path("fifo");
    rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::RWXU).unwrap();
    proxy.get("/files/fifo").assert_refused(403, "forbidden");
    let got = proxy.client().request("POST", "/files/f", &[], "x");
    got.assert_refused(405, "method_not_allowed");
    assert_eq!(got.header("allow"), Some("GET, HEAD, OPTIONS"));
}
