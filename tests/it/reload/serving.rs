//! When a new config serves, and when it does not.

use std::time::Duration;

use rustix::process::Signal;

use super::saying;
use crate::support::{Client, Launch, Proxy, SOON, eventually};

/// The contract's limit, from the write to the first request under the new config.
const LIVE: Duration = Duration::from_secs(1);

fn reloads(proxy: &Proxy) -> f64 {
    proxy.metrics().sum("outrigger_config_reloads_total", &[])
}

fn last_successful(proxy: &Proxy) -> f64 {
    proxy
        .metrics()
        .sum("outrigger_config_last_reload_successful", &[])
}

#[test]
fn a_changed_route_serves_within_a_second() {
    let mut proxy = Proxy::start(&saying("one"));
    let address = proxy.address();
    assert_eq!(proxy.get("/").text(), "one");
    proxy.write_config(saying("two"));
    eventually(LIVE, "the new route serves", || {
        Client::tcp(address).get("/").text() == "two"
    });
    assert_eq!(
        proxy.address(),
        address,
        "a listener that did not change keeps its port"
    );
}

#[test]
fn a_broken_config_is_kept_out_and_its_place_is_reported() {
    let mut proxy = Proxy::start(&saying("one"));
    for (broken, line) in [
        (format!("{}respnd = 1\n", saying("x")), 5),
        ("[listeners.main\n".to_owned(), 1),
        (saying("x").replace("127.0.0.1:0", "nowhere"), 2),
        (
            saying("x").replace("respond = ", "timeout = \"fast\"\nrespond = "),
            4,
        ),
        (
            saying("x").replace("respond = { body = \"x\" }", "upstream = \"none\""),
            4,
        ),
    ] {
        let error = proxy.reload_refused(&broken);
        assert!(error.contains(&format!("main.toml:{line}:")), "{error}");
        assert_eq!(proxy.get("/").text(), "one");
    }
    assert_eq!(last_successful(&proxy), 0.0);
    proxy.reload_with(saying("two"));
    assert_eq!(proxy.get("/").text(), "two");
    assert_eq!(last_successful(&proxy), 1.0);
}

#[test]
fn each_reload_is_counted_and_has_its_generation() {
    let mut proxy = Proxy::start(&saying("0"));
    let (generation, counted) = (proxy.generation(), reloads(&proxy));
    for number in 1..=3 {
        proxy.reload_with(saying(&number.to_string()));
    }
    assert_eq!(proxy.generation(), generation + 3);
    assert_eq!(reloads(&proxy), counted + 3.0);
    assert_eq!(
        proxy.metrics().sum("outrigger_config_generation", &[]),
        proxy.generation() as f64
    );
}

#[test]
fn of_many_quick_changes_the_last_one_serves() {
    let mut proxy = Proxy::start(&saying("0"));
    for number in 1..=20 {
        proxy.write_config(saying(&number.to_string()));
    }
    eventually(LIVE, "the last one serves", || {
        proxy.get("/").text() == "20"
    });
}

#[test]
fn a_change_that_needs_a_restart_is_refused_by_name() {
    let mut proxy = Proxy::start(&saying("one"));
    let error = proxy.reload_refused(format!("{}[process]\nworkers = 1\n", saying("two")));
    assert!(
        error.contains("workers") && error.contains("restart"),
        "{error}"
    );
    assert_eq!(proxy.get("/").text(), "one");
}

#[test]
fn every_swap_of_a_config_map_volume_is_seen() {
    for directory in [false, true] {
        let launch = Launch::new(saying("0")).config_map();
        let mut proxy = if directory {
            launch.directory()
        } else {
            launch
        }
        .start();
        for number in 1..=4 {
            let text = number.to_string();
            proxy.write_config(saying(&text));
            eventually(LIVE, "the new version serves", || {
                proxy.get("/").text() == text
            });
        }
        proxy.reload_refused("[nonsense]\n");
        assert_eq!(proxy.get("/").text(), "4");
    }
}

#[test]
fn a_file_that_appears_in_a_config_directory_is_merged() {
    let proxy = Launch::new(saying("all")).directory().start();
    let extra = |text: &str| {
        format!(
            "[routes.extra]\nmatch = {{ path = \"/extra\" }}\nrespond = {{ body = \"{text}\" }}\n"
        )
    };
    proxy.write_file("extra.toml", &extra("extra"));
    eventually(LIVE, "the new file serves", || {
        proxy.get("/extra").text() == "extra"
    });
    proxy.write_file("zz.toml", &extra("again"));
    eventually(SOON, "a table named twice is refused", || {
        let error = proxy.last_error();
        error.contains("extra.toml") && error.contains("zz.toml")
    });
    std::fs::remove_file(proxy.path("config/zz.toml")).unwrap();
    std::fs::remove_file(proxy.path("config/extra.toml")).unwrap();
    eventually(LIVE, "the file is gone", || {
        proxy.get("/extra").text() == "all"
    });
}

#[test]
fn a_reload_can_be_asked_for() {
    let mut proxy = Proxy::start(&saying("one"));
    proxy.write_config(saying("two"));
    let answer = proxy.admin("POST", "/reload", "");
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(
        proxy.get("/").text(),
        "two",
        "it serves when the answer comes"
    );

    proxy.write_config("[routes.all]\nnonsense = 1\n");
    let answer = proxy.admin("POST", "/reload", "");
    assert_eq!(answer.status, 422);
    assert!(answer.text().contains("main.toml:2:"), "{}", answer.text());
    assert_eq!(proxy.get("/").text(), "two");
}

#[test]
fn a_hangup_signal_reloads() {
    let mut proxy = Proxy::start(&saying("one"));
    proxy.write_config(saying("two"));
    proxy.signal(Signal::HUP);
    eventually(LIVE, "the new config serves", || {
        proxy.get("/").text() == "two"
    });
    assert!(proxy.exited().is_none());
}
