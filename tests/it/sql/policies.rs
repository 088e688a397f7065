//! What any other route has, a route with a statement has too.

use serde_json::json;

use super::{config, get};
use crate::support::{
    Client, Issuer, LIMIT, Launch, PostgresServer, Proxy, Response, eventually, key_set,
};

#[test]
fn a_database_that_is_down_opens_the_breaker_and_shows_in_health() {
    let (_one, server) = PostgresServer::fragile();
    let block = "statement = \"select 1 as a\"\n\
                 [routes.r0.circuit_breaker]\nconsecutive_failures = 3\nrecovery_timeout = \"100ms\"\nmax_recovery = \"100ms\"\n\
                 [listeners.names]\nlisten = \"127.0.0.1:0\"\nintegrations = true";
    let proxy = Proxy::start(&config(&server.url(), "", &[("/run", block)]));
    let names = || {
        let address = proxy.address_of("names").unwrap();
        Client::tcp(address.parse().unwrap())
    };
    let healthy = |is: bool| {
        let admin = proxy.admin("GET", "/routes/r0/health", "").json();
        let listed = names().get("/integrations").json();
        let health = names().get("/integrations/r0/health").json();
        admin["healthy"] == is && listed[0]["healthy"] == is && health == admin
    };
    assert_eq!(get(&proxy, "/run").status, 200);
    assert!(healthy(true));
    server.stop();
    let opened = |to: &str| {
        let labels = [("route", "r0"), ("to", to)];
        let metrics = proxy.metrics();
        metrics.sum("outrigger_circuit_breaker_transitions_total", &labels)
    };
    let mut reasons = Vec::new();
    eventually(LIMIT, "the breaker opens", || {
        let answer = get(&proxy, "/run");
        assert_eq!(answer.status, 503);
        reasons.push(answer.reason().unwrap().to_owned());
        reasons
            .last()
            .is_some_and(|reason| reason == "circuit_open")
    });
    assert_eq!(reasons[..3], ["database_unavailable"; 3], "{reasons:?}");
    assert!(healthy(false));
    let told = proxy.admin("GET", "/routes/r0/health", "").json();
    assert_eq!(told["parts"][0]["kind"], "database");
    assert!(
        told["parts"][0]["error"]
            .as_str()
            .unwrap()
            .contains("refused"),
        "{told}"
    );
    server.again();
    eventually(LIMIT, "it closes again", || {
        get(&proxy, "/run").status == 200
    });
    assert!(healthy(true));
    assert!(opened("open") >= 1.0 && opened("half-open") >= 1.0);
    assert_eq!(opened("closed"), 1.0);
    let state = proxy
        .metrics()
        .sum("outrigger_circuit_breaker_state", &[("route", "r0")]);
    assert_eq!(state, 0.0);
    // By its name, with the statement's answer in the envelope.
    let executed = names().request(
        "POST",
        "/integrations/r0/execute",
        &[],
        r#"{"path":"/run"}"#,
    );
    assert_eq!(executed.json()["data"], json!([{ "a": 1 }]));
}

#[test]
fn callers_are_limited_before_the_database_hears_of_them() {
    let url = PostgresServer::shared().url();
    let limited =
        "statement = \"select 1 as a\"\n[routes.r0.rate_limit]\nrequests = 2\nper = \"1h\"";
    let few = "statement = \"select pg_sleep(60)\"\n[routes.r1.concurrency_limit]\nmax = 1";
    let database = "statement_timeout = \"60s\"";
    let proxy = Proxy::start(&config(
        &url,
        database,
        &[("/limited", limited), ("/few", few)],
    ));
    let statuses: Vec<u16> = (0..3).map(|_| get(&proxy, "/limited").status).collect();
    assert_eq!(statuses, [200, 200, 429]);
    let mut held = proxy.client();
    held.send_request("GET", "/few", &[], "");
    eventually(LIMIT, "it runs", || {
        super::state(&proxy)["pool"]["in_use"] == 1
    });
    get(&proxy, "/few").assert_refused(503, "overloaded");
    assert_eq!(super::state(&proxy)["pool"]["in_use"], 1);
}

#[test]
fn the_claims_of_a_token_are_parameters() {
    let issuer = Issuer::new("1");
    let url = PostgresServer::shared().url();
    let block = r#"
statement = "select $1 as who, $2 as tenant, $3 as roles"
result = "one"
parameters = [
    { from = "jwt.sub" },
    { from = "jwt.tenant", type = "int8" },
    { from = "jwt.roles", type = "text[]", required = false },
]
[routes.r0.jwt]
issuer = "https://idp.example"
jwks = { file = "keys.json" }"#;
    let proxy = Launch::new(config(&url, "", &[("/run", block)]))
        .file("keys.json", &key_set(&[&issuer]))
        .start();
    let ask = |claims: serde_json::Value| -> Response {
        let token = issuer.bearer(claims);
        let fields = [("authorization", token.as_str())];
        proxy.client().request("GET", "/run", &fields, "")
    };
    let answer = ask(json!({ "tenant": 7, "roles": ["a", "b'"] }));
    assert_eq!(
        answer.json(),
        json!({ "who": "ann", "tenant": 7, "roles": ["a", "b'"] })
    );
    let answer = ask(json!({ "tenant": "x" }));
    answer.assert_refused(400, "bad_value");
    assert!(answer.text().contains("`jwt.tenant` is no int8"));
    ask(json!({})).assert_refused(400, "bad_value");
    get(&proxy, "/run").assert_refused(401, "unauthorized");
}

#[test]
fn a_statement_may_stand_in_a_file_which_is_read_again_when_it_changes() {
    let url = PostgresServer::shared().url();
    let block = "file = \"x.sql\"\nresult = \"one\"\nparameters = [{ from = \"query.a\", type = \"int8\" }]";
    let proxy = Launch::new(config(&url, "", &[("/run", block)]))
        .file("x.sql", "-- One.\nselect $1 + 1 as a\n")
        .start();
    assert_eq!(get(&proxy, "/run?a=1").json(), json!({ "a": 2 }));
    proxy.write_file("x.sql", "select $1 + 2 as a");
    eventually(LIMIT, "it is read again", || {
        get(&proxy, "/run?a=1").json() == json!({ "a": 3 })
    });
    // What is no statement does not take its place.
    proxy.write_file("x.sql", "select $1; drop table orders");
    eventually(LIMIT, "it is told", || {
        proxy.last_error().contains("more than one command")
    });
    assert_eq!(get(&proxy, "/run?a=1").json(), json!({ "a": 3 }));
}
