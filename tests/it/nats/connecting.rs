//! Logging in, and what is told when that fails.

use outrigger::broker::{Link, Refusal};

use super::{client, publish, soon, until};
use crate::support::NatsServer;

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
