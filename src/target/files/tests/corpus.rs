//! Paths and links that try to leave the directory.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::http::path::normalise;

/// What stands in every file outside.
const SECRET: &str = "nobody may see this";

/// Ways to write `..` that some server has taken for one.
const UP: [&str; 24] = [
    "..",
    "%2e%2e",
    "%2E.",
    ".%2e",
    "%252e%252e",
    "%25%32%65%25%32%65",
    "%c0%ae%c0%ae",
    "%e0%80%ae%e0%80%ae",
    "%uff0e%uff0e",
    "..;",
    "..;x=y",
    "...",
    "....",
    "..%00",
    "%00..",
    "..%20",
    "..%09",
    "..%0d",
    "..\\",
    "..%5c",
    "\\..",
    "..%2f..",
    "..%252f..",
    "%2e%2e%2f",
];
/// Ways to write the slash behind it.
const SLASH: [&str; 6] = ["/", "%2f", "%252f", "\\", "%5c", "%c0%af"];
/// Paths that are taken for others on some system.
const ODD: [&str; 22] = [
    "/etc/passwd",
    "//etc/passwd",
    "///etc/passwd",
    "%2fetc%2fpasswd",
    "file:///etc/passwd",
    "C:/secret",
    "C:\\secret",
    "\\\\host\\secret",
    "~/secret",
    "~root/secret",
    "/proc/self/cwd/secret",
    "/dev/zero",
    "a/../../secret",
    "a/./../../secret",
    "a/b/../../../secret",
    "./../secret",
    "a/../a/../../secret",
    ".",
    "..",
    "a/..",
    "a.txt/../../secret",
    "a.txt/..%2f..%2fsecret",
];

fn hostile(finds: Finds) -> (Served, Vec<String>) {
    let served = Served::found_by("list = true\nhidden = true", finds);
    let outside = served.outside.path().to_owned();
    fs::write(outside.join("secret"), SECRET).unwrap();
    fs::create_dir(outside.join("beside")).unwrap();
    fs::write(outside.join("beside/secret"), SECRET).unwrap();
    fs::create_dir(outside.join("data-more")).unwrap();
    fs::write(outside.join("data-more/secret"), SECRET).unwrap();
    served.write("a/b/c.txt", "inside");
    served.write("a.txt", "inside");
    for (name, target) in [
        ("up", ".."),
        ("up-slash", "../"),
        ("up-up", "../.."),
        ("up-inside", "a/../.."),
        ("secret-link", "../secret"),
        ("a/secret-link", "../../secret"),
        ("a/b/deep", "../../../secret"),
        ("beside", "../beside"),
        ("more", "../data-more"),
        ("back", "../data/../secret"),
        ("through", "up/secret"),
        ("through-two", "through"),
        ("proc", "/proc/self/root"),
        ("cwd", "/proc/self/cwd"),
        ("etc", "/etc"),
        ("passwd", "/etc/passwd"),
        ("zero", "/dev/zero"),
        ("loop", "loop"),
        ("loop-a", "loop-b"),
        ("loop-b", "loop-a"),
        ("gone", "nothing"),
    ] {
        link(target, served.path(name));
    }
    link(outside.join("secret"), served.path("whole"));
    link(served.path("a.txt"), served.path("whole-inside"));
    let mut paths: Vec<String> = ODD.map(str::to_owned).to_vec();
    for up in UP {
        for slash in SLASH {
            paths.push(format!("{up}{slash}secret"));
            paths.push(format!("a{slash}{up}{slash}{up}{slash}secret"));
        }
    }
    for name in [
        "up",
        "up-slash",
        "up-up",
        "up-inside",
        "beside",
        "more",
        "proc",
        "cwd",
        "etc",
        "a/b/deep",
        "through",
        "through-two",
        "back",
        "secret-link",
        "a/secret-link",
        "whole",
        "passwd",
        "zero",
        "loop",
        "loop-a",
        "gone",
    ] {
        for behind in [
            "",
            "/",
            "/secret",
            "/beside/secret",
            "/passwd",
            "/etc/passwd",
        ] {
            paths.push(format!("{name}{behind}"));
        }
    }
    paths.push(format!("{}secret", "../".repeat(2000)));
    paths.push("a/".repeat(3000));
    paths.push("x".repeat(300));
    (served, paths)
}

