//! What operators see of a running proxy.

use crate::support::{Launch, Origin, Proxy, SOON, Script, Setup, eventually};

#[test]
fn every_endpoint_answers() {
    let origin = Origin::start();
    let proxy = Proxy::with(&Setup::to(&origin));
    for path in [
        "/livez",
        "/readyz",
        "/metrics",
        "/config",
        "/listeners",
        "/routes",
        "/routes/all",
        "/upstreams",
        "/upstreams/origin",
    ] {
        let answer = proxy.admin("GET", path, "");
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    }
    for path in ["/nothing", "/routes/nothing", "/upstreams/nothing"] {
        assert_eq!(proxy.admin("GET", path, "").status, 404, "{path}");
    }
}

#[test]
fn a_change_is_not_made_by_reading() {
    let origin = Origin::start();
    let mut proxy = Proxy::with(&Setup::to(&origin));
    for path in ["/reload", "/drain", "/quit"] {
        let answer = proxy.admin("GET", path, "");
        assert_eq!(answer.status, 405, "{path}");
        assert!(answer.header("allow").is_some(), "{path}");
    }
    assert!(proxy.exited().is_none());
    assert!(proxy.is_ready());
}

#[test]
fn the_effective_config_shows_its_defaults_and_its_generation() {
    let origin = Origin::start();
    let proxy = Proxy::with(&Setup::to(&origin));
    let config = proxy.config();
    assert!(
        config["generation"]
            .as_u64()
            .is_some_and(|generation| generation >= 1),
        "{config}"
    );
    assert!(config["hash"].as_str().is_some_and(|hash| !hash.is_empty()));
    assert!(config["loaded_at"].is_string());
    assert!(config["last_error"].is_null());
    let in_force = &config["config"];
    assert!(in_force["process"]["workers"].is_u64(), "{config}");
    assert_eq!(in_force["log"]["format"], "json");
    assert_eq!(in_force["listeners"]["main"]["forwarded_headers"], "pass");
    assert_eq!(in_force["routes"]["all"]["deadline"], "none");
    let text = config.to_string();
    for default in ["header_timeout", "max_in_flight", "drain_timeout"] {
        assert!(text.contains(default), "{default}: {text}");
    }
}

#[test]
fn routes_and_upstreams_describe_themselves() {
    let origin = Origin::start();
    let proxy = Proxy::with(&Setup::to(&origin));
    proxy.get("/");
    let routes = proxy.admin("GET", "/routes", "").text();
    assert!(routes.contains("\"all\""), "{routes}");
    let upstream = proxy.admin("GET", "/upstreams/origin", "").text();
    assert!(
        upstream.contains(&origin.address().to_string()),
        "{upstream}"
    );
}

#[test]
fn a_request_from_a_web_page_elsewhere_is_refused() {
    let origin = Origin::start();
    let proxy = Launch::new(Setup::to(&origin).toml())
        .admin_on_tcp()
        .start();
    let status = |headers: &[(&str, &str)]| {
        proxy
            .admin_client()
            .request("GET", "/config", headers, "")
            .status
    };
    // DNS rebinding: the name is the attacker's, the address ours.
    assert_eq!(status(&[("Host", "attacker.example")]), 403);
    assert_eq!(status(&[("Host", "localhost.attacker.example")]), 403);
    assert_eq!(status(&[("Origin", "http://attacker.example")]), 403);
    assert_eq!(status(&[("Origin", "null")]), 403);
    assert_eq!(status(&[("Host", "127.0.0.1")]), 200);
    assert_eq!(status(&[("Host", "localhost:1234")]), 200);
    let answer = proxy.admin_client().request(
        "POST",
        "/quit",
        &[("Origin", "http://attacker.example")],
        "",
    );
    assert_eq!(answer.status, 403);
    assert!(proxy.is_ready());
}

#[test]
fn the_probes_have_a_door_of_their_own_and_nothing_else_behind_it() {
    let origin = Origin::start();
    let proxy = Launch::new(Setup::to(&origin).toml()).probes().start();
    let status = |method: &str, path: &str| {
        // Kubelet and Prometheus come by the pod's address.
        proxy
            .probe_client()
            .request(method, path, &[("Host", "10.1.2.3:15021")], "")
            .status
    };
    for path in ["/livez", "/readyz", "/metrics"] {
        assert_eq!(status("GET", path), 200, "{path}");
    }
    for path in ["/", "/config", "/routes", "/upstreams", "/listeners"] {
        assert_eq!(status("GET", path), 404, "{path}");
    }
    for path in ["/quit", "/drain", "/reload"] {
        assert!(matches!(status("POST", path), 404 | 405), "{path}");
    }
}

