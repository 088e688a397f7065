//! Endpoints that fail requests are left out for a time.

use serde_json::Value;

use crate::support::{
    BlackHole, H2Client, H2Origin, Origin, Proxy, SOON, Script, Setup, eventually,
};

/// A proxy before both, which takes them in turn and sends nothing again.
fn before(bad: impl std::fmt::Display, good: &Origin, more: &str) -> Proxy {
    Proxy::with(&setup(bad, good, more))
}

fn setup(bad: impl std::fmt::Display, good: &Origin, more: &str) -> Setup {
    Setup::to(good)
        .endpoints(format!("[\"{bad}\", \"{}\"]", good.address()))
        .upstream("balancer = \"round-robin\"\nconnect_timeout = \"100ms\"")
        .upstream(more)
        .route("retry = false")
}

/// What the admin API says of the first endpoint.
fn first_endpoint(proxy: &Proxy) -> Value {
    proxy.admin("GET", "/upstreams/origin", "").json()["endpoints"][0].clone()
}

/// Calls until the first endpoint is ejected.
fn eject(proxy: &Proxy) {
    eventually(SOON, "the endpoint that fails is ejected", || {
        proxy.get("/");
        first_endpoint(proxy)["state"] == "ejected"
    });
}

fn failing(script: Script) -> (Origin, Origin) {
    (Origin::start().on("/", script), Origin::start())
}

#[test]
fn an_endpoint_that_answers_with_errors_is_left_out() {
    let (bad, good) = failing(Script::new().answering("500 Internal Server Error", ""));
    let proxy = before(bad.address(), &good, "");
    eject(&proxy);
    assert_eq!(bad.requests().len(), 5);
    for _ in 0..10 {
        assert_eq!(proxy.get("/").status, 200);
    }
    assert_eq!(bad.requests().len(), 5);
    let metrics = proxy.metrics();
    let upstream = ("upstream", "origin");
    let ejections = metrics.sum("outrigger_endpoint_ejections_total", &[upstream]);
    assert_eq!(ejections, 1.0);
    let ejected = [upstream, ("state", "ejected")];
    assert_eq!(metrics.sum("outrigger_upstream_endpoints", &ejected), 1.0);
    for (origin, healthy) in [(&bad, 0.0), (&good, 1.0)] {
        let name = origin.address().to_string();
        let labels = [upstream, ("endpoint", name.as_str())];
        let found = metrics.sum("outrigger_endpoint_healthy", &labels);
        assert_eq!(found, healthy, "{name}");
    }
}

#[test]
fn an_endpoint_that_breaks_its_answers_is_left_out() {
    for broken in [
        Script::new().reset(),
        Script::new()
            .send("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc")
            .close(),
        Script::new().send("nonsense\r\n\r\n").close(),
    ] {
        let (bad, good) = failing(broken);
        let proxy = before(bad.address(), &good, "");
        eventually(SOON, "the endpoint is ejected", || {
            let _cut = proxy
                .client()
                .send_request("GET", "/", &[], "")
                .try_answer();
            first_endpoint(&proxy)["state"] == "ejected"
        });
    }
}

#[test]
fn an_endpoint_that_cannot_be_reached_is_left_out() {
    let (hole, good) = (BlackHole::open(), Origin::start());
    eject(&before(hole.address(), &good, ""));
}

#[test]
fn an_endpoint_that_stalls_is_left_out_but_not_for_callers_who_go_away() {
    let (bad, good) = failing(Script::new().stall());
    let limits = "outlier_detection = { consecutive_failures = 2 }";
    let proxy = Proxy::with(&setup(bad.address(), &good, limits).route("timeout = \"300ms\""));
    for _ in 0..8 {
        let mut impatient = proxy.client();
        let before = bad.requests().len() + good.requests().len();
        impatient.send_request("GET", "/", &[], "");
        eventually(SOON, "the request arrives", || {
            bad.requests().len() + good.requests().len() > before
        });
        drop(impatient);
    }
    eventually(SOON, "the stalled requests end", || {
        bad.open_connections() == 0
    });
    assert_eq!(bad.requests().len(), 4);
    assert_eq!(first_endpoint(&proxy)["failures"], 0);
    eject(&proxy);
    assert_eq!(bad.requests().len(), 6);
}

