//! Routes that are looked at and executed by their names, on listeners that say so.

use serde_json::{Value, json};

use crate::support::pki::{Ask, Authority, put};
use crate::support::{
    Client, LIMIT, Launch, NatsServer, Origin, Proxy, Refusing, Response, SOON, Script, Setup,
    TlsClient, eventually,
};

/// A listener `main` without, and a listener `names` with integrations; everything below `/all` goes to the origin.
fn setup(origin: &Origin, integrations: &str) -> Setup {
    Setup::to(origin)
        .route("match = { path = \"/all/{*rest}\" }")
        .also(format!(
            "[listeners.names]\nlisten = \"127.0.0.1:0\"\nintegrations = {integrations}\n"
        ))
}

fn names(proxy: &Proxy) -> Client {
    let address = proxy.address_of("names").unwrap();
    Client::tcp(address.parse().unwrap())
}

fn get(proxy: &Proxy, path: &str) -> Response {
    names(proxy).get(path)
}

fn post(proxy: &Proxy, path: &str, document: &Value) -> Response {
    names(proxy).request("POST", path, &[], &document.to_string())
}

fn execute(proxy: &Proxy, route: &str, document: &Value) -> Response {
    post(proxy, &format!("/integrations/{route}/execute"), document)
}

#[test]
fn routes_are_listed_with_their_kind_and_their_health() {
    let origin = Origin::start();
    let setup =
        setup(&origin, "true").also("[routes.here]\nmatch = { path = \"/here\" }\nrespond = {}");
    let proxy = Proxy::with(&setup);
    let list = get(&proxy, "/integrations");
    assert_eq!(list.header("content-type"), Some("application/json"));
    assert_eq!(
        list.json(),
        json!([
            { "name": "all", "type": "upstream", "healthy": true },
            { "name": "here", "type": "respond", "healthy": true },
        ])
    );
    let health = get(&proxy, "/integrations/all/health").json();
    assert_eq!(
        (&health["healthy"], &health["parts"][0]["name"]),
        (&json!(true), &json!("origin"))
    );
    execute(&proxy, "here", &json!({}));
    eventually(SOON, "it is counted", || {
        get(&proxy, "/integrations/here/metrics").json()["requests"] == 1
    });
    // On no other listener.
    proxy.get("/integrations").assert_refused(404, "no_route");
}

#[test]
fn a_route_is_executed_with_what_it_is_asked() {
    let origin = Origin::start().on(
        "/all/missing",
        Script::new().answering("404 Not Found", "nothing"),
    );
    let proxy = Proxy::with(&setup(&origin, "true"));
    let document = json!({
        "method": "PUT",
        "headers": { "x-tenant": "acme" },
        "params": { "rest": "orders/7", "page": 2 },
        "body": { "total": 12 },
    });
    let answer = execute(&proxy, "all", &document);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let envelope = answer.json();
    assert_eq!(envelope["success"], true);
    assert_eq!(envelope["status_code"], 200);
    assert_eq!(
        envelope["data"],
        json!({ "total": 12 }),
        "the origin echoes"
    );
    assert_eq!(envelope["metadata"]["route"], "all");
    assert_eq!(envelope["headers"]["content-type"], "application/json");
    let received = origin.only_request();
    assert_eq!(received.method(), "PUT");
    assert_eq!(received.target(), "/all/orders/7?page=2");
    assert_eq!(received.header("x-tenant"), Some("acme"));
    assert_eq!(
        received.header("x-request-id"),
        envelope["metadata"]["request_id"].as_str()
    );
    let missing = execute(&proxy, "all", &json!({ "path": "/all/missing" }));
    assert_eq!(missing.status, 404);
    let envelope = missing.json();
    assert_eq!(
        (&envelope["success"], &envelope["status_code"]),
        (&json!(false), &json!(404))
    );
    assert_eq!(envelope["data"], "nothing");
    assert_eq!(envelope["errors"][0]["status"], 404);
}

