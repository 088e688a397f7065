//! The block, and an upstream over a reload.

use super::fake::{Names, request};
use super::*;
use crate::http::error::NO_HEALTHY_ENDPOINT;
use crate::value::problem::Severity;
use tokio::time::Instant;

fn config(text: &str) -> Config {
    toml::from_str(text).unwrap()
}

fn problems(text: &str) -> Vec<String> {
    let mut problems = Problems::default();
    config(text).check(&mut problems);
    let problems = problems.into_vec();
    assert!(problems.iter().all(|p| p.severity == Severity::Error));
    let shown = problems
        .iter()
        .map(|p| format!("{}: {}", p.at.join("."), p.message));
    shown.collect()
}

fn next(text: &str, old: Option<&Arc<Upstream>>) -> Arc<Upstream> {
    let resolver: Arc<dyn Resolve> = Arc::new(Names::default());
    let checked = Checked::new(config(text), None).unwrap();
    Upstream::next(&"app".parse().unwrap(), &checked, old, &resolver)
}

fn endpoints(upstream: &Upstream) -> Vec<Arc<Endpoint>> {
    let list = upstream.follower.set().load();
    list.entries().iter().map(|e| e.endpoint.clone()).collect()
}

#[test]
fn a_good_block_has_no_problems() {
    let text = r#"
        endpoints = ["app:80", { address = "10.0.0.1:80", weight = 1000 }, "unix:/run/a.sock"]
        balancer = { hash = "cookie:sid" }
    "#;
    assert_eq!(problems(text), [""; 0]);
    assert_eq!(
        problems(
            r#"endpoints = ["_http._tcp.app"]
        discovery = "srv""#
        ),
        [""; 0]
    );
}

#[test]
fn all_problems_are_found_in_their_places() {
    let found = problems(
        r#"
        endpoints = ["app", "b:80", { address = "c:80", weight = 0 }, "b:80", { address = "d:80", weight = 1001 }]
        connect_timeout = "0s"
        max_in_flight = 0
        outlier_detection = { consecutive_failures = 0, ejection = "0s", max_ejected_percent = 101 }
        pool = { max_connections = 0, max_pending = 0 }
        "#,
    );
    let expected = [
        "endpoints.0: `app` has no port",
        "endpoints.2.weight: must be from 1 to 1000",
        "endpoints.3: `b:80` is named twice",
        "endpoints.4.weight: must be",
        "connect_timeout: must be",
        "pool.max_connections: must be",
        "pool.max_pending: must be",
        "max_in_flight: must be",
        "outlier_detection.consecutive_failures: must be",
        "outlier_detection.ejection: must be",
        "outlier_detection.max_ejected_percent: must be",
    ];
    assert_eq!(found.len(), expected.len(), "{found:?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.starts_with(expected), "{found}");
    }
    assert_eq!(problems("endpoints = []").len(), 1);
}

#[tokio::test]
async fn limits_are_new_and_facts_are_old_after_a_reload() {
    let old = next("endpoints = [\"10.0.0.1:80\"]\nmax_in_flight = 2", None);
    let _admitted = old.admit().unwrap();
    let attempt = old.pick(&request(), None).unwrap();
    let endpoint = attempt.endpoint();

    let new = next(
        "endpoints = [\"10.0.0.1:80\", \"10.0.0.2:80\"]\nmax_in_flight = 1",
        Some(&old),
    );
    assert_eq!(
        new.admit().err().map(|e| e.reason().name),
        Some("overloaded")
    );
    assert!(Arc::ptr_eq(endpoint, &endpoints(&new)[0]));
    assert!(old.admit().is_ok());
    assert_eq!(endpoints(&old).len(), 1);
}

#[tokio::test]
async fn the_same_endpoints_go_on_being_followed() {
    let old = next("endpoints = [\"10.0.0.1:80\"]", None);
    let same = next(
        "endpoints = [\"10.0.0.1:80\"]\nmax_in_flight = 7",
        Some(&old),
    );
    assert!(Arc::ptr_eq(&old.follower, &same.follower));
}

#[tokio::test(start_paused = true)]
async fn a_name_without_addresses_is_no_healthy_endpoint() {
    let upstream = next("endpoints = [\"nobody:80\"]", None);
    upstream.ready().await;
    let error = upstream.pick(&request(), None).unwrap_err();
    assert_eq!(error.reason(), NO_HEALTHY_ENDPOINT);
    assert!(error.cause().unwrap().to_string().contains("no addresses"));
    assert!(!error.detail().contains("nobody"));
}

