//! Routes and upstreams that are put into the config through the admin API.

use std::fs;
use std::path::PathBuf;
use std::thread;

use serde_json::{Value, json};

use crate::support::{Gate, Launch, Origin, Proxy, Response, SOON, Script, Setup, eventually};

const TOML: (&str, &str) = ("content-type", "application/toml");
const JSON: (&str, &str) = ("content-type", "application/json");

fn start(origin: &Origin) -> Proxy {
    launch(&setup(origin)).start()
}

fn setup(origin: &Origin) -> Setup {
    Setup::to(origin).route("match = { path = \"/all/{*rest}\" }")
}

fn launch(setup: &Setup) -> Launch {
    Launch::new(setup.toml()).admin_line("writable_dir = \"../registered\"")
}

fn put(proxy: &Proxy, path: &str, fields: &[(&str, &str)], body: &str) -> Response {
    proxy.admin_client().request("PUT", path, fields, body)
}

fn delete(proxy: &Proxy, path: &str) -> Response {
    proxy.admin("DELETE", path, "")
}

/// A route that answers with `text`.
fn saying(path: &str, text: &str) -> String {
    format!("match = {{ path = \"{path}\" }}\nrespond = {{ body = \"{text}\" }}\n")
}

fn file(proxy: &Proxy, name: &str) -> PathBuf {
    proxy.path("registered").join(name)
}