#[test]
fn every_kind_of_route_and_of_body_has_an_envelope() {
    let binary =
        b"HTTP/1.1 200 OK\r\ncontent-type: image/png\r\ncontent-length: 3\r\n\r\n\xff\x00\x01";
    let origin = Origin::start()
        .on("/all/image", Script::new().send(binary))
        .on(
            "/all/empty",
            Script::new().send("HTTP/1.1 204 No Content\r\n\r\n"),
        );
    let root = tempfile::tempdir().unwrap();
    let files = format!(
        "[routes.files]\nmatch = {{ path = \"/files/{{*rest}}\" }}\nfiles = {{ root = {:?}, write = true }}\n",
        root.path()
    );
    let setup = setup(&origin, "true").also(files).also(
        r#"
[routes.text]
match = { path = "/text" }
respond = { body = "hello" }
[routes.away]
match = { path = "/away" }
redirect = { location = "/text" }
[routes.wrapped]
match = { path = "/wrapped/{*rest}" }
upstream = "origin"
response = { envelope = true }
[routes.limited]
match = { path = "/limited" }
respond = {}
rate_limit = { requests = 1, per = "1h" }
"#,
    );
    let proxy = Proxy::with(&setup);
    let data = |route: &str, document: Value| {
        let answer = execute(&proxy, route, &document);
        (answer.status, answer.json()["data"].clone())
    };
    assert_eq!(data("text", json!({})), (200, json!("hello")));
    assert_eq!(data("away", json!({})).0, 308);
    assert_eq!(
        data("all", json!({ "path": "/all/image" })),
        (200, json!("/wAB"))
    );
    let empty = execute(&proxy, "all", &json!({ "path": "/all/empty" }));
    assert_eq!(
        (empty.status, &empty.json()["status_code"]),
        (200, &json!(204))
    );
    assert_eq!(empty.json()["data"], Value::Null);
    let put = json!({ "method": "PUT", "params": { "rest": "a.txt" }, "body": "kept" });
    assert_eq!(execute(&proxy, "files", &put).status, 201);
    let kept = data("files", json!({ "params": { "rest": "a.txt" } }));
    assert_eq!(kept, (200, json!("kept")));
    // It has one already, and gets no other around it.
    let wrapped = data(
        "wrapped",
        json!({ "params": { "rest": "x" }, "method": "POST", "body": [1] }),
    );
    assert_eq!(wrapped, (200, json!([1])));
    assert_eq!(data("limited", json!({})).0, 200);
    let limited = execute(&proxy, "limited", &json!({}));
    assert_eq!(limited.status, 429);
    assert_eq!(limited.reason(), Some("rate_limited"));
    assert!(limited.header("retry-after").is_some());
    assert_eq!(limited.json()["errors"][0]["reason"], "rate_limited");
}

#[test]
fn what_another_route_would_take_is_not_executed_past_it() {
    let origin = Origin::start();
    let setup = Setup::to(&origin).route("listener = \"main\"").also(
        r#"
[listeners.names]
listen = "127.0.0.1:0"
integrations = true
[routes.guarded]
match = { path = "/admin/{*rest}" }
listener = "main"
upstream = "origin"
authorize = { cidrs = ["192.0.2.0/24"] }
[routes.orders]
match = { path = "/orders/{id}", methods = ["GET"], headers = { x-tenant = "*" } }
upstream = "origin"
"#,
    );
    let proxy = Proxy::with(&setup);
    // Its listener is another one, and it can be executed all the same.
    let fine = execute(&proxy, "all", &json!({ "path": "/public" }));
    assert_eq!(fine.status, 200, "{}", fine.text());
    for path in ["/admin/x", "/public/../admin/x", "//admin/x", "/%61dmin/x"] {
        let past = execute(&proxy, "all", &json!({ "path": path }));
        past.assert_refused(409, "route_mismatch");
        assert!(past.text().contains("`guarded`"), "{}", past.text());
    }
    execute(&proxy, "guarded", &json!({ "path": "/admin/x" })).assert_refused_in_envelope(403);
    let tenant = json!({ "x-tenant": "a" });
    let order = |document: Value| execute(&proxy, "orders", &document);
    assert_eq!(
        order(json!({ "params": { "id": 7 }, "headers": tenant })).status,
        200
    );
    order(json!({ "params": { "id": 7 } })).assert_refused(409, "route_mismatch");
    order(json!({ "path": "/elsewhere", "headers": tenant })).assert_refused(409, "route_mismatch");
    let method = order(json!({ "method": "DELETE", "params": { "id": 7 }, "headers": tenant }));
    method.assert_refused(405, "method_not_allowed");
    order(json!({ "params": { "id": "../admin" }, "headers": tenant }))
        .assert_refused(400, "bad_path");
    assert_eq!(origin.requests().len(), 2);
}

trait Enveloped {
    fn assert_refused_in_envelope(&self, status: u16);
}

impl Enveloped for Response {
    fn assert_refused_in_envelope(&self, status: u16) {
        assert_eq!(self.status, status, "{}", self.text());
        assert_eq!(self.json()["status_code"], status);
    }
}

