//! TLS and logins, which stand before the cluster.

use super::*;
use crate::support::pki::{Ask, Authority, put};

const LOGINS: [(&str, &str); 3] = [
    ("PLAIN", ""),
    ("SCRAM-SHA-256", "?mechanism=scram-sha-256"),
    ("SCRAM-SHA-512", "?mechanism=scram-sha-512"),
];

/// Why there is no connection.
async fn refused(client: &Arc<dyn Client>) -> String {
    let why = || match client.state().link {
        outrigger::broker::Link::Down { error, .. } => error,
        outrigger::broker::Link::Connected { .. } => None,
    };
    until("it says why", || why().is_some()).await;
    why().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_logs_in_is_proven_by_each_mechanism() {
    for (mechanism, query) in LOGINS {
        let mut cluster = KafkaCluster::with(&["--login", mechanism, "me", "hush:@/"]);
        cluster.create("orders", 1, 0);
        let url = |password: &str| format!("kafka://me:{password}@{}{query}", cluster.servers);
        let right = client(&url("hush%3A%40%2F"), "");
        until("it is connected", || right.state().is_connected()).await;
        soon(publish(&right, "orders", None, "a")).await.unwrap();
        let mut consumer = right.consume(&source("orders", "all"), 1);
        settle(next(&mut consumer).await, Verdict::Done).await;
        soon(right.close()).await;

        let wrong = client(&url("hush"), "");
        let why = refused(&wrong).await;
        assert!(
            why.contains("user or password is wrong") && !why.contains("hush"),
            "{mechanism}: {why}"
        );
        let published = soon(publish(&wrong, "orders", None, "b")).await;
        assert!(
            matches!(published, Err(Refusal::Unavailable(_))),
            "{mechanism}: {published:?}"
        );
    }
    let cluster = KafkaCluster::with(&["--login", "PLAIN", "me", "hush"]);
    let servers = &cluster.servers;
    let other = format!("kafka://me:hush@{servers}?mechanism=scram-sha-256");
    for url in [other, format!("kafka://{servers}")] {
        let why = refused(&client(&url, "")).await;
        assert!(!why.contains("hush"), "{why}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_sides_prove_who_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let (authority, other) = (Authority::new("one"), Authority::new("other"));
    let server = authority.issue(Ask::of(&["127.0.0.1"]));
    let (server_cert, server_key) = server.write(folder.path(), "server");
    let (cert, key) = authority.issue(Ask::of(&["me"])).write(folder.path(), "me");
    let (ca, strange) = (folder.path().join("ca"), folder.path().join("strange"));
    put(&ca, authority.pem());
    put(&strange, other.pem());
    let shown = |path: &std::path::Path| path.to_str().unwrap().to_owned();
    let mut cluster = KafkaCluster::with(&[
        "--tls",
        &shown(&server_cert),
        &shown(&server_key),
        "--client-ca",
        &shown(&ca),
        "--login",
        "SCRAM-SHA-512",
        "me",
        "hush",
    ]);
    cluster.create("orders", 1, 0);
    let servers = &cluster.servers;
    let url = format!("kafkas://me:hush@{servers}?mechanism=scram-sha-512");
    let tls = format!("tls = {{ ca = {ca:?}, cert = {cert:?}, key = {key:?} }}\n");
    let believed = client(&url, &tls);
    until("it is connected", || believed.state().is_connected()).await;
    soon(publish(&believed, "orders", None, "a")).await.unwrap();
    let mut consumer = believed.consume(&source("orders", "all"), 1);
    settle(next(&mut consumer).await, Verdict::Done).await;
    soon(believed.close()).await;

    for tls in [
        format!("tls = {{ ca = {strange:?}, cert = {cert:?}, key = {key:?} }}"),
        format!("tls = {{ ca = {ca:?} }}"),
        format!(
            "tls = {{ ca = {ca:?}, cert = {cert:?}, key = {key:?}, server_name = \"elsewhere\" }}"
        ),
    ] {
        let why = refused(&client(&url, &tls)).await;
        assert!(!why.contains("hush"), "{tls}: {why}");
    }
}
