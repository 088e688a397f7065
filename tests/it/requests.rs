//! `GET /requests`: why a request failed or took long, step by step.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Gate, Launch, Origin, Proxy, Refusing, SOON, Script, Setup, eventually};

/// What is shown of the newest request of that id, once it has ended.
fn shown(proxy: &Proxy, id: &str) -> Value {
    eventually(SOON, "the request is remembered", || {
        proxy.admin("GET", &format!("/requests/{id}"), "").status == 200
    });
    proxy.admin("GET", &format!("/requests/{id}"), "").json()
}

fn ask(proxy: &Proxy, target: &str, id: &str) -> u16 {
    let fields = [("x-request-id", id), ("authorization", "Bearer s3cret")];
    let answer = proxy.client().request("GET", target, &fields, "");
    answer.status
}

fn found(proxy: &Proxy, query: &str) -> Vec<Value> {
    let found = proxy.admin("GET", &format!("/requests?{query}"), "").json();
    found.as_array().unwrap().clone()
}

#[test]
fn a_hanging_endpoint_of_several_is_named_with_the_time_of_each_phase() {
    let hanging = Origin::start().otherwise(Script::new().stall());
    let failing = Origin::start().otherwise(Script::new().answering("503 No", ""));
    let setup = Setup::to(&hanging)
        .endpoints(format!(
            "[\"{}\", \"{}\"]",
            hanging.address(),
            failing.address()
        ))
        .upstream("balancer = \"round-robin\"")
        .route("match = { path = \"/{*rest}\" }")
        .route("retry = { attempts = 1, per_try_timeout = \"200ms\", on = [\"503\", \"504\"] }");
    let proxy = Proxy::with(&setup);
    let status = ask(&proxy, "/where/is/it?token=s3cret", "lost");
    assert!([503, 504].contains(&status), "{status}");
    let one = shown(&proxy, "lost");
    assert_eq!(one["route"], "all", "{one}");
    assert_eq!(one["listener"], "main");
    assert_eq!(
        (&one["method"], &one["path"]),
        (&json!("GET"), &json!("/where/is/it"))
    );
    assert_eq!(
        (&one["failed"], &one["slow"]),
        (&json!(true), &json!(false))
    );
    let attempts = one["attempts"].as_array().unwrap();
    assert_eq!(attempts.len(), 2, "{one}");
    let at = |origin: &Origin| {
        let address = json!(origin.address().to_string());
        let mut attempts = attempts.iter();
        attempts.find(|one| one["endpoint"] == address).unwrap()
    };
    let (hung, failed) = (at(&hanging), at(&failing));
    assert_eq!(hung["outcome"], "timeout", "{one}");
    let waited = hung["phases"]["first_byte"].as_f64().unwrap();
    assert!((0.15..5.0).contains(&waited), "{one}");
    assert!(hung["phases"]["connect"].as_f64().unwrap() < 1.0, "{one}");
    assert_eq!(hung["phases"]["tls"], Value::Null);
    assert_eq!(failed["outcome"], "503", "{one}");
    let acts = one["policies"].as_array().unwrap();
    let did: Vec<&str> = acts.iter().filter_map(|act| act["did"].as_str()).collect();
    assert!(
        did.iter()
            .any(|did| did.starts_with("sends it again after")),
        "{one}"
    );
    assert!(
        did.iter().any(|did| did.contains("per_try_timeout")),
        "{one}"
    );
    assert!(!one.to_string().contains("s3cret"), "{one}");
}