#[test]
fn the_metrics_have_the_names_of_the_contract() {
    let origin = Origin::start();
    let mut proxy = Proxy::with(&Setup::to(&origin).route(r#"match = { path = "/{*rest}" }"#));
    proxy.client().request("POST", "/", &[], "hello");
    proxy.client().request("GET", "/", &[("Host", "")], "");
    proxy.reload_with(
        Setup::to(&origin)
            .route(r#"match = { path = "/only" }"#)
            .toml(),
    );
    proxy.get("/refused").assert_refused(404, "no_route");
    let metrics = proxy.metrics();
    for name in [
        "requests_total",
        "request_duration_seconds",
        "requests_in_flight",
        "request_bytes_total",
        "response_bytes_total",
        "refused_total",
        "upstream_requests_total",
        "upstream_request_duration_seconds",
        "upstream_connections",
        "upstream_connects_total",
        "upstream_endpoints",
        "config_reloads_total",
        "config_generation",
        "config_last_reload_successful",
        "config_last_reload_timestamp_seconds",
        "downstream_connections",
        "log_lines_dropped_total",
        "build_info",
    ] {
        assert!(
            metrics.has(&format!("outrigger_{name}")),
            "outrigger_{name}"
        );
    }
    for name in [
        "process_cpu_seconds_total",
        "process_resident_memory_bytes",
        "process_open_fds",
        "process_start_time_seconds",
    ] {
        assert!(metrics.has(name), "{name}");
    }
}

#[test]
fn a_request_is_counted_once_with_its_bytes_and_status() {
    let origin = Origin::start().on("/teapot", Script::new().answering("418 Teapot", "short"));
    let proxy = Proxy::with(&Setup::to(&origin));
    proxy
        .client()
        .request("POST", "/teapot", &[], "hello, world");
    let labels = [("listener", "main"), ("route", "all"), ("code", "418")];
    eventually(SOON, "the request is counted", || {
        proxy.metrics().sum("outrigger_requests_total", &labels) == 1.0
    });
    let metrics = proxy.metrics();
    let route = [("route", "all")];
    assert_eq!(metrics.sum("outrigger_request_bytes_total", &route), 12.0);
    assert_eq!(metrics.sum("outrigger_response_bytes_total", &route), 5.0);
    assert_eq!(
        metrics.sum("outrigger_request_duration_seconds_count", &route),
        1.0
    );
    assert_eq!(metrics.sum("outrigger_requests_in_flight", &route), 0.0);
}

#[test]
fn no_label_comes_from_a_caller() {
    let origin = Origin::start();
    let proxy = Proxy::with(&Setup::to(&origin).route(r#"match = { path = "/only" }"#));
    for number in 0..5 {
        let method = format!("METHOD{number}");
        proxy.client().request(
            &method,
            "/marker-path",
            &[("Host", "marker-host"), ("X-Request-Id", "marker-id")],
            "",
        );
    }
    let metrics = proxy.metrics();
    for value in metrics.label_values() {
        assert!(
            !value.contains("marker") && !value.contains("METHOD"),
            "{value}"
        );
    }
}

#[test]
fn the_access_log_has_a_line_for_each_request_and_no_secrets() {
    let origin = Origin::start();
    let proxy = Proxy::with(&Setup::to(&origin).also("[log]\naccess_log = true\n"));
    let headers = [
        ("Authorization", "Bearer marker-a"),
        ("Cookie", "s=marker-b"),
        ("X-Request-Id", "id-1"),
    ];
    proxy
        .client()
        .request("GET", "/path?token=marker-c", &headers, "");
    eventually(SOON, "the line is written", || {
        proxy.stdout().contains("id-1")
    });
    let output = proxy.stdout();
    let line = output.lines().find(|line| line.contains("id-1")).unwrap();
    let entry: serde_json::Value = serde_json::from_str(line).unwrap();
    assert_eq!(entry["http.request.method"], "GET");
    assert_eq!(entry["url.path"], "/path");
    assert_eq!(entry["http.response.status_code"], 200);
    assert_eq!(entry["outrigger.route"], "all");
    assert!(!proxy.log().contains("marker-"), "{}", proxy.log());
}

#[test]
fn the_log_level_changes_without_a_restart() {
    let origin = Origin::start();
    let proxy = Proxy::with(&Setup::to(&origin));
    let answer = proxy.admin("PUT", "/log-level", "debug");
    assert!((200..300).contains(&answer.status), "{}", answer.text());
    assert_eq!(proxy.admin("PUT", "/log-level", "shout").status, 400);
    let level = proxy.admin("GET", "/log-level", "").json();
    assert_eq!(level["level"], "debug");
    assert_eq!(proxy.config()["config"]["log"]["level"], "debug");
    assert_eq!(proxy.get("/").status, 200);
}

#[test]
fn a_config_that_cannot_serve_is_reported_and_not_started() {
    let exited = Launch::new("[listeners.main]\nlisten = \"127.0.0.1:0\"\nviaa = true\n")
        .try_start()
        .err()
        .expect("it does not start");
    assert_eq!(exited.code, Some(2));
    assert!(exited.output.contains("main.toml:3:1"), "{}", exited.output);
    assert!(exited.output.contains("via"), "{}", exited.output);
}

#[test]
fn an_address_that_is_taken_is_a_failure_at_run_time() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let toml = format!(
        "[listeners.main]\nlisten = \"{address}\"\n[routes.all]\nrespond = {{ status = 200 }}\n"
    );
    let exited = Launch::new(toml)
        .try_start()
        .err()
        .expect("it does not start");
    assert_eq!(exited.code, Some(1), "{}", exited.output);
    assert!(
        exited.output.contains(&address.to_string()),
        "{}",
        exited.output
    );
}
