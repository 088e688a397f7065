//! PUT and DELETE.

use std::fs;
use std::io::Write;
use std::thread;

use rustix::process::Signal;

use super::{Data, config};
use crate::support::{Client, H2Client, LIMIT, Launch, Proxy, SOON, eventually};

const WRITE: &str = ", write = true, list = true";

fn put(proxy: &Proxy, name: &str, headers: &[(&str, &str)], body: &str) -> u16 {
    let mut client = proxy.client();
    client
        .request("PUT", &format!("/files/{name}"), headers, body)
        .status
}

#[test]
fn a_file_is_made_replaced_and_removed() {
    let data = Data::new();
    let proxy = data.start(WRITE);
    let mut client = proxy.client();
    let made = client.request("PUT", "/files/a%20b.txt", &[], "one");
    let first = made.header("etag").unwrap().to_owned();
    assert_eq!(
        (made.status, data.read("a b.txt").as_slice()),
        (201, &b"one"[..])
    );
    assert!(first.starts_with('"'), "{first}");
    assert_eq!(client.get("/files/a%20b.txt").header("etag"), Some(&*first));
    let replaced = client.request("PUT", "/files/a%20b.txt", &[], "two");
    assert_eq!(
        (replaced.status, data.read("a b.txt").as_slice()),
        (204, &b"two"[..])
    );
    assert_ne!(replaced.header("etag"), Some(&*first));
    let empty = client.request("PUT", "/files/empty", &[("content-length", "0")], "");
    assert_eq!((empty.status, data.read("empty").len()), (201, 0));
    assert_eq!(
        client.request("DELETE", "/files/empty", &[], "").status,
        204
    );
    client
        .request("DELETE", "/files/empty", &[], "")
        .assert_refused(404, "file_not_found");
    assert_eq!(data.names(), ["a b.txt"]);
    let options = client.request("OPTIONS", "/files/x", &[], "");
    assert_eq!(
        options.header("allow"),
        Some("DELETE, GET, HEAD, OPTIONS, PUT")
    );
    let http2 = H2Client::connect(proxy.address());
    assert_eq!(http2.request("PUT", "/files/h2", &[], "by h2").status, 201);
    assert_eq!(data.read("h2"), b"by h2");
}

#[test]
fn a_large_file_comes_in_pieces() {
    let data = Data::new();
    let proxy = data.start(WRITE);
    let content: String = (0..400_000).map(|at| format!("{at:07}\n")).collect();
    assert_eq!(put(&proxy, "sized", &[], &content), 201);
    assert!(data.read("sized") == content.as_bytes());
    let mut client = proxy.client();
    client.send("PUT /files/chunked HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    for piece in content.as_bytes().chunks(77_777) {
        client
            .send(format!("{:x}\r\n", piece.len()))
            .send(piece)
            .send("\r\n");
    }
    client.send("0\r\n\r\n");
    assert_eq!(client.read_answer_to("PUT").status, 201);
    assert!(data.read("chunked") == content.as_bytes());
}

