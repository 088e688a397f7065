//! GET and HEAD.

use super::*;

#[tokio::test]
async fn a_file_is_sent_with_what_is_known_of_it() {
    let served = Served::new("");
    let tag = served.write_settled("a b.txt", "hello").await;
    let got = served.get("a%20b.txt", &[]).await;
    assert_eq!((got.status, got.text()), (200, "hello"));
    let told = |got: &Got| {
        let names = ["content-type", "etag", "accept-ranges", "content-length"];
        names.map(|name| got.header(name).unwrap_or_default())
    };
    assert_eq!(told(&got), ["text/plain; charset=utf-8", &tag, "bytes", ""]);
    assert!(got.header("last-modified").unwrap().ends_with(" GMT"));
    let head = served
        .ask(
            "HEAD",
            "a%20b.txt",
            &[("range", "bytes=0-1")],
            Body::empty(),
        )
        .await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(
        told(&head),
        ["text/plain; charset=utf-8", &tag, "bytes", "5"]
    );
    served.write("empty", "");
    let empty = served.get("empty", &[("range", "bytes=0-")]).await;
    assert_eq!((empty.status, empty.body.len()), (200, 0));
    assert_eq!(served.get("nothing", &[]).await.reason, "file_not_found");
    assert_eq!(served.get("a%20b.txt/", &[]).await.reason, "file_not_found");
}

#[tokio::test]
async fn a_file_of_any_size_comes_whole_and_in_parts() {
    let served = Served::new("");
    for size in [1, 65535, 65536, 65537, 1 << 20, (1 << 20) + 7] {
        let content: Vec<u8> = (0..size).map(|at| (at * 7 % 251) as u8).collect();
        served.write("f", &content);
        let got = served.get("f", &[]).await;
        assert!(got.body == content && got.status == 200, "{size}");
        let last = size - 1;
        let got = served
            .get("f", &[("range", &format!("bytes={last}-"))])
            .await;
        assert_eq!((got.status, &got.body[..]), (206, &content[last..]));
        assert_eq!(
            got.header("content-range").unwrap(),
            format!("bytes {last}-{last}/{size}")
        );
        if size > 70_000 {
            let got = served.get("f", &[("range", "bytes=3-69999")]).await;
            assert!(
                got.status == 206 && got.body == content[3..70_000],
                "{size}"
            );
            let range = "bytes=0-65999,-2,5-5";
            let got = served.get("f", &[("range", range)]).await;
            let kind = got.header("content-type").unwrap();
            let boundary = kind
                .strip_prefix("multipart/byteranges; boundary=")
                .unwrap();
            let mut expected: Vec<u8> = Vec::new();
            for (from, to) in [(0, 65_999), (size - 2, size - 1), (5, 5)] {
                expected.extend(
                    format!(
                        "\r\n--{boundary}\r\ncontent-type: application/octet-stream\r\n\
                     content-range: bytes {from}-{to}/{size}\r\n\r\n"
                    )
                    .as_bytes(),
                );
                expected.extend(&content[from..=to]);
            }
            expected.extend(format!("\r\n--{boundary}--\r\n").as_bytes());
            assert!(got.status == 206 && got.body == expected, "{size}");
        }
    }
}

#[tokio::test]
async fn a_directory_has_an_index_or_a_listing() {
    let served = Served::new("index = [\"index.html\", \"index.txt\"]");
    served.write("d/index.txt", "index");
    served.write("e/x", "");
    assert_eq!(served.get("d/", &[]).await.text(), "index");
    assert_eq!(served.get("e/", &[]).await.reason, "forbidden");
    let got = served.get("d?a=b", &[]).await;
    assert_eq!(
        (got.status, got.header("location").unwrap()),
        (301, "/files/?a=b".to_owned())
    );
    served.write("d/index.html", "first");
    let got = served.get("d/", &[]).await;
    assert_eq!(got.text(), "first");
    assert_eq!(
        got.header("content-type").unwrap(),
        "text/html; charset=utf-8"
    );
}