async fn nothing_leaves(finds: Finds) {
    let (served, paths) = hostile(finds);
    assert!(paths.len() > 300, "{}", paths.len());
    for path in &paths {
        let mut forms = vec![path.clone()];
        // As it comes from a listener, too.
        if let Ok(target) = format!("/{path}").parse()
            && let Ok(normal) = normalise(target)
        {
            forms.push(normal.target.path().to_owned());
        }
        for form in forms {
            for method in ["GET", "HEAD"] {
                let got = served.ask(method, &form, &[], Body::empty()).await;
                let text = String::from_utf8_lossy(&got.body);
                assert!(
                    !text.contains(SECRET) && !text.contains("root:"),
                    "{form}: {text}"
                );
                let is_listing = got.status == 200 && text.contains("\"entries\"");
                let is_inside = [".", "a/..", "", "/", "a"].contains(&form.as_str())
                    || got.status == 301
                    || is_listing && !text.contains("data-more");
                assert!(
                    matches!(got.status, 400 | 403 | 404) || is_inside,
                    "{method} {form}: {got:?}"
                );
            }
        }
    }
    for (path, reason) in [
        ("secret-link", "forbidden"),
        ("whole", "forbidden"),
        ("whole-inside", "forbidden"),
        ("up/secret", "forbidden"),
        ("proc/etc/passwd", "forbidden"),
        ("loop", "forbidden"),
        ("gone", "file_not_found"),
        ("../secret", "bad_path"),
    ] {
        assert_eq!(served.get(path, &[]).await.reason, reason, "{path}");
    }
    // None of the links that lead out is listed.
    let listed = served.get("", &[]).await.json();
    let names = listed["entries"].as_array().unwrap().iter();
    let names: Vec<_> = names.map(|entry| entry["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["a", "a.txt"]);
}

#[tokio::test]
async fn no_path_and_no_link_leaves_the_directory() {
    nothing_leaves(Finds::Kernel).await;
}

#[tokio::test]
async fn nor_where_the_kernel_does_not_see_to_it() {
    nothing_leaves(Finds::Walk).await;
}

#[tokio::test]
async fn links_within_the_directory_are_followed() {
    for finds in [Finds::Kernel, Finds::Walk] {
        let served = Served::found_by("", finds);
        served.write("a/b/c.txt", "inside");
        link("a/b", served.path("to-b"));
        link("../b/../../a/b/c.txt", served.path("a/b/roundabout"));
        link("to-b/roundabout", served.path("chain"));
        for path in ["to-b/c.txt", "a/b/roundabout", "chain", "to-b/roundabout"] {
            assert_eq!(
                served.get(path, &[]).await.text(),
                "inside",
                "{path} by {finds:?}"
            );
        }
        assert_eq!(served.get("to-b/", &[]).await.status, 403);
        assert_eq!(served.get("a/b/c.txt/x", &[]).await.status, 404);
    }
}

/// A name is by turns a directory inside and a link that leads out, while it is asked for.
#[test]
fn a_link_that_comes_and_goes_leads_nowhere() {
    for finds in [Finds::Kernel, Finds::Walk] {
        let served = Served::found_by("", finds);
        let outside = served.outside.path().to_owned();
        fs::create_dir(outside.join("beside")).unwrap();
        fs::write(outside.join("beside/x"), SECRET).unwrap();
        served.write("real/x", "inside");
        link("../beside", served.path("evil"));
        link("real", served.path("good"));
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let flags = rustix::fs::RenameFlags::EXCHANGE;
                let swap = |a: &str, b: &str| {
                    let (a, b) = (served.path(a), served.path(b));
                    rustix::fs::renameat_with(CWD, a, CWD, b, flags).unwrap();
                };
                while !stop.load(Ordering::Relaxed) {
                    swap("good", "evil");
                    swap("real", "evil");
                    swap("real", "good");
                }
            });
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            let (mut inside, mut refused) = (0, 0);
            let end = std::time::Instant::now() + std::time::Duration::from_secs(20);
            while (inside < 500 || refused < 500) && std::time::Instant::now() < end {
                for name in ["good/x", "real/x", "evil/x"] {
                    let got = runtime.block_on(served.get(name, &[]));
                    match got.status {
                        200 => {
                            assert_eq!(got.text(), "inside");
                            inside += 1;
                        }
                        403 | 404 | 500 => refused += 1,
                        _ => panic!("{got:?}"),
                    }
                }
            }
            stop.store(true, Ordering::Relaxed);
            assert!(
                inside >= 500 && refused >= 500,
                "{inside} and {refused} by {finds:?}"
            );
        });
    }
}
