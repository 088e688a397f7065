//! A config that cannot serve: what is told of it, and what brings it to serve after all.

use std::net::TcpListener;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use crate::support::{Launch, Proxy, SOON, eventually};

/// Longer than it takes until what was refused is read again.
const READ_AGAIN: Duration = Duration::from_secs(60);

fn saying(text: &str) -> String {
    format!(
        "[listeners.main]\nlisten = \"127.0.0.1:0\"\n[routes.all]\nrespond = {{ body = \"{text}\" }}\n"
    )
}

fn refusals(proxy: &Proxy) -> f64 {
    let refused = [("result", "refused")];
    proxy
        .metrics()
        .sum("outrigger_config_reloads_total", &refused)
}

fn lines(proxy: &Proxy, part: &str) -> usize {
    let log = proxy.log();
    log.lines().filter(|line| line.contains(part)).count()
}

/// The first line with this in it.
fn logged(proxy: &Proxy, part: &str) -> Value {
    eventually(SOON, "the line is logged", || lines(proxy, part) > 0);
    let log = proxy.log();
    let line = log.lines().find(|line| line.contains(part));
    serde_json::from_str(line.unwrap()).unwrap()
}

#[test]
fn the_same_refusal_of_the_same_content_is_told_once() {
    let mut proxy = Proxy::start(&saying("one"));
    let wrong = format!("{}respnd = 1\n", saying("one"));
    proxy.reload_refused(&wrong);
    let told_at = proxy.config()["last_error"]["at"].clone();
    // Written again, and each time read again: what comes next is read after it.
    for _ in 0..3 {
        proxy.write_config(&wrong);
    }
    assert_eq!(proxy.config()["last_error"]["at"], told_at);
    proxy.reload_refused(format!("{}other = 1\n", saying("one")));
    assert_eq!(refusals(&proxy), 2.0);
    eventually(SOON, "both are in the log", || {
        lines(&proxy, "the new config is refused") == 2
    });

    // Whoever asks is told.
    let answer = proxy.admin("POST", "/reload", "");
    assert_eq!(answer.status, 422);
    assert!(answer.text().contains("unknown key `other`"));
    proxy.signal(Signal::HUP);
    eventually(SOON, "the order is answered in the log", || {
        refusals(&proxy) == 4.0
    });
}

#[test]
fn a_refusal_names_file_line_and_key() {
    let mut proxy = Proxy::start(&saying("one"));
    proxy.reload_refused(format!("{}respnd = 1\n", saying("one")));
    let line = logged(&proxy, "is refused");
    assert!(line["file"].as_str().unwrap().ends_with("main.toml"));
    assert_eq!(line["line"], 5);
    assert_eq!(line["key"], "routes.all.respnd");
}

#[test]
fn a_warning_is_logged_once_with_its_place() {
    let warned = |text: &str| {
        format!(
            "{}[upstreams.x]\nendpoints = [\"127.0.0.1:9\"]\n",
            saying(text)
        )
    };
    let mut proxy = Proxy::start(&warned("one"));
    let about = "no route uses this upstream\"";
    let line = logged(&proxy, about);
    assert!(line["file"].as_str().unwrap().ends_with("main.toml"));
    assert_eq!(line["line"], 5);
    assert_eq!(line["key"], "upstreams.x");

    proxy.reload_with(warned("two"));
    let also = "[upstreams.y]\nendpoints = [\"127.0.0.1:9\"]\n";
    proxy.reload_with(format!("{also}{}", warned("three")));
    eventually(SOON, "the new warning is logged", || {
        lines(&proxy, "\"key\":\"upstreams.y\"") == 1
    });
    assert_eq!(lines(&proxy, "\"key\":\"upstreams.x\""), 1);
}