#[test]
fn what_cannot_be_asked_is_refused_with_what_is_wrong() {
    let origin = Origin::start().on("/all/large", Script::zeros(2000));
    let limits = "{ max_body = \"1KiB\", max_answer = \"1KiB\" }";
    let proxy = Proxy::with(&setup(&origin, limits));
    let unknown = execute(&proxy, "al", &json!({}));
    unknown.assert_refused(404, "no_route");
    assert!(
        unknown.text().contains("did you mean `all`?"),
        "{}",
        unknown.text()
    );
    get(&proxy, "/integrations/nobody/health").assert_refused(404, "no_route");
    get(&proxy, "/integrations/nobody/metrics").assert_refused(404, "no_route");
    get(&proxy, "/integrations/all").assert_refused(404, "no_route");
    let read = get(&proxy, "/integrations/all/execute");
    read.assert_refused(405, "method_not_allowed");
    assert_eq!(read.header("allow"), Some("POST"));
    post(&proxy, "/integrations", &json!({})).assert_refused(405, "method_not_allowed");
    let path = "/integrations/all/execute";
    let not_json = names(&proxy).request("POST", path, &[], "path=/all/x");
    not_json.assert_refused(400, "bad_request");
    let large = json!({ "path": "/all/x", "body": "x".repeat(2000) });
    execute(&proxy, "all", &large).assert_refused(413, "body_too_large");
    let answer = execute(&proxy, "all", &json!({ "path": "/all/large" }));
    answer.assert_refused(502, "answer_too_large");
    let grpc = json!({ "path": "/all/x", "headers": { "content-type": "application/grpc" } });
    let grpc = execute(&proxy, "all", &grpc);
    grpc.assert_refused(400, "bad_request");
    assert!(grpc.text().contains("descriptor"), "{}", grpc.text());
    let page = [("origin", "http://evil.example")];
    names(&proxy)
        .request("POST", path, &page, "{}")
        .assert_refused(403, "forbidden");
    post(&proxy, "/integrations/register", &json!({})).assert_refused(403, "forbidden");
    assert_eq!(origin.requests().len(), 1);
}

#[test]
fn an_upstream_that_is_not_there_is_told_in_the_envelope_and_counted() {
    let refusing = Refusing::bind();
    let setup = Setup::to_address(refusing.address()).also(
        "[log]\naccess_log = true\n[listeners.names]\nlisten = \"127.0.0.1:0\"\nintegrations = true\n",
    );
    let proxy = Proxy::with(&setup);
    let fields = [("x-request-id", "one-of-a-kind")];
    let answer = names(&proxy).request("POST", "/integrations/all/execute", &fields, "{}");
    assert_eq!(
        (answer.status, answer.reason()),
        (502, Some("connect_failed"))
    );
    let envelope = answer.json();
    assert_eq!(envelope["errors"][0]["reason"], "connect_failed");
    assert_eq!(envelope["metadata"]["request_id"], "one-of-a-kind");
    eventually(SOON, "both requests are logged", || {
        proxy.stdout().matches("one-of-a-kind").count() == 2
    });
    let metrics = get(&proxy, "/integrations/all/metrics").json();
    assert_eq!(metrics["failures"], 1);
    assert_eq!(metrics["last_failures"][0]["request_id"], "one-of-a-kind");
    let counted = proxy.metrics().sum(
        "outrigger_requests_total",
        &[("listener", "names"), ("route", "all"), ("code", "502")],
    );
    assert_eq!(counted, 1.0);
}

