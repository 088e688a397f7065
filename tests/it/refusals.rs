//! Answers that the proxy makes itself.

use crate::support::{H2Client, Origin, Proxy, Refusing, SOON, Script, Setup, eventually};

#[test]
fn a_refusal_is_a_problem_document_that_names_its_reason() {
    let origin = Origin::start();
    let proxy = Proxy::with(&Setup::to(&origin).route(r#"match = { path = "/only" }"#));
    let answer = proxy
        .client()
        .request("GET", "/other", &[("X-Request-Id", "id-1")], "");
    answer.assert_refused(404, "no_route");
    assert_eq!(
        answer.header("content-type"),
        Some("application/problem+json")
    );
    let problem = answer.json();
    assert_eq!(problem["type"], "about:blank");
    assert_eq!(problem["title"], "Not Found");
    assert_eq!(problem["status"], 404);
    assert_eq!(problem["reason"], "no_route");
    assert_eq!(problem["route"], "none", "as in the metrics");
    assert_eq!(problem["request_id"], "id-1");
    assert!(
        problem["detail"]
            .as_str()
            .is_some_and(|detail| !detail.is_empty())
    );
}

#[test]
fn a_failure_names_its_route_and_not_an_address() {
    let refusing = Refusing::bind();
    let address = refusing.address();
    let proxy = Proxy::with(&Setup::to_address(address));
    let answer = proxy.get("/");
    answer.assert_refused(502, "connect_failed");
    assert_eq!(answer.json()["route"], "all");
    assert_eq!(answer.json()["title"], "Bad Gateway");
    assert!(
        !answer.text().contains(&address.port().to_string()),
        "{}",
        answer.text()
    );
    assert!(!answer.text().contains("127.0.0.1"), "{}", answer.text());
}

#[test]
fn callers_from_outside_are_told_no_more_than_where_to_look() {
    let refusing = Refusing::bind();
    let terse = || Setup::to_address(refusing.address()).also("[log]\naccess_log = true");
    let mut proxy = Proxy::with(&terse().listener(r#"problem_detail = "terse""#));
    let is_terse = |status: u16, title: &str, body: &serde_json::Value| {
        let fields = body.as_object().unwrap();
        let names: Vec<_> = fields.keys().map(String::as_str).collect();
        assert_eq!(names, ["type", "title", "status", "request_id"]);
        assert_eq!(
            (&body["status"], &body["title"]),
            (&status.into(), &title.into())
        );
    };
    for (target, status, title) in [("/", 502, "Bad Gateway"), ("/%zz", 400, "Bad Request")] {
        let answer = proxy.get(target);
        assert_eq!(
            (answer.status, answer.header("outrigger-reason")),
            (status, None)
        );
        is_terse(status, title, &answer.json());
        let id = answer.json()["request_id"].as_str().unwrap().to_owned();
        eventually(SOON, "the log has the rest", || {
            let log = proxy.stdout();
            let line = log.lines().find(|line| line.contains(&id));
            line.is_some_and(|line| line.contains("\"outrigger.reason\""))
        });
    }
    // A head that is refused, and the other protocol.
    let answer = proxy
        .client()
        .request("GET", "/", &[("bad header", "1")], "");
    assert_eq!(
        (answer.status, answer.header("outrigger-reason")),
        (400, None)
    );
    is_terse(400, "Bad Request", &answer.json());
    let answer = H2Client::connect(proxy.address()).request("GET", "/", &[], "");
    assert_eq!(
        (answer.status, answer.header("outrigger-reason")),
        (502, None)
    );
    is_terse(
        502,
        "Bad Gateway",
        &serde_json::from_slice(&answer.body).unwrap(),
    );

    let call = [("content-type", "application/grpc")];
    let answer = H2Client::connect(proxy.address()).request("POST", "/a.B/C", &call, "");
    assert_eq!(answer.header("grpc-status"), Some("14"));
    assert_eq!(answer.header("outrigger-reason"), None);
    let id = answer.header("x-request-id").unwrap();
    assert_eq!(
        answer.header("grpc-message"),
        Some(&*format!("request {id} failed"))
    );

    proxy.reload_with(terse().toml());
    let answer = proxy.get("/");
    answer.assert_refused(502, "connect_failed");
    assert_eq!(answer.json()["route"], "all");
}

#[test]
fn a_refusal_of_head_has_no_body_and_leaves_the_connection_usable() {
    let origin = Origin::start();
    let proxy = Proxy::with(&Setup::to(&origin).route(r#"match = { path = "/only" }"#));
    let mut client = proxy.client();
    client
        .request("HEAD", "/other", &[], "")
        .assert_refused(404, "no_route");
    assert_eq!(client.get("/only").status, 200);
}

#[test]
fn a_refusal_reads_the_body_that_it_does_not_want() {
    let origin = Origin::start();
    let proxy = Proxy::with(&Setup::to(&origin).route(r#"match = { path = "/only" }"#));
    let mut client = proxy.client();
    client
        .request("POST", "/other", &[], "a small body")
        .assert_refused(404, "no_route");
    assert_eq!(client.get("/only").status, 200);
}

#[test]
fn a_refusal_reaches_a_caller_that_is_still_sending() {
    let origin = Origin::start();
    let proxy = Proxy::with(&Setup::to(&origin).route(r#"match = { path = "/only" }"#));
    let mut client = proxy.client();
    let body = vec![b'x'; 256 << 10];
    client.send(format!(
        "POST /other HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n",
        100 << 20
    ));
    client.send(body);
    client.read_answer().assert_refused(404, "no_route");
}

#[test]
fn callers_outside_the_allowed_networks_are_forbidden() {
    let origin = Origin::start();
    let proxy = Proxy::with(&Setup::to(&origin).route(r#"authorize = { cidrs = ["10.0.0.0/8"] }"#));
    proxy.get("/").assert_refused(403, "forbidden");
    assert_eq!(origin.connections(), 0);
    let proxy =
        Proxy::with(&Setup::to(&origin).route(r#"authorize = { cidrs = ["127.0.0.0/8"] }"#));
    assert_eq!(proxy.get("/").status, 200);
}

#[test]
fn refusals_are_counted_by_their_reason() {
    let origin = Origin::start().on("/reset", Script::new().reset());
    let proxy = Proxy::with(&Setup::to(&origin).route("retry = false"));
    proxy.get("/reset").assert_refused(502, "upstream_reset");
    let labels = [("route", "all"), ("reason", "upstream_reset")];
    assert_eq!(proxy.metrics().sum("outrigger_refused_total", &labels), 1.0);
}

#[test]
fn a_refusal_is_the_same_to_its_caller_in_the_log_and_in_the_metrics() {
    let origin = Origin::start();
    let down = Refusing::bind();
    let proxy = Proxy::with(
        &Setup::to(&origin)
            .route(r#"match = { path = "/all" }"#)
            .also(format!(
                r#"
            [log]
            access_log = true
            [upstreams.down]
            endpoints = ["{}"]
            [routes.down]
            match = {{ path = "/down", methods = ["GET"] }}
            upstream = "down"
            [routes.forbidden]
            match = {{ path = "/forbidden" }}
            respond = {{ status = 200 }}
            authorize = {{ cidrs = ["10.0.0.0/8"] }}
            [routes.small]
            match = {{ path = "/small" }}
            upstream = "origin"
            request = {{ body = [{{ remove = ["/a"] }}], max_body = "4B" }}
            "#,
                down.address()
            )),
    );
    let json = ("Content-Type", "application/json");
    for (method, path, status, reason, route) in [
        ("GET", "/none", 404, "no_route", None),
        ("GET", "/a%00", 400, "bad_path", None),
        ("POST", "/down", 405, "method_not_allowed", None),
        ("GET", "/down", 502, "connect_failed", Some("down")),
        ("GET", "/forbidden", 403, "forbidden", Some("forbidden")),
        ("POST", "/small", 413, "body_too_large", Some("small")),
    ] {
        let id = format!("id-{reason}");
        let fields = [json, ("X-Request-Id", &id)];
        let answer = proxy.client().request(method, path, &fields, "{\"a\": 1}");
        answer.assert_refused(status, reason);
        let problem = answer.json();
        assert_eq!(problem["reason"], reason);
        assert_eq!(problem["request_id"], *id);
        let mut line = serde_json::Value::Null;
        eventually(SOON, "the line is written", || {
            let log = proxy.stdout();
            let found = log.lines().find(|line| line.contains(&id));
            found.inspect(|found| line = serde_json::from_str(found).unwrap());
            found.is_some()
        });
        assert_eq!(line["http.response.status_code"], status);
        assert_eq!(line["outrigger.reason"], reason);
        assert_eq!(line["outrigger.detail"], problem["detail"]);
        assert_eq!(line["outrigger.request_id"], *id);
        let mut labels = vec![("reason", reason)];
        if let Some(route) = route {
            assert_eq!(problem["route"], route);
            assert_eq!(line["outrigger.route"], route);
            labels.push(("route", route));
        }
        let counted = proxy.metrics().sum("outrigger_refused_total", &labels);
        assert_eq!(counted, 1.0, "{reason}");
    }
}