fn files(proxy: &Proxy) -> Vec<String> {
    let Ok(entries) = fs::read_dir(proxy.path("registered")) else {
        return Vec::new();
    };
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn what_is_registered_serves_when_it_is_answered_and_outlives_the_process() {
    let origin = Origin::start();
    let mut proxy = start(&origin);
    let new = put(&proxy, "/routes/hello", &[TOML], &saying("/hello", "one"));
    assert_eq!(new.status, 201, "{}", new.text());
    assert_eq!(proxy.get("/hello").text(), "one");
    let etag = new.header("etag").unwrap().to_owned();
    assert_eq!(new.json()["etag"], etag);
    assert_eq!(new.json()["generation"], proxy.generation());
    let shown = proxy.admin("GET", "/routes/hello", "");
    assert_eq!(shown.header("etag"), Some(&*etag));
    assert_eq!(shown.json()["registered"], true);
    assert_eq!(
        proxy.admin("GET", "/routes/all", "").json()["registered"],
        false
    );

    let upstream = json!({ "endpoints": [origin.address().to_string()] });
    let new = put(&proxy, "/upstreams/more", &[JSON], &upstream.to_string());
    assert_eq!(new.status, 201, "{}", new.text());
    let route = json!({ "match": { "path": "/more/{*rest}" }, "upstream": "more" });
    let new = put(&proxy, "/routes/more", &[JSON], &route.to_string());
    assert_eq!(new.status, 201, "{}", new.text());
    assert_eq!(proxy.get("/more/x").status, 200);
    assert_eq!(
        files(&proxy),
        ["route-hello.toml", "route-more.toml", "upstream-more.toml"]
    );

    proxy.restart();
    assert_eq!(proxy.get("/hello").text(), "one");
    assert_eq!(proxy.get("/more/x").status, 200);
    let shown = proxy.admin("GET", "/routes/hello", "");
    assert_eq!(shown.header("etag"), Some(&*etag));

    let other = put(&proxy, "/routes/hello", &[TOML], &saying("/hello", "two"));
    assert_eq!(other.status, 200, "{}", other.text());
    assert_eq!(proxy.get("/hello").text(), "two");
    assert_ne!(other.header("etag"), Some(&*etag));
    // An upstream that a route needs stays.
    let needed = delete(&proxy, "/upstreams/more");
    assert_eq!(needed.status, 422, "{}", needed.text());
    assert!(
        needed.text().contains("route-more.toml:"),
        "{}",
        needed.text()
    );
    assert_eq!(delete(&proxy, "/routes/more").status, 200);
    proxy.get("/more/x").assert_refused(404, "no_route");
    assert_eq!(delete(&proxy, "/upstreams/more").status, 200);
    assert_eq!(delete(&proxy, "/upstreams/more").status, 404);
    assert_eq!(files(&proxy), ["route-hello.toml"]);
}

#[test]
fn what_check_refuses_changes_nothing_and_is_shown_at_its_place() {
    let origin = Origin::start();
    let proxy = start(&origin);
    put(&proxy, "/routes/hello", &[TOML], &saying("/hello", "one"));
    let before = fs::read_to_string(file(&proxy, "route-hello.toml")).unwrap();
    let generation = proxy.generation();
    let wrong = "match = { path = \"/hello\" }\nupstrem = \"origin\"\n";
    let refused = put(&proxy, "/routes/hello", &[TOML], wrong);
    assert_eq!(refused.status, 422);
    let report = refused.text();
    assert!(report.contains("did you mean `upstream`?"), "{report}");
    assert!(report.contains("route-hello.toml:3:1"), "{report}");
    let accept = ("accept", "application/json");
    let refused = put(&proxy, "/routes/hello", &[TOML, accept], wrong);
    let problem = &refused.json()["problems"][0];
    assert_eq!(problem["line"], 3, "{}", refused.text());
    assert!(problem["message"].as_str().unwrap().contains("upstrem"));
    let now = fs::read_to_string(file(&proxy, "route-hello.toml")).unwrap();
    assert_eq!(now, before);
    assert_eq!(files(&proxy), ["route-hello.toml"]);
    assert_eq!(proxy.generation(), generation);
    assert_eq!(proxy.get("/hello").text(), "one");
    assert!(proxy.config()["last_error"].is_null());
}

#[test]
fn what_cannot_be_read_or_named_is_refused() {
    let origin = Origin::start();
    let proxy = start(&origin);
    for (path, fields, body, status) in [
        ("/routes/..%2Fescape", vec![TOML], "respond = {}", 400),
        ("/routes/Upper", vec![TOML], "respond = {}", 400),
        ("/routes/.hidden", vec![TOML], "respond = {}", 400),
        ("/routes/a", vec![TOML], "respond = ", 400),
        ("/routes/a", vec![JSON], "[]", 400),
        ("/routes/a", vec![JSON], "{\"retry\": null}", 400),
        ("/routes/a", vec![], "respond = {}", 415),
        ("/routes/a", vec![("content-type", "text/plain")], "x", 415),
    ] {
        let refused = put(&proxy, path, &fields, body);
        assert_eq!(refused.status, status, "{path} {body}: {}", refused.text());
    }
    let large = "#".repeat(300 << 10);
    assert_eq!(put(&proxy, "/routes/a", &[TOML], &large).status, 413);
    assert!(files(&proxy).is_empty());
    let origin_field = ("origin", "https://evil.example");
    let page = put(&proxy, "/routes/a", &[TOML, origin_field], "respond = {}");
    assert_eq!(page.status, 403);
}

#[test]
fn what_somebody_has_written_and_a_proxy_without_a_directory_are_left_alone() {
    let origin = Origin::start();
    let proxy = start(&origin);
    let by_hand = put(&proxy, "/routes/all", &[TOML], "respond = {}");
    assert_eq!(by_hand.status, 409);
    let said = by_hand.text();
    assert!(said.contains("config/main.toml:"), "{said}");
    assert_eq!(delete(&proxy, "/upstreams/origin").status, 409);
    assert!(files(&proxy).is_empty());
    let without = Proxy::with(&setup(&origin));
    let refused = put(&without, "/routes/a", &[TOML], "respond = {}");
    assert_eq!(refused.status, 409);
    assert!(refused.text().contains("writable_dir"));
}

#[test]
fn of_those_who_change_the_same_at_once_one_wins() {
    let origin = Origin::start();
    let proxy = start(&origin);
    let first = put(&proxy, "/routes/a", &[TOML], &saying("/a", "first"));
    let etag = first.header("etag").unwrap().to_owned();
    let none = ("if-none-match", "*");
    let again = put(&proxy, "/routes/a", &[TOML, none], &saying("/a", "again"));
    assert_eq!(again.status, 412);
    assert_eq!(again.header("etag"), Some(&*etag));
    let any = ("if-match", "*");
    let nothing = put(&proxy, "/routes/b", &[TOML, any], &saying("/b", "b"));
    assert_eq!(nothing.status, 412);
    let statuses: Vec<(u16, String)> = thread::scope(|scope| {
        let callers: Vec<_> = (0..6)
            .map(|caller| {
                let (proxy, etag) = (&proxy, &etag);
                scope.spawn(move || {
                    let text = saying("/a", &format!("caller {caller}"));
                    let condition = ("if-match", &**etag);
                    let answer = put(proxy, "/routes/a", &[TOML, condition], &text);
                    (answer.status, format!("caller {caller}"))
                })
            })
            .collect();
        callers.into_iter().map(|c| c.join().unwrap()).collect()
    });
    let winners: Vec<_> = statuses
        .iter()
        .filter(|(status, _)| *status == 200)
        .collect();
    assert_eq!(winners.len(), 1, "{statuses:?}");
    assert!(
        statuses
            .iter()
            .all(|(status, _)| [200, 412].contains(status))
    );
    assert_eq!(proxy.get("/a").text(), winners[0].1);
}

#[test]
fn what_does_not_come_to_serve_is_taken_back() {
    let origin = Origin::start();
    let setup = setup(&origin).also("[process]\nworkers = 1");
    let mut proxy = launch(&setup).start();
    put(&proxy, "/routes/a", &[TOML], &saying("/a", "one"));
    let more = self::setup(&origin).also("[process]\nworkers = 2");
    proxy.reload_refused(more.toml());
    let refused = put(&proxy, "/routes/a", &[TOML], &saying("/a", "two"));
    assert_eq!(refused.status, 500);
    let said = refused.text();
    assert!(
        said.contains("taken back") && said.contains("workers"),
        "{said}"
    );
    let new = put(&proxy, "/routes/b", &[TOML], &saying("/b", "two"));
    assert_eq!(new.status, 500);
    assert_eq!(files(&proxy), ["route-a.toml"]);
    let text = fs::read_to_string(file(&proxy, "route-a.toml")).unwrap();
    assert!(text.contains("one"), "{text}");
    assert_eq!(proxy.get("/a").text(), "one");
}

#[test]
fn a_file_is_whole_whenever_the_process_is_killed() {
    let origin = Origin::start();
    let mut proxy = start(&origin);
    put(&proxy, "/routes/a", &[TOML], &saying("/a", "version 0"));
    // What a kill between writing and renaming leaves behind.
    fs::write(file(&proxy, ".route-a.toml.new"), "[routes.a]\nmat").unwrap();
    fs::write(file(&proxy, ".route-b.toml.new"), "[routes.b").unwrap();
    for round in 1..6 {
        let text = saying("/a", &format!("version {round}"));
        let mut client = proxy.admin_client();
        client.send_request("PUT", "/routes/a", &[TOML], &text);
        if round % 2 == 0 {
            let written = || {
                let now = fs::read_to_string(file(&proxy, "route-a.toml")).unwrap();
                now.contains(&format!("version {round}"))
            };
            eventually(SOON, "it is written", written);
        }
        proxy.restart();
        let serves = proxy.get("/a").text();
        let known = [format!("version {round}"), format!("version {}", round - 1)];
        assert!(known.contains(&serves), "{serves}");
        // Where it was not written in time, it is now.
        assert_eq!(put(&proxy, "/routes/a", &[TOML], &text).status, 200);
    }
    assert!(fs::metadata(file(&proxy, ".route-a.toml.new")).is_err());
    assert_eq!(proxy.admin("GET", "/routes/b", "").status, 404);
}

#[test]
fn the_files_are_watched_as_the_others_are() {
    let origin = Origin::start();
    let proxy = start(&origin);
    put(&proxy, "/routes/a", &[TOML], &saying("/a", "one"));
    let etag = |proxy: &Proxy| {
        let shown = proxy.admin("GET", "/routes/a", "");
        shown.header("etag").map(str::to_owned)
    };
    let before = etag(&proxy);
    let by_hand = format!("[routes.a]\n{}", saying("/a", "by hand"));
    fs::write(file(&proxy, "route-a.toml"), by_hand).unwrap();
    eventually(SOON, "it serves", || proxy.get("/a").text() == "by hand");
    assert_ne!(etag(&proxy), before);
    fs::remove_file(file(&proxy, "route-a.toml")).unwrap();
    eventually(SOON, "it is gone", || proxy.get("/a").status == 404);
    let shown: Value = proxy.config();
    let directory = shown["config"]["admin"]["writable_dir"].as_str().unwrap();
    assert!(directory.ends_with("registered"), "{directory}");
}

#[test]
fn nothing_is_registered_while_the_proxy_drains() {
    let gate = Gate::new();
    let origin = Origin::start().on(
        "/all/wait",
        Script::new().wait(&gate).answering("200 OK", ""),
    );
    let proxy = start(&origin);
    let mut waiting = proxy.client();
    waiting.send_request("GET", "/all/wait", &[], "");
    eventually(SOON, "it arrives", || origin.requests().len() == 1);
    proxy.admin("POST", "/drain", "");
    eventually(SOON, "readiness fails", || !proxy.is_ready());
    let refused = put(&proxy, "/routes/a", &[TOML], "respond = {}");
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert!(files(&proxy).is_empty());
    gate.open();
    assert_eq!(waiting.read_answer().status, 200);
}