#[test]
fn a_route_is_registered_with_its_upstream_where_that_is_allowed() {
    let origin = Origin::start();
    let setup = setup(&origin, "{ register = true }");
    let mut proxy = Launch::new(setup.toml())
        .admin_line("writable_dir = \"../registered\"")
        .start();
    let document = |path: &str| {
        json!({
            "name": "orders",
            "route": { "match": { "path": path }, "upstream": "orders" },
            "upstream": { "endpoints": [origin.address().to_string()] },
        })
    };
    let register =
        |proxy: &Proxy, document: &Value| post(proxy, "/integrations/register", document);
    let new = register(&proxy, &document("/orders/{id}"));
    assert_eq!(new.status, 201, "{}", new.text());
    assert_eq!(new.json()["created"], true);
    let call = json!({ "params": { "id": 7 } });
    assert_eq!(execute(&proxy, "orders", &call).status, 200);
    let again = register(&proxy, &document("/others/{id}"));
    again.assert_refused(409, "conflict");
    let mut other = document("/others/{id}");
    other["replace"] = json!(true);
    let replaced = register(&proxy, &other);
    assert_eq!(replaced.status, 201, "{}", replaced.text());
    proxy.restart();
    let call = json!({ "path": "/others/7" });
    assert_eq!(execute(&proxy, "orders", &call).status, 200);
    // Neither is written where one of them is wrong.
    let wrong = json!({
        "name": "wrong",
        "route": { "match": { "path": "/wrong" }, "upstream": "wrong", "timout": "1s" },
        "upstream": { "endpoints": ["127.0.0.1:1"] },
    });
    let refused = register(&proxy, &wrong);
    refused.assert_refused(422, "invalid_config");
    let violation = &refused.json()["violations"][0];
    assert_eq!(
        violation["pointer"],
        "/routes/wrong/timout",
        "{}",
        refused.text()
    );
    assert_eq!(proxy.admin("GET", "/upstreams/wrong", "").status, 404);
    register(&proxy, &json!({ "name": "../x", "route": {} })).assert_refused(400, "bad_request");
    register(
        &proxy,
        &json!({ "name": "all", "route": { "respond": {} } }),
    )
    .assert_refused(409, "conflict");
}

#[test]
fn integrations_come_and_go_with_a_reload() {
    let origin = Origin::start();
    let mut proxy = Proxy::with(&setup(&origin, "false"));
    get(&proxy, "/integrations").assert_refused(404, "no_route");
    proxy.reload_with(setup(&origin, "true").toml());
    assert_eq!(get(&proxy, "/integrations").status, 200);
    proxy.reload_with(setup(&origin, "false").toml());
    get(&proxy, "/integrations").assert_refused(404, "no_route");
}

#[test]
fn a_message_is_published_by_name() {
    let server = NatsServer::start();
    let setup = Setup::to_address("127.0.0.1:1").also(format!(
        r#"
[listeners.names]
listen = "127.0.0.1:0"
integrations = true
[brokers.events]
url = {{ value = "{}" }}
[brokers.events.streams.orders]
subjects = ["orders.>"]
[routes.publish]
match = {{ path = "/publish/{{kind}}", methods = ["POST"] }}
publish = {{ broker = "events", subject = "orders.${{path.kind}}" }}
"#,
        server.url()
    ));
    let proxy = Proxy::with(&setup);
    eventually(LIMIT, "it is connected", || {
        get(&proxy, "/integrations/publish/health").json()["healthy"] == true
    });
    let listed = get(&proxy, "/integrations").json();
    assert_eq!(listed[1]["type"], "publish", "{listed}");
    let document = json!({
        "params": { "kind": "new" },
        "headers": { "idempotency-key": "order-7" },
        "body": { "total": 12 },
    });
    let answer = execute(&proxy, "publish", &document);
    assert_eq!(answer.status, 202, "{}", answer.text());
    assert_eq!(
        answer.json()["data"],
        json!({ "message_id": "order-7", "broker": "events", "confirmed": true })
    );
}

#[test]
fn who_executes_is_who_the_route_sees() {
    let origin = Origin::start();
    let ca = Authority::new("ca");
    let files = tempfile::tempdir().unwrap();
    let (cert, key) = ca
        .issue(Ask::of(&["localhost"]))
        .write(files.path(), "server");
    put(&files.path().join("ca.pem"), ca.pem());
    let client_ca = files.path().join("ca.pem");
    let setup = Setup::to(&origin)
        .route("authorize = { clients = [\"dns:svc.example\"] }")
        .also(format!(
            "[listeners.names]\nlisten = \"127.0.0.1:0\"\nintegrations = true\n\
             tls = {{ cert = {cert:?}, key = {key:?}, client_ca = {client_ca:?} }}\n"
        ));
    let proxy = Proxy::with(&setup);
    let address = proxy.address_of("names").unwrap().parse().unwrap();
    for (name, status) in [("svc.example", 200), ("other.example", 403)] {
        let leaf = ca.issue(Ask::of(&[name]));
        let mut caller = TlsClient::with_certificate(ca.pem(), &leaf).connect(address);
        let answer = caller.request("POST", "/integrations/all/execute", &[], "{}");
        assert_eq!(answer.status, status, "{}", answer.text());
    }
    let received = origin.only_request();
    let certificate = received.header("x-forwarded-client-cert").unwrap();
    assert!(certificate.contains("svc.example"), "{certificate}");
}