#[tokio::test]
async fn a_listing_has_pages() {
    let served = Served::new("list = true");
    for name in ["b", "a", "d/x", ".hidden", "caf\u{e9}", "c d"] {
        served.write(name, "12345");
    }
    link("a", served.path("link"));
    let got = served.get("", &[]).await;
    assert_eq!(got.header("content-type").unwrap(), "application/json");
    let page = got.json();
    let names: Vec<_> = page["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["name"].clone())
        .collect();
    assert_eq!(names, ["a", "b", "c d", "caf\u{e9}", "d", "link"]);
    let entry = &page["entries"][2];
    assert_eq!(
        (&entry["kind"], &entry["size"], &entry["href"]),
        (&"file".into(), &5.into(), &"c%20d".into())
    );
    assert!(entry["mtime"].as_str().unwrap().ends_with('Z'));
    let directory = &page["entries"][4];
    assert_eq!(
        (&directory["kind"], &directory["href"]),
        (&"directory".into(), &"d/".into())
    );
    assert!(directory.get("size").is_none() && page["next"].is_null());

    let (mut all, mut next) = (Vec::new(), "?limit=4".to_owned());
    loop {
        let got = served.get(&format!("/{next}"), &[]).await;
        let page = got.json();
        all.extend(
            page["entries"]
                .as_array()
                .unwrap()
                .iter()
                .map(|e| e["name"].clone()),
        );
        let Some(following) = page["next"].as_str() else {
            break;
        };
        assert_eq!(
            got.header("link").unwrap(),
            format!("<{following}>; rel=\"next\"")
        );
        following.clone_into(&mut next);
    }
    assert_eq!(all, names);
    assert_eq!(served.get("/?limit=0", &[]).await.reason, "bad_request");
}

#[tokio::test]
async fn what_is_hidden_and_what_is_no_file_is_not_served() {
    let served = Served::new("list = true");
    served.write(".env", "SECRET=1");
    served.write(".git/config", "x");
    served.write("d/.x", "x");
    for path in [".env", ".git/config", ".git/", "d/.x"] {
        assert_eq!(
            served.get(path, &[]).await.reason,
            "file_not_found",
            "{path}"
        );
    }
    let fifo = served.path("fifo");
    rustix::fs::mkfifoat(CWD, &fifo, Mode::RWXU).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(served.path("socket")).unwrap();
    for path in ["fifo", "socket"] {
        assert_eq!(served.get(path, &[]).await.reason, "forbidden", "{path}");
    }
    let names = served.get("", &[]).await.json();
    assert_eq!(names["entries"].as_array().unwrap().len(), 1, "{names}");
    let open = Served::new("hidden = true");
    open.write(".env", "A=1");
    assert_eq!(open.get(".env", &[]).await.text(), "A=1");
}

#[tokio::test]
async fn a_neighbour_that_is_compressed_is_sent_to_who_takes_it() {
    let served = Served::new("precompressed = [\"br\", \"zstd\", \"gzip\"]");
    served.write("a.js", "plain");
    served.write("a.js.br", "br");
    served.write("a.js.gz", "gzip");
    for (accepted, coding, content) in [
        ("", "", "plain"),
        ("gzip, deflate, br", "br", "br"),
        ("gzip, br;q=0.5", "gzip", "gzip"),
        ("zstd, gzip;q=0.1", "gzip", "gzip"),
        ("zstd", "", "plain"),
        ("*", "br", "br"),
        ("br;q=0, *;q=0.2", "gzip", "gzip"),
        ("identity, gzip;q=0.5", "", "plain"),
    ] {
        let got = served.get("a.js", &[("accept-encoding", accepted)]).await;
        assert_eq!(got.text(), content, "{accepted}");
        assert_eq!(got.header("content-encoding").unwrap_or_default(), coding);
        assert_eq!(
            got.header("content-type").unwrap(),
            "text/javascript; charset=utf-8"
        );
        assert_eq!(got.header("vary").unwrap(), "accept-encoding");
    }
    // The file is newer than what was made of it.
    let time = std::time::SystemTime::now() + std::time::Duration::from_secs(5);
    fs::File::options()
        .write(true)
        .open(served.path("a.js"))
        .unwrap()
        .set_modified(time)
        .unwrap();
    let got = served.get("a.js", &[("accept-encoding", "br")]).await;
    assert_eq!(got.text(), "plain");
}

#[tokio::test]
async fn a_tag_is_of_one_content() {
    let served = Served::new("");
    let first = served.write_settled("f", "one").await;
    let modified = fs::metadata(served.path("f")).unwrap().modified().unwrap();
    // As long, as old, and in place.
    let second = served.write_settled("f", "two").await;
    fs::File::options()
        .write(true)
        .open(served.path("f"))
        .unwrap()
        .set_modified(modified)
        .unwrap();
    let got = served.get("f", &[("if-none-match", &first)]).await;
    assert_eq!((got.status, got.text()), (200, "two"));
    assert_ne!(first, second);
    // What was changed in this moment may change again unseen.
    let mut weak = 0;
    for _ in 0..100 {
        served.write("g", "x");
        let tag = served.get("g", &[]).await.header("etag").unwrap();
        weak += usize::from(tag.starts_with("W/"));
    }
    assert!(weak > 0);
}

#[tokio::test]
async fn an_answer_is_cut_when_its_file_is_not_what_was_announced() {
    let served = Served::new("");
    let content = vec![b'x'; 1 << 20];
    for (strong, change) in [(true, "overwritten"), (false, "cut"), (true, "cut")] {
        let name = format!("{strong}-{change}");
        served.write(&name, &content);
        let path = served.path(&name);
        if strong {
            // Not changed for as long as it takes to be taken for quiet.
            while served
                .get(&name, &[])
                .await
                .header("etag")
                .unwrap()
                .starts_with('W')
            {
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        }
        let mut request = request("GET", "/files");
        request.context.captures.push("rest".into(), &name);
        let mut answer = served.handler.call(request, exchange()).await.unwrap();
        let first = answer
            .body
            .frame()
            .await
            .unwrap()
            .unwrap()
            .into_data()
            .unwrap();
        assert!(first.len() < content.len());
        let file = fs::File::options().write(true).open(&path).unwrap();
        if change == "cut" {
            file.set_len(first.len() as u64).unwrap();
        } else {
            std::os::unix::fs::FileExt::write_at(&file, b"y", 1 << 19).unwrap();
        }
        let mut sent = first.len();
        let error = loop {
            match answer.body.frame().await.unwrap() {
                Ok(frame) => sent += frame.into_data().unwrap().len(),
                Err(error) => break error,
            }
        };
        assert_eq!(error.reason().name, "file_changed", "{name}");
        assert!(sent < content.len());
    }
}

#[tokio::test]
async fn a_file_that_grows_is_sent_as_long_as_it_was() {
    let served = Served::new("");
    served.write("log", vec![b'x'; 1 << 20]);
    let mut request = request("GET", "/files");
    request.context.captures.push("rest".into(), "log");
    let answer = served.handler.call(request, exchange()).await.unwrap();
    let file = fs::File::options()
        .append(true)
        .open(served.path("log"))
        .unwrap();
    std::io::Write::write_all(&mut &file, &[b'y'; 1000]).unwrap();
    let body = answer.body.collect().await.unwrap().to_bytes();
    assert!(body.len() == 1 << 20 && body.iter().all(|byte| *byte == b'x'));
}

#[tokio::test]
async fn other_methods_are_told_what_is_allowed() {
    let served = Served::new("");
    served.write("f", "x");
    let got = served.ask("POST", "f", &[], Body::empty()).await;
    assert_eq!((got.reason, got.status), ("method_not_allowed", 405));
    assert_eq!(got.header("allow").unwrap(), "GET, HEAD, OPTIONS");
    let got = served.ask("OPTIONS", "f", &[], Body::empty()).await;
    assert_eq!(
        (got.status, got.header("allow").unwrap()),
        (204, "GET, HEAD, OPTIONS".to_owned())
    );
}
