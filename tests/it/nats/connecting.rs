//! Logging in, and what is told when that fails.

use outrigger::broker::{Link, Refusal};
use tempfile::TempDir;

use super::{client, publish, soon, until};
use crate::support::NatsServer;
use crate::support::pki::{Ask, Authority, put};

const ORDERS: &str = "streams.orders.subjects = [\"orders.>\"]";

#[tokio::test]
async fn a_wrong_password_is_told_and_not_shown() {
    let server = NatsServer::with("authorization { user: me, password: right }");
    let url = |login: &str| format!("nats://{login}@{}", server.host());
    for login in ["me:wr0ng", "t0ken"] {
        let client = client(&url(login), ORDERS);
        let told = || match client.state().link {
            Link::Down { error, .. } => error,
            Link::Connected { .. } => panic!("it is connected"),
        };
        until("the password is refused", || {
            told().is_some_and(|why| why.contains("refuses this user or password"))
        })
        .await;
        let refusal = soon(publish(&client, "orders.new", "1")).await.unwrap_err();
        assert!(matches!(&refusal, Refusal::Unavailable(why) if !why.contains("wr0ng")));
        assert!(!format!("{:?}", client.state()).contains("wr0ng"));
    }
    let good = client(&url("me:right"), ORDERS);
    until("it is connected", || good.state().is_connected()).await;
    soon(publish(&good, "orders.new", "1")).await.unwrap();
}

#[tokio::test]
async fn a_token_logs_in() {
    let server = NatsServer::with("authorization { token: \"t0ken\" }");
    let client = client(&format!("nats://t0ken@{}", server.host()), ORDERS);
    until("it is connected", || client.state().is_connected()).await;
    soon(publish(&client, "orders.new", "1")).await.unwrap();
}

#[tokio::test]
async fn of_several_servers_one_that_answers_is_taken() {
    let server = NatsServer::start();
    let url = format!("nats://127.0.0.1:1,{}", server.host());
    for _ in 0..3 {
        let client = client(&url, ORDERS);
        until("it is connected", || client.state().is_connected()).await;
        soon(client.close()).await;
    }
}

/// A server with a certificate for `name`, which asks for one of the same CA, and the files.
fn over_tls(name: &str) -> (NatsServer, TempDir) {
    let files = tempfile::tempdir().unwrap();
    let ca = Authority::new("ca");
    put(&files.path().join("ca.pem"), ca.pem());
    ca.issue(Ask::of(&[name]).only_for_servers())
        .write(files.path(), "server");
    ca.issue(Ask::of(&["proxy"]).only_for_clients())
        .write(files.path(), "proxy");
    let file = |name: &str| files.path().join(name);
    let server = NatsServer::with(&format!(
        "tls {{ cert_file: {:?}, key_file: {:?}, ca_file: {:?}, verify: true }}",
        file("server.crt"),
        file("server.key"),
        file("ca.pem"),
    ));
    (server, files)
}

#[tokio::test]
async fn over_tls_both_sides_show_who_they_are() {
    let (server, files) = over_tls("broker.internal");
    let file = |name: &str| files.path().join(name);
    let url = format!("natss://{}", server.host());
    let shown = format!(
        "tls.cert = {:?}\ntls.key = {:?}",
        file("proxy.crt"),
        file("proxy.key")
    );
    let ca = format!("tls.ca = {:?}", file("ca.pem"));
    let name = "tls.server_name = \"broker.internal\"";
    let good = client(&url, &format!("{ca}\n{shown}\n{name}\n{ORDERS}"));
    until("it is connected", || good.state().is_connected()).await;
    soon(publish(&good, "orders.new", "1")).await.unwrap();
    for (config, wanted) in [
        (format!("{ca}\n{name}"), "certificate"),
        (format!("{ca}\n{shown}"), "certificate"),
        (format!("{shown}\n{name}"), "certificate"),
    ] {
        let client = client(&url, &config);
        let told = || match client.state().link {
            Link::Down { error, .. } => error.unwrap_or_default(),
            Link::Connected { .. } => panic!("it is connected"),
        };
        until("it is refused", || !told().is_empty()).await;
        assert!(told().to_lowercase().contains(wanted), "{}", told());
    }
}
