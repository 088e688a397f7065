//! `GET /stats` and `GET /reloads`: what a live view shows, and what the newest reloads did.

use serde_json::{Value, json};

use crate::support::{Origin, Proxy, SOON, Script, Setup, eventually};

fn got(proxy: &Proxy, path: &str) -> Value {
    let answer = proxy.admin("GET", path, "");
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

fn named<'a>(all: &'a Value, name: &str) -> &'a Value {
    let mut all = all.as_array().unwrap().iter();
    all.find(|one| one["name"] == name).unwrap()
}

#[test]
fn one_answer_tells_how_everything_is_doing_by_the_numbers_of_the_metrics() {
    let origin = Origin::start().on("/failing", Script::new().answering("503 No", "oh"));
    let setup = Setup::to(&origin)
        .route("match = { path = \"/{*rest}\" }\nretry = false")
        .route("circuit_breaker = { consecutive_failures = 3 }")
        .also("[routes.never]\nmatch = { path = \"/never\" }\nrespond = { status = 204 }")
        .also("authorize = { cidrs = [\"192.0.2.0/24\"] }");
    let proxy = Proxy::with(&setup);
    for path in ["/fine", "/failing", "/failing", "/failing", "/refused"] {
        proxy.get(path);
    }
    assert_eq!(proxy.get("/never").status, 403);
    eventually(SOON, "the requests are counted", || {
        let stats = got(&proxy, "/stats");
        let counted = |route| named(&stats["routes"], route)["requests"].clone();
        (counted("all"), counted("never")) == (json!(5), json!(1))
    });

    let stats = got(&proxy, "/stats");
    let all = named(&stats["routes"], "all");
    assert_eq!(
        (&all["target"], &all["in_flight"]),
        (&json!("upstream"), &json!(0))
    );
    assert_eq!(all["failures"], 4, "{all}");
    assert_eq!(all["statuses"], json!({ "200": 1, "503": 4 }));
    assert_eq!(all["refused"], json!({ "circuit_open": 1 }));
    assert_eq!(all["state"]["circuit_breaker"]["state"], "open");
    assert_eq!(all["needs"][0]["name"], "origin");
    assert!(all["p50_seconds"].as_f64().is_some() && all["p99_seconds"].as_f64().is_some());
    let never = named(&stats["routes"], "never");
    assert_eq!(
        (&never["target"], &never["refused"]),
        (&json!("respond"), &json!({ "forbidden": 1 }))
    );

    let metrics = proxy.metrics();
    let own = [("route", "all")];
    for (shown, metric) in [
        ("failures", "outrigger_requests_failed_total"),
        ("request_bytes", "outrigger_request_bytes_total"),
        ("response_bytes", "outrigger_response_bytes_total"),
        ("requests", "outrigger_request_duration_seconds_count"),
    ] {
        let counted = metrics.sum(metric, &own);
        assert_eq!(all[shown].as_f64(), Some(counted), "{metric}");
    }
    let buckets = all["duration_buckets"].as_array().unwrap();
    let bounds = stats["duration_bounds_seconds"].as_array().unwrap();
    assert_eq!(buckets.len(), bounds.len() + 1);
    let mut below = 0;
    for (bucket, bound) in buckets.iter().zip(bounds) {
        below += bucket.as_u64().unwrap();
        let bound = bound.as_f64().unwrap().to_string();
        let labels = [("route", "all"), ("le", &*bound)];
        let counted = metrics.sum("outrigger_request_duration_seconds_bucket", &labels);
        assert_eq!(counted, below as f64, "{bound}");
    }
    // Every counter of a route and of an upstream is there, with all its labels.
    for (kind, named) in [
        ("route", all),
        ("upstream", named(&stats["upstreams"], "origin")),
    ] {
        let name = named["name"].as_str().unwrap();
        for (metric, series) in named["counters"].as_object().unwrap() {
            for (labels, count) in series.as_object().unwrap() {
                let others = labels.split(',').filter_map(|one| one.split_once('='));
                let labels: Vec<_> = others.chain([(kind, name)]).collect();
                let counted = metrics.sum(metric, &labels);
                assert_eq!(count.as_f64(), Some(counted), "{metric} {labels:?}");
            }
        }
    }
    let asked =
        &named(&stats["upstreams"], "origin")["counters"]["outrigger_upstream_requests_total"];
    assert_eq!(asked["result=5xx"], 3, "{stats}");
    assert_eq!(
        named(&stats["listeners"], "main")["counters"]["outrigger_requests_total"]["route=all,code=200"],
        1
    );
}

#[test]
fn the_proxy_tells_what_it_serves_and_since_when() {
    let origin = Origin::start();
    let mut proxy = Proxy::with(&Setup::to(&origin));
    let first = got(&proxy, "/stats");
    assert_eq!(
        (&first["generation"], &first["draining"]),
        (&json!(1), &json!(false))
    );
    assert_eq!(first["last_reload"]["result"], "started");
    assert_eq!(first["unrouted"]["requests"], 0);
    for nothing in [
        "tcp_routes",
        "subscriptions",
        "relays",
        "brokers",
        "databases",
        "certificates",
        "tokens",
    ] {
        assert_eq!(first[nothing], json!([]), "{nothing}");
    }
    proxy.reload_with(Setup::to(&origin).route("timeout = \"9s\"").toml());
    let second = got(&proxy, "/stats");
    assert_eq!(second["generation"], 2);
    assert_ne!(second["hash"], first["hash"]);
    assert!(second["uptime_seconds"].as_f64() > first["uptime_seconds"].as_f64());
    proxy.admin("POST", "/drain", "");
    eventually(SOON, "it drains", || {
        got(&proxy, "/stats")["draining"] == true
    });
}

#[test]
fn a_reload_is_remembered_with_what_changed_or_why_it_was_refused() {
    let origin = Origin::start();
    let mut proxy = Proxy::with(&Setup::to(&origin));
    proxy.reload_with(Setup::to(&origin).route("timeout = \"9s\"").toml());
    proxy.reload_refused(Setup::to(&origin).route("tiemout = \"9s\"").toml());
    let reloads = got(&proxy, "/reloads");
    let results: Vec<_> = reloads
        .as_array()
        .unwrap()
        .iter()
        .map(|r| &r["result"])
        .collect();
    assert_eq!(results, ["refused", "applied", "started"]);
    let [refused, applied, started] = [0, 1, 2].map(|nth| &reloads[nth]);
    assert_eq!(
        (&refused["generation"], &applied["generation"]),
        (&json!(2), &json!(2))
    );
    assert_eq!(started["generation"], 1);
    assert!(
        refused["report"]
            .as_str()
            .unwrap()
            .contains("did you mean `timeout`?"),
        "{refused}"
    );
    let change = applied["changes"][0].as_str().unwrap();
    assert!(
        change.starts_with("~ routes.all.timeout: ") && change.contains("-> \"9s\""),
        "{change}"
    );
    assert!(
        change.ends_with(')') && change.contains(".toml:"),
        "{change}"
    );
    assert!(
        applied["summary"]
            .as_str()
            .unwrap()
            .contains("routes.all.timeout")
    );
    assert!(applied["at"].as_str().unwrap() > started["at"].as_str().unwrap());
}