#[tokio::test]
async fn callers_are_told_apart_by_the_hash_key() {
    let endpoints: Vec<String> = (1..9).map(|last| format!("\"10.0.0.{last}:80\"")).collect();
    let upstream = next(
        &format!(
            "endpoints = [{}]\nbalancer = {{ hash = \"client-ip\" }}",
            endpoints.join(",")
        ),
        None,
    );
    let picked = |ip: &str| {
        let mut request = request();
        request.context.client = Some(ip.parse().unwrap());
        let attempt = upstream.pick(&request, None).unwrap();
        let endpoint = attempt.endpoint();
        endpoint.address.to_string()
    };
    let first = picked("192.0.2.1");
    assert!((0..50).all(|_| picked("192.0.2.1") == first));
    assert!((2..50).any(|last| picked(&format!("192.0.2.{last}")) != first));
}

#[tokio::test]
async fn it_describes_its_endpoints() {
    let upstream = next(
        "endpoints = [{ address = \"10.0.0.1:80\", weight = 3 }]",
        None,
    );
    let _admitted = upstream.admit().unwrap();
    let attempt = upstream.pick(&request(), None).unwrap();
    let endpoint = attempt.endpoint();
    endpoint.standing.eject(Instant::now(), 1);
    assert_eq!(
        upstream.describe(),
        serde_json::json!({
            "name": "app",
            "in_flight": 1,
            "max_in_flight": 1024,
            "balancer": "peak-ewma",
            "last_error": null,
            "endpoints": [{
                "name": "10.0.0.1:80",
                "address": "10.0.0.1:80",
                "weight": 3,
                "state": "ejected",
                "check": null,
                "failures": 0,
                "ejections": 1,
                "in_flight": 1,
                "requests": { "answered": 0, "failed": 0, "neither": 0 },
                "latency_seconds": null,
                "penalty_seconds": null,
                "last_error": null,
                "connections": { "open": 0, "idle": 0 },
            }],
        })
    );
}

#[tokio::test]
async fn every_unix_endpoint_has_a_series_of_its_own() {
    let text = "endpoints = [\"unix:/run/a.sock\", \"unix:/run/\\\"b\\\\.sock\", \"10.0.0.1:80\"]";
    let upstream = next(text, None);
    let mut metrics = String::new();
    render_health([&upstream].into_iter(), &mut metrics);
    for endpoint in ["unix:/run/a.sock", r#"unix:/run/\"b\\.sock"#, "10.0.0.1:80"] {
        let line =
            format!("outrigger_endpoint_healthy{{upstream=\"app\",endpoint=\"{endpoint}\"}} 1");
        assert!(metrics.lines().any(|l| l == line), "{line} in {metrics}");
    }
}

#[tokio::test]
async fn what_became_of_requests_is_told_of_each_address_that_there_is() {
    let told = |upstream: &Arc<Upstream>| {
        let mut metrics = String::new();
        render_traffic([upstream].into_iter(), &mut metrics);
        metrics
    };
    let old = next("endpoints = [\"10.0.0.1:80\", \"10.0.0.2:80\"]", None);
    for Listed { endpoint, .. } in old.follower.set().load_full().entries() {
        endpoint.traffic.answered.one_more();
        endpoint.traffic.failed.one_more();
    }
    let line = |endpoint: &str, result: &str| {
        format!(
            "outrigger_endpoint_requests_total{{upstream=\"app\",endpoint=\"{endpoint}\",result=\"{result}\"}}"
        )
    };
    let metrics = told(&old);
    for (endpoint, result, count) in [
        ("10.0.0.1:80", "answered", 1),
        ("10.0.0.2:80", "failed", 1),
        ("10.0.0.2:80", "neither", 0),
    ] {
        let line = format!("{} {count}", line(endpoint, result));
        assert!(metrics.lines().any(|l| l == line), "{line} in {metrics}");
    }
    // An endpoint that stays goes on counting, and one that goes takes its series along.
    let new = next("endpoints = [\"10.0.0.2:80\"]", Some(&old));
    let metrics = told(&new);
    assert!(
        metrics.contains(&format!("{} 1", line("10.0.0.2:80", "answered"))),
        "{metrics}"
    );
    assert!(!metrics.contains("10.0.0.1"), "{metrics}");
}
