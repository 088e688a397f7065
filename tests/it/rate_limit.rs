//! Requests over a limit are refused, and told when to come back.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::support::{Client, H2Client, Origin, Proxy, Setup};

const LIMITED: &str = "outrigger_rate_limited_total";

fn limited(origin: &Origin, limit: &str) -> Setup {
    Setup::to(origin).route(format!("rate_limit = {limit}"))
}

/// How many of so many requests with these headers are granted.
fn granted(proxy: &Proxy, requests: usize, headers: &[(&str, &str)]) -> usize {
    let mut client = proxy.client();
    (0..requests)
        .filter(|_| client.request("GET", "/", headers, "").status == 200)
        .count()
}

#[test]
fn a_refusal_says_what_was_granted_and_when_to_come_back() {
    let origin = Origin::start();
    let proxy = Proxy::with(&limited(&origin, r#"{ requests = 2, per = "1h" }"#));
    let mut client = proxy.client();
    for _ in 0..2 {
        let answer = client.get("/");
        assert_eq!(answer.status, 200);
        assert_eq!(answer.head.get("ratelimit"), None);
    }
    let refused = client.get("/");
    refused.assert_refused(429, "rate_limited");
    assert_eq!(refused.head.get("retry-after"), Some("1800"));
    assert_eq!(refused.head.get("ratelimit"), Some("\"route\";r=0;t=3600"));
    assert_eq!(
        refused.head.get("ratelimit-policy"),
        Some("\"route\";q=2;w=3600")
    );
    assert_eq!(client.get("/").status, 429, "the connection goes on");
    assert_eq!(origin.requests().len(), 2);
    assert_eq!(proxy.metrics().sum(LIMITED, &[("route", "all")]), 2.0);
}

#[test]
fn a_grpc_caller_reads_it_from_its_status() {
    let origin = Origin::start();
    let proxy = Proxy::with(&limited(&origin, r#"{ requests = 1, per = "1h" }"#));
    let client = H2Client::connect(proxy.address());
    let grpc = [("content-type", "application/grpc")];
    client.get("/");
    let refused = client.request("POST", "/a.B/C", &grpc, "");
    assert_eq!((refused.status, refused.grpc_status()), (200, Some("8")));
    assert_eq!(refused.header("retry-after"), Some("3600"));
}

#[test]
fn a_route_s_own_word_turns_the_default_off() {
    let origin = Origin::start();
    let proxy = Proxy::with(
        &limited(&origin, "false")
            .also("[defaults]\nrate_limit = { requests = 1, per = \"1h\" }\n"),
    );
    assert_eq!(granted(&proxy, 5, &[]), 5);
}

#[test]
fn callers_behind_a_trusted_proxy_are_told_apart() {
    let origin = Origin::start();
    let limit = r#"{ requests = 2, per = "1h", key = "client-ip" }"#;
    let proxy =
        Proxy::with(&limited(&origin, limit).listener(r#"trusted_proxies = ["127.0.0.0/8"]"#));
    let calls = |ip| granted(&proxy, 5, &[("x-forwarded-for", ip)]);
    assert_eq!(calls("192.0.2.1"), 2);
    assert_eq!(calls("192.0.2.2"), 2);
    assert_eq!(calls("10.0.0.1, 192.0.2.1"), 0);
    assert_eq!(granted(&proxy, 5, &[]), 2, "the proxy itself");
}

#[test]
fn all_limits_of_a_list_hold_and_a_shadow_only_counts() {
    let origin = Origin::start();
    let list = r#"[
        { requests = 3, per = "1h", key = "header:x-user", headers = true },
        { requests = 4, per = "1h" },
        { requests = 1, per = "1h", shadow = true },
    ]"#;
    let proxy = Proxy::with(&limited(&origin, list));
    let first = proxy.client().request("GET", "/", &[("x-user", "ann")], "");
    assert_eq!(
        first.head.get("ratelimit"),
        Some("\"header:x-user\";r=2;t=1200")
    );
    assert_eq!(granted(&proxy, 5, &[("x-user", "ann")]), 2);
    assert_eq!(granted(&proxy, 5, &[("x-user", "bob")]), 1);
    let metrics = proxy.metrics();
    let refused = [("route", "all"), ("reason", "rate_limited")];
    assert_eq!(metrics.sum("outrigger_refused_total", &refused), 7.0);
    assert_eq!(metrics.sum(LIMITED, &[("route", "all")]), 10.0);
    let state = &proxy.admin("GET", "/routes/all", "").json()["state"]["rate_limit"];
    assert_eq!(state[0]["keys"], 2);
    assert_eq!(state[1]["left"], 0);
}

#[test]
fn new_limits_apply_at_once_to_what_was_spent() {
    let origin = Origin::start();
    let limit = |text| limited(&origin, text).toml();
    let mut proxy = Proxy::start(&limit(r#"{ requests = 5, per = "1h" }"#));
    assert_eq!(granted(&proxy, 3, &[]), 3);
    // Something else changes: nothing is granted anew.
    proxy.reload_with(limit(r#"{ requests = 5, per = "1h" }"#) + "\n[log]\nlevel = \"warn\"\n");
    assert_eq!(granted(&proxy, 9, &[]), 2);
    proxy.reload_with(limit(r#"{ requests = 7, per = "1h" }"#));
    assert_eq!(granted(&proxy, 9, &[]), 2, "seven, of which five are spent");
    proxy.reload_with(limit(r#"{ requests = 1, per = "1h" }"#));
    assert_eq!(granted(&proxy, 3, &[]), 0);
    proxy.reload_refused(limit(r#"{ requests = 900, per = "1h", burst = 0 }"#));
    assert_eq!(granted(&proxy, 3, &[]), 0);
}

#[test]
fn a_bad_limit_is_reported_at_its_place() {
    let origin = Origin::start();
    let mut proxy = Proxy::with(&Setup::to(&origin));
    for (limit, says) in [
        (r#"{ requests = 0 }"#, "a whole number from 1"),
        (r#"{ requests = 1, per = "0s" }"#, "at least"),
        (r#"{ requests = 1, key = "ip" }"#, "`ip` is not a key"),
        (r#"{ requests = 1, key = "jwt:sub" }"#, "has no `jwt`"),
        (r#"{ requests = 1, brust = 2 }"#, "did you mean `burst`?"),
        ("[]", "limits nothing"),
    ] {
        let error = proxy.reload_refused(limited(&origin, limit).toml());
        let error = error.replace("\\\"", "\"");
        assert!(error.contains(says), "{limit}: {error}");
        assert!(error.contains("main.toml:9:"), "{error}");
        assert!(error.contains(&format!("rate_limit = {limit}")), "{error}");
    }
}

/// 64 connections over two workers, each asking as fast as it can.
#[test]
fn a_crowd_on_two_workers_gets_what_is_granted_and_no_more() {
    let proxy = Proxy::start(
        "[listeners.main]\nlisten = \"127.0.0.1:0\"\n[routes.all]\nrespond = { body = \"x\" }\n\
         rate_limit = { requests = 200, per = \"1s\", burst = 100 }\n",
    );
    let (address, admitted) = (proxy.address(), AtomicUsize::new(0));
    let began = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..64 {
            scope.spawn(|| {
                let mut client = Client::tcp(address);
                while began.elapsed() < Duration::from_secs(2) {
                    match client.get("/").status {
                        200 => admitted.fetch_add(1, Ordering::Relaxed),
                        status => {
                            assert_eq!(status, 429);
                            0
                        }
                    };
                }
            });
        }
    });
    // Between the first request and the last answer, so it may only be too large.
    let may = 100.0 + 200.0 * began.elapsed().as_secs_f64();
    let admitted = admitted.into_inner() as f64;
    assert!(admitted <= may, "{admitted} of {may}");
    assert!(
        admitted >= 490.0,
        "{admitted}: the crowd came for two seconds"
    );
}