#[test]
fn a_secret_under_a_misspelled_key_is_told_to_nobody() {
    let mut proxy = Proxy::start(&saying("one"));
    let slip = "credentials = { bearer = { valeu = \"hunter2\" } }\n";
    let error = proxy.reload_refused(format!("{}{slip}", saying("two")));
    assert!(error.contains("valeu"), "{error}");
    let answer = proxy.admin("POST", "/reload", "").text();
    assert!(answer.contains("valeu"), "{answer}");
    let check = Command::new(env!("CARGO_BIN_EXE_outrigger"))
        .arg("check")
        .arg(proxy.path("config/main.toml"))
        .output()
        .unwrap();
    let checked = String::from_utf8(check.stderr).unwrap();
    assert!(checked.contains("valeu"), "{checked}");
    for told in [error, answer, checked, proxy.log()] {
        assert!(!told.contains("hunter2"), "{told}");
    }
}

#[test]
fn what_is_no_regular_file_is_refused_by_name() {
    let text = |file: &str| {
        format!(
            "{}credentials = {{ bearer = {{ file = \"{file}\" }} }}\n",
            saying("one").replace("respond = { body = \"one\" }", "upstream = \"app\"")
        ) + "[upstreams.app]\nendpoints = [\"127.0.0.1:9\"]\n"
    };
    let mut proxy = Launch::new(text("token")).file("token", "s3cret").start();
    let fifo = proxy.path("config/fifo");
    assert!(
        Command::new("mkfifo")
            .arg(&fifo)
            .status()
            .unwrap()
            .success()
    );
    for (file, kind) in [
        ("fifo", "a FIFO"),
        ("/dev/zero", "a device"),
        (".", "a directory"),
    ] {
        let error = proxy.reload_refused(text(file));
        assert!(error.contains(kind), "{error}");
        assert!(proxy.is_ready());
    }
    proxy.write_config(text("token"));
    eventually(SOON, "the first config is taken", || {
        proxy.last_error().is_empty()
    });
}

#[test]
fn what_lacked_for_a_moment_is_tried_again_until_it_serves() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let mut proxy = Proxy::start(&saying("one"));
    let also = format!(
        "{}[listeners.second]\nlisten = \"{address}\"\n",
        saying("two")
    );
    proxy.reload_refused(also);
    drop(taken);
    eventually(READ_AGAIN, "it serves without anybody's doing", || {
        proxy.get("/").text() == "two"
    });
    assert!(proxy.last_error().is_empty());
    assert_eq!(refusals(&proxy), 1.0);
}

#[test]
fn a_restart_with_a_broken_config_serves_the_last_good_one() {
    let launch = Launch::new(saying("good")).config_map().directory();
    let mut proxy = launch.admin_line("state_dir = \"../state\"").start();
    let kept = proxy.path("state/last-good.json");
    eventually(SOON, "it is kept", || kept.is_file());
    proxy.reload_with(saying("better"));
    eventually(SOON, "the newest is kept", || {
        std::fs::read_to_string(&kept).is_ok_and(|text| text.contains("better"))
    });
    proxy.reload_refused(format!("{}respnd = \n", saying("bad")));

    proxy.restart();
    assert_eq!(proxy.get("/").text(), "better");
    eventually(SOON, "it is said why", || {
        proxy.last_error().contains("main.toml")
    });
    let config = proxy.config();
    assert_eq!(config["serves_last_good"], true);
    let metrics = proxy.metrics();
    assert_eq!(metrics.sum("outrigger_config_last_good_serves", &[]), 1.0);
    assert_eq!(
        metrics.sum("outrigger_config_last_reload_successful", &[]),
        0.0
    );
    assert!(proxy.log().contains("the last good config"));

    proxy.reload_with(saying("mended"));
    assert_eq!(proxy.get("/").text(), "mended");
    assert_eq!(proxy.config()["serves_last_good"], false);
    assert_eq!(
        proxy
            .metrics()
            .sum("outrigger_config_last_good_serves", &[]),
        0.0
    );
}

#[test]
fn a_state_directory_that_cannot_be_written_stops_nothing() {
    let launch = Launch::new(saying("good")).file("state", "this is no directory");
    let mut proxy = launch.admin_line("state_dir = \"state\"").start();
    eventually(SOON, "it is told", || {
        lines(&proxy, "is not kept for a restart") > 0
    });
    proxy.reload_with(saying("better"));
    assert_eq!(proxy.get("/").text(), "better");
    let saved = proxy.metrics();
    assert_eq!(saved.sum("outrigger_config_last_good_saved", &[]), 0.0);
}