#[test]
fn a_grpc_status_behind_the_messages_counts() {
    let origin = H2Origin::start();
    let setup = Setup::to_address(origin.address());
    let proxy = Proxy::with(
        &setup
            .upstream("protocol = \"http2\"")
            .route("retry = false"),
    );
    let client = H2Client::connect(proxy.address());
    let call = |path| {
        let answer = client.request("POST", path, &[("content-type", "application/grpc")], "ask");
        answer.grpc_status().map(str::to_owned)
    };
    for failures in 1..=2 {
        assert_eq!(call("/unavailable").as_deref(), Some("14"));
        let counted = || first_endpoint(&proxy)["failures"] == failures;
        eventually(SOON, "the status counts", counted);
    }
    assert_eq!(call("/").as_deref(), Some("0"));
    let forgiven = || first_endpoint(&proxy)["failures"] == 0;
    eventually(SOON, "an answer without a failure counts", forgiven);
}

#[test]
fn callers_in_a_hurry_do_not_eject_an_endpoint_for_the_others() {
    let (slow, good) = failing(Script::new().stall());
    let limits = "outlier_detection = { consecutive_failures = 1 }";
    let proxy = before(slow.address(), &good, limits);
    for _ in 0..4 {
        let hurried = [("x-request-timeout", "100ms")];
        proxy.client().request("GET", "/", &hurried, "");
    }
    assert_eq!(slow.requests().len(), 2);
    assert_eq!(first_endpoint(&proxy)["failures"], 0);
    assert_eq!(first_endpoint(&proxy)["state"], "available");
}

#[test]
fn an_ejected_endpoint_that_answers_again_is_used_again() {
    let error = || Script::new().answering("503 Service Unavailable", "");
    let good = Origin::start();
    let bad = Origin::start()
        .on("/", error())
        .on("/", error())
        .on("/", Script::answer("well again"));
    let limits = r#"outlier_detection = { consecutive_failures = 2, ejection = "100ms" }"#;
    let proxy = before(bad.address(), &good, limits);
    // Whoever looks at its state may come when it has served its time.
    eventually(SOON, "the endpoint has failed twice", || {
        proxy.get("/");
        bad.requests().len() == 2
    });
    eventually(SOON, "it is used again", || {
        proxy.get("/").text() == "well again"
    });
    assert_eq!(first_endpoint(&proxy)["state"], "available");
    let ejections = "outrigger_endpoint_ejections_total";
    assert_eq!(
        proxy.metrics().sum(ejections, &[("upstream", "origin")]),
        1.0
    );
}

#[test]
fn the_only_endpoint_is_never_ejected() {
    let bad = Origin::start().on(
        "/",
        Script::new().answering("500 Internal Server Error", "x"),
    );
    let proxy = Proxy::with(&Setup::to(&bad));
    for _ in 0..12 {
        assert_eq!(proxy.get("/").text(), "x");
    }
    assert_eq!(bad.requests().len(), 12);
}

#[test]
fn a_reload_keeps_who_is_ejected_and_applies_new_limits_at_once() {
    let (bad, good) = failing(Script::new().answering("500 Internal Server Error", ""));
    let mut proxy = before(bad.address(), &good, "");
    eject(&proxy);
    let longer = r#"outlier_detection = { ejection = "1h", max_ejection = "1h" }"#;
    proxy.reload_with(setup(bad.address(), &good, longer).toml());
    assert_eq!(first_endpoint(&proxy)["state"], "ejected");
    proxy.reload_with(setup(bad.address(), &good, "outlier_detection = false").toml());
    assert_eq!(first_endpoint(&proxy)["state"], "available");
    let served = bad.requests().len();
    eventually(SOON, "it is used again", || {
        proxy.get("/");
        bad.requests().len() > served
    });
}

#[test]
fn a_new_endpoint_warms_up() {
    let (old, new) = (Origin::start(), Origin::start());
    let slow = "balancer = \"round-robin\"\nslow_start = \"1h\"";
    let mut proxy = Proxy::with(&Setup::to(&old).upstream(slow));
    let both = format!("[\"{}\", \"{}\"]", old.address(), new.address());
    proxy.reload_with(Setup::to(&old).endpoints(both).upstream(slow).toml());
    let mut client = proxy.client();
    for _ in 0..400 {
        assert_eq!(client.get("/").status, 200);
    }
    let share = new.requests().len();
    // A tenth of its half is expected.
    assert!((1..80).contains(&share), "{share} of 400");
}

#[test]
fn limits_that_make_no_sense_are_refused_in_their_place() {
    let origin = Origin::start();
    let mut proxy = before("127.0.0.1:1", &origin, "");
    let wrong = r#"outlier_detection = { ejection = "10s", max_ejection = "1s" }"#;
    let report = proxy.reload_refused(setup("127.0.0.1:1", &origin, wrong).toml());
    assert!(
        report.contains("max_ejection is shorter than the first"),
        "{report}"
    );
    assert!(report.contains(":8:56"), "{report}");
}
