//! Endpoints are asked whether they are well, and left out while they are not.

use std::time::Duration;

use crate::support::{
    Gate, H2Origin, Origin, Proxy, Refusing, SOON, Script, Setup, eventually, stays,
};

const OFTEN: &str = "health_check = { path = \"/healthz\", interval = \"40ms\" }";

fn failing() -> Script {
    Script::new().answering("500 Internal Server Error", "")
}

fn state(proxy: &Proxy, index: usize) -> String {
    let upstream = proxy.admin("GET", "/upstreams/origin", "").json();
    upstream["endpoints"][index]["state"]
        .as_str()
        .unwrap()
        .to_owned()
}

fn becomes(proxy: &Proxy, index: usize, wanted: &str) {
    eventually(SOON, &format!("endpoint {index} is {wanted}"), || {
        state(proxy, index) == wanted
    });
}

fn checks(origin: &Origin) -> usize {
    let requests = origin.requests();
    requests.iter().filter(|r| r.target() == "/healthz").count()
}

#[test]
fn an_endpoint_that_fails_its_check_is_left_out() {
    let (bad, good) = (Origin::start().on("/healthz", failing()), Origin::start());
    let list = format!("[\"{}\", \"{}\"]", bad.address(), good.address());
    let proxy = Proxy::with(&Setup::to(&bad).endpoints(list).upstream(OFTEN));
    becomes(&proxy, 0, "unhealthy");
    for _ in 0..10 {
        assert_eq!(proxy.get("/").status, 200);
    }
    let seen = bad.requests();
    assert!(seen.iter().all(|request| request.target() == "/healthz"));
    assert_eq!(seen[0].method(), "GET");
    assert_eq!(seen[0].header("host"), Some(&*bad.address().to_string()));
    let agent = seen[0].header("user-agent").unwrap();
    assert!(agent.starts_with("outrigger-health-check/"), "{agent}");
    let shown = proxy.admin("GET", "/upstreams/origin", "").json();
    assert_eq!(
        shown["endpoints"][0]["check"]["failure"],
        "it answers 500 Internal Server Error"
    );
    assert_eq!(
        shown["endpoints"][1]["check"]["failure"],
        serde_json::Value::Null
    );
    let failed = [("upstream", "origin"), ("result", "failed")];
    assert!(
        proxy
            .metrics()
            .sum("outrigger_health_checks_total", &failed)
            >= 1.0
    );
}

#[test]
fn an_endpoint_that_passes_again_is_used_again() {
    let origin = Origin::start()
        .on("/healthz", failing())
        .on("/healthz", Script::answer("fine"));
    let proxy = Proxy::with(&Setup::to(&origin).upstream(OFTEN));
    eventually(SOON, "it is asked again", || checks(&origin) >= 3);
    becomes(&proxy, 0, "available");
}

#[test]
fn a_port_that_accepts_is_enough_where_the_config_says_so() {
    let refusing = Refusing::bind();
    let check = "health_check = { tcp = true, interval = \"40ms\", healthy_after = 1 }";
    let proxy = Proxy::with(&Setup::to_address(refusing.address()).upstream(check));
    becomes(&proxy, 0, "unhealthy");
    let _origin = Origin::on_listener(refusing.listen());
    becomes(&proxy, 0, "available");
}

#[test]
fn a_grpc_server_is_asked_by_its_health_service() {
    let origin = H2Origin::start();
    origin.set_serving(false);
    let check = "health_check = { grpc = \"pay\", interval = \"40ms\", healthy_after = 1 }";
    let proxy = Proxy::with(&Setup::to_address(origin.address()).upstream(check));
    becomes(&proxy, 0, "unhealthy");
    origin.set_serving(true);
    becomes(&proxy, 0, "available");
    let seen = &origin.requests()[0];
    assert_eq!(
        (seen.method.as_str(), seen.path.as_str()),
        ("POST", "/grpc.health.v1.Health/Check")
    );
    assert_eq!(seen.headers["content-type"], "application/grpc");
}

#[test]
fn a_server_that_speaks_http2_is_asked_in_it() {
    let origin = H2Origin::start();
    let proxy = Proxy::with(
        &Setup::to_address(origin.address())
            .upstream("protocol = \"http2\"")
            .upstream(OFTEN),
    );
    eventually(SOON, "it is asked twice", || origin.requests().len() >= 2);
    assert_eq!(state(&proxy, 0), "available");
}

#[test]
fn a_check_takes_no_longer_than_it_may() {
    let origin = Origin::start().on("/healthz", Script::new().stall());
    let check = "health_check = { path = \"/healthz\", timeout = \"50ms\", interval = \"1h\" }";
    let proxy = Proxy::with(&Setup::to(&origin).upstream(check));
    becomes(&proxy, 0, "unhealthy");
    eventually(SOON, "its connection ends", || {
        origin.open_connections() == 0
    });
}

#[test]
fn when_no_endpoint_is_well_all_are_used() {
    let origin = Origin::start().on("/healthz", failing());
    let proxy = Proxy::with(&Setup::to(&origin).upstream(OFTEN));
    becomes(&proxy, 0, "unhealthy");
    assert_eq!(proxy.get("/").status, 200);
    let panics = proxy
        .metrics()
        .sum("outrigger_upstream_panics_total", &[("upstream", "origin")]);
    assert_eq!(panics, 1.0);
}

#[test]
fn a_reload_keeps_what_is_known_and_asks_by_the_new_settings_at_once() {
    let gate = Gate::new();
    let origin = Origin::start().on("/healthz", failing()).on(
        "/slow",
        Script::new().wait(&gate).answering("200 OK", "slow"),
    );
    let mut proxy = Proxy::with(&Setup::to(&origin).upstream(OFTEN));
    becomes(&proxy, 0, "unhealthy");
    // It holds on to the config under which it began.
    let mut slow = proxy.client();
    slow.send_request("GET", "/slow", &[], "");
    eventually(SOON, "the slow request arrives", || {
        origin.requests().iter().any(|r| r.target() == "/slow")
    });
    let seldom = "health_check = { path = \"/ready\", interval = \"1h\", healthy_after = 3 }";
    proxy.reload_with(Setup::to(&origin).upstream(seldom).toml());
    eventually(SOON, "the new question is asked", || {
        origin.requests().iter().any(|r| r.target() == "/ready")
    });
    assert_eq!(state(&proxy, 0), "unhealthy", "one pass is not enough");
    let asked = checks(&origin);
    stays(
        Duration::from_millis(200),
        "the old question is asked no more",
        || checks(&origin) <= asked + 1,
    );
    proxy.reload_with(Setup::to(&origin).toml());
    assert_eq!(state(&proxy, 0), "available", "nobody asks any more");
    gate.open();
    assert_eq!(slow.read_answer().text(), "slow");
}

#[test]
fn a_check_without_a_question_is_refused_in_its_place() {
    let origin = Origin::start();
    let mut proxy = Proxy::with(&Setup::to(&origin));
    let wrong = "health_check = { interval = \"1s\" }";
    let report = proxy.reload_refused(Setup::to(&origin).upstream(wrong).toml());
    assert!(report.contains("needs a question"), "{report}");
    assert!(report.contains(":6:16"), "{report}");
}