#[test]
fn what_cannot_be_put_is_told() {
    let data = Data::new();
    data.write("f", "old");
    fs::create_dir(data.path("d")).unwrap();
    std::os::unix::fs::symlink("../out", data.path("link")).unwrap();
    let proxy = data.start(", write = true, max_file = \"10B\"");
    for (name, headers, body, status, reason) in [
        ("f", &[][..], "more than ten bytes", 413, "file_too_large"),
        (
            "f",
            &[("content-range", "bytes 0-1/5")],
            "ab",
            400,
            "bad_request",
        ),
        (
            "f",
            &[("content-encoding", "gzip")],
            "ab",
            415,
            "unsupported_encoding",
        ),
        ("d", &[], "x", 409, "conflict"),
        ("d/", &[], "x", 409, "conflict"),
        ("", &[], "x", 409, "conflict"),
        ("no/f", &[], "x", 409, "conflict"),
        ("f/g", &[], "x", 409, "conflict"),
        ("link", &[], "x", 403, "forbidden"),
        (".hidden", &[], "x", 404, "file_not_found"),
        (
            "f",
            &[("if-none-match", "*")],
            "x",
            412,
            "precondition_failed",
        ),
        ("new", &[("if-match", "*")], "x", 412, "precondition_failed"),
        (
            "f",
            &[("if-match", "\"other\"")],
            "x",
            412,
            "precondition_failed",
        ),
        (
            "f",
            &[("if-unmodified-since", "Sun, 06 Nov 1994 08:49:37 GMT")],
            "x",
            412,
            "precondition_failed",
        ),
    ] {
        let target = format!("/files/{name}");
        let got = proxy.client().request("PUT", &target, headers, body);
        assert_eq!(
            (got.status, got.reason()),
            (status, Some(reason)),
            "{name} {headers:?}"
        );
    }
    let mut client = proxy.client();
    client.send("PUT /files/f HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.send("b\r\nhello world\r\n0\r\n\r\n");
    client
        .read_answer_to("PUT")
        .assert_refused(413, "file_too_large");
    let mut client = proxy.client();
    client
        .request("DELETE", "/files/d", &[], "")
        .assert_refused(409, "conflict");
    client
        .request("DELETE", "/files/", &[], "")
        .assert_refused(403, "forbidden");
    let other = [("if-match", "\"other\"")];
    client
        .request("DELETE", "/files/f", &other, "")
        .assert_refused(412, "precondition_failed");
    assert_eq!(client.request("DELETE", "/files/d/", &[], "").status, 204);
    assert_eq!(
        (data.names(), data.read("f")),
        (vec!["f".to_owned(), "link".to_owned()], b"old".to_vec())
    );
}

#[test]
fn directories_are_made_where_that_is_wanted() {
    let data = Data::new();
    fs::write(data.path("file"), "").unwrap();
    let proxy = data.start(", write = true, create_dirs = true");
    assert_eq!(put(&proxy, "a/b/c/d", &[], "x"), 201);
    assert_eq!(put(&proxy, "a/b/c/e", &[], "y"), 201);
    assert_eq!(put(&proxy, "file/x", &[], "y"), 409);
    assert_eq!(data.read("a/b/c/d"), b"x");
    assert_eq!(put(&proxy, "none/x", &[("if-match", "*")], "y"), 412);
    assert!(!data.path("none").exists());
}

/// One of many that make a file wins, and one of many that change what they have read.
#[test]
fn of_those_who_depend_on_what_is_there_one_wins() {
    let data = Data::new();
    let proxy = data.start(WRITE);
    for round in 0..5 {
        let name = format!("n{round}");
        let all = |headers: &[(&str, &str)]| -> Vec<u16> {
            thread::scope(|scope| {
                let each = |at: usize| {
                    let (name, proxy) = (&name, &proxy);
                    scope.spawn(move || put(proxy, name, headers, &format!("by {at}")))
                };
                let callers: Vec<_> = (0..8).map(each).collect();
                let mut all: Vec<u16> =
                    callers.into_iter().map(|one| one.join().unwrap()).collect();
                all.sort_unstable();
                all
            })
        };
        assert_eq!(
            all(&[("if-none-match", "*")]),
            [201, 412, 412, 412, 412, 412, 412, 412]
        );
        let tag = proxy
            .get(&format!("/files/{name}"))
            .header("etag")
            .unwrap()
            .to_owned();
        let tag = tag.trim_start_matches("W/");
        assert_eq!(
            all(&[("if-match", tag)]),
            [204, 412, 412, 412, 412, 412, 412, 412]
        );
    }
    assert_eq!(data.names().len(), 5);
}

#[test]
fn an_upload_that_is_cut_leaves_nothing() {
    let data = Data::new();
    data.write("f", "old");
    let proxy = data.start(WRITE);
    for name in ["f", "g"] {
        for chunked in [false, true] {
            let mut client = proxy.client();
            begin(&mut client, name, 1 << 20, chunked);
            client.reset();
        }
    }
    eventually(SOON, "the proxy holds no file", || {
        proxy.open_below(&data.root()) == 1
    });
    assert_eq!(
        (data.names(), data.read("f")),
        (vec!["f".to_owned()], b"old".to_vec())
    );
}

/// Sends the head of a PUT and half of its body.
fn begin(client: &mut Client, name: &str, size: usize, chunked: bool) {
    let half = vec![b'n'; size / 2];
    if chunked {
        client.send(format!(
            "PUT /files/{name} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        ));
        client
            .send(format!("{:x}\r\n", half.len()))
            .send(half)
            .send("\r\n");
    } else {
        client.send(format!(
            "PUT /files/{name} HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n"
        ));
        client.send(half);
    }
}

/// Killed at any moment, the proxy leaves the old file or the new one, and nothing beside it that anybody sees.
#[test]
fn a_kill_leaves_the_old_file_or_the_new_one() {
    let size = 1 << 20;
    let (old, new) = (vec![b'o'; size], vec![b'n'; size]);
    for stage in 0..8 {
        let data = Data::new();
        data.write("f", &old);
        let mut proxy = data.start(WRITE);
        let mut client = proxy.client();
        match stage {
            0 => {
                client.send(format!(
                    "PUT /files/f HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n"
                ));
            }
            1 => begin(&mut client, "f", size, false),
            stage => {
                begin(&mut client, "f", size, false);
                client.send(&new[..size / 2 - 1]);
                if stage > 2 {
                    client.send("n");
                    // At another moment of what follows each time.
                    let until =
                        std::time::Instant::now() + std::time::Duration::from_micros(stage * 400);
                    while std::time::Instant::now() < until {
                        thread::yield_now();
                    }
                }
            }
        }
        proxy.signal(Signal::KILL);
        proxy.wait_exit(LIMIT);
        let found = data.read("f");
        assert!(found == old || stage > 2 && found == new, "stage {stage}");
        let proxy = data.start(WRITE);
        assert_eq!(put(&proxy, "g", &[], "x"), 201);
        assert_eq!(data.names(), ["f", "g"], "stage {stage}");
    }
}

#[test]
fn what_an_ended_process_has_left_is_removed_and_what_is_written_stays() {
    let data = Data::new();
    data.write(".outrigger-upload-1", "left");
    data.write(".outrigger-upload-2", "written by another");
    let other = fs::File::options()
        .write(true)
        .open(data.path(".outrigger-upload-2"))
        .unwrap();
    other.lock().unwrap();
    let proxy = data.start(", write = true, list = true, hidden = true");
    let listed = proxy.get("/files/").json();
    assert_eq!(listed["entries"].as_array().unwrap().len(), 0);
    proxy
        .get("/files/.outrigger-upload-1")
        .assert_refused(404, "file_not_found");
    assert_eq!(put(&proxy, "f", &[], "x"), 201);
    assert_eq!(data.names(), [".outrigger-upload-2", "f"]);
}

/// On a disk with little room. Where none can be mounted, a limit on the size of files has to do.
#[test]
fn a_full_disk_leaves_the_old_file() {
    let data = Data::new();
    let root = data.root();
    let mounted = format!(
        "exec unshare --map-root-user --mount sh -c 'mount -t tmpfs -o size=1m tmpfs {} && exec \"$0\" \"$@\"' \"$0\" \"$@\"",
        root.display()
    );
    let limited = "ulimit -f 1024 && exec \"$0\" \"$@\"";
    let text = config(&root, WRITE);
    let proxy = match Launch::new(&text).by_shell(mounted).try_start() {
        Ok(proxy) => proxy,
        Err(exited) => {
            let mut stderr = std::io::stderr();
            let _shown = writeln!(stderr, "no disk can be mounted here: {}", exited.output);
            Launch::new(&text).by_shell(limited).start()
        }
    };
    assert_eq!(put(&proxy, "f", &[], "old"), 201);
    for _ in 0..3 {
        let large = "x".repeat(2 << 20);
        let got = proxy.client().request("PUT", "/files/f", &[], &large);
        got.assert_refused(507, "disk_full");
        assert_eq!(proxy.get("/files/f").text(), "old");
    }
    let listed = proxy.get("/files/").json();
    assert_eq!(listed["entries"].as_array().unwrap().len(), 1);
    let half = "y".repeat(512 << 10);
    assert_eq!(
        put(&proxy, "f", &[], &half),
        204,
        "what was written is free again"
    );
    assert_eq!(proxy.get("/files/f").text(), half);
}

#[test]
fn no_file_is_longer_than_the_process_may_write() {
    let data = Data::new();
    let limited = "ulimit -f 1024 && exec \"$0\" \"$@\"";
    let proxy = Launch::new(config(&data.root(), WRITE))
        .by_shell(limited)
        .start();
    let large = "x".repeat(2 << 20);
    let got = proxy.client().request("PUT", "/files/f", &[], &large);
    got.assert_refused(507, "disk_full");
    assert_eq!(put(&proxy, "f", &[], "x"), 201);
}