#[test]
fn whatever_fails_is_found_by_its_reason() {
    let cut = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc";
    let origin = Origin::start()
        .on("/cut", Script::new().send(cut).close())
        .on("/slow", Script::new().stall())
        .on("/missing", Script::new().answering("404 No", ""));
    let refusing = Refusing::bind();
    let setup = Setup::to(&origin)
        .route("match = { path = \"/{*rest}\" }")
        .route("timeout = \"100ms\"")
        .also(format!("[upstreams.dead]\nendpoints = [\"{}\"]",
            refusing.address()))
        .also("[routes.dead]\nmatch = { path = \"/dead\" }\nupstream = \"dead\"")
        .also("[routes.closed]\nmatch = { path = \"/closed\" }\nrespond = {}\nauthorize = { cidrs = [\"192.0.2.0/24\"] }");
    let proxy = Proxy::with(&setup);
    assert_eq!(ask(&proxy, "/fine", "fine"), 200);
    assert_eq!(ask(&proxy, "/missing", "missing"), 404);
    assert_eq!(ask(&proxy, "/slow", "slow"), 504);
    assert_eq!(ask(&proxy, "/dead", "dead"), 502);
    assert_eq!(ask(&proxy, "/closed", "closed"), 403);
    assert_eq!(ask(&proxy, "/%2f", "bad"), 400);
    let mut client = proxy.client();
    client.send_request("GET", "/cut", &[("x-request-id", "cut")], "");
    assert!(client.try_answer().is_err());
    let mut client = proxy.client();
    client.send("GET /half HTTP/1.1\r\nx-request-id: half\r\nbad header: 1\r\n\r\n");
    assert_eq!(client.read_answer().status, 400);
    eventually(SOON, "all that failed is remembered", || {
        found(&proxy, "").len() == 7
    });
    for (query, ids) in [
        ("reason=upstream_timeout", ["slow"].as_slice()),
        ("reason=timeout", &["slow"]),
        ("reason=connect_failed", &["dead"]),
        ("route=dead", &["dead"]),
        ("reason=forbidden", &["closed"]),
        ("reason=404", &["missing"]),
        ("reason=upstream_reset", &["cut"]),
        ("route=none&reason=bad_request", &["half"]),
        ("route=none&reason=bad_path", &["bad"]),
        ("slow=true", &[]),
    ] {
        let found = found(&proxy, query);
        let found: Vec<&str> = found
            .iter()
            .filter_map(|one| one["request_id"].as_str())
            .collect();
        assert_eq!(found, ids, "{query}");
    }
    let dead = shown(&proxy, "dead");
    let endpoint = json!(refusing.address().to_string());
    assert_eq!(
        (&dead["endpoint"], &dead["upstream"]),
        (&endpoint, &json!("dead"))
    );
    let attempt = &dead["attempts"][0];
    assert_eq!(
        (&attempt["outcome"], &attempt["endpoint"]),
        (&json!("connect_failed"), &endpoint)
    );
    assert!(attempt["phases"]["first_byte"].is_null(), "{dead}");
    assert!(
        dead["cause"].as_str().unwrap().contains("refused"),
        "{dead}"
    );
    let cut = shown(&proxy, "cut");
    assert_eq!(cut["endpoint"], origin.address().to_string(), "{cut}");
    assert!(cut["body_seconds"].is_f64(), "{cut}");
    let slow = shown(&proxy, "slow");
    let did = slow["policies"][0]["did"].as_str().unwrap();
    assert_eq!(did, "waits no longer than 100ms for an answer");
    assert_eq!(shown(&proxy, "half")["path"], "/half");
}

#[test]
fn what_takes_long_is_remembered_with_where_it_did() {
    let gate = Gate::new();
    let late = Script::new().wait(&gate).answering("200 OK", "late");
    let origin = Origin::start().on("/late", late);
    let setup = Setup::to(&origin).route("match = { path = \"/{*rest}\" }");
    let launch = Launch::new(setup.toml()).admin_line("slow_request = \"20ms\"");
    let mut proxy = launch.start();
    let mut client = proxy.client();
    let begun = Instant::now();
    client.send_request("GET", "/late", &[("x-request-id", "late")], "");
    eventually(SOON, "it is late", || {
        origin.requests().len() == 1 && begun.elapsed() > Duration::from_millis(100)
    });
    gate.open();
    assert_eq!(client.read_answer().status, 200);
    let late = shown(&proxy, "late");
    assert_eq!(
        (&late["failed"], &late["slow"]),
        (&json!(false), &json!(true))
    );
    assert_eq!(late["attempts"][0]["outcome"], "200", "{late}");
    assert_eq!(
        late["attempts"][0]["endpoint"],
        origin.address().to_string()
    );
    let waited = late["attempts"][0]["phases"]["first_byte"].as_f64();
    assert!(waited.unwrap() >= 0.02, "{late}");
    assert!(late["head_seconds"].as_f64().unwrap() >= 0.02, "{late}");
    // What is remembered outlives a reload.
    proxy.reload_with(setup.upstream("max_in_flight = 7").toml());
    assert_eq!(shown(&proxy, "late")["request_id"], "late");
}
