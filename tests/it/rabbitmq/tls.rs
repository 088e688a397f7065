//! RabbitMQ over TLS, which is this house's: a front that speaks TLS stands before the server.

use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};

use super::{Node, client, message, name, publish, queue_block, to, until, until_waiting};
use crate::support::TlsServer;
use crate::support::pki::{Ask, Authority, put};

/// Listens with TLS for the shared server, and gives the port.
async fn front(tls: TlsServer) -> u16 {
    let url = Node::shared().url();
    let place = url.rsplit_once('@').unwrap().1.to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let acceptor = tls.acceptor();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let (acceptor, place) = (acceptor.clone(), place.clone());
            tokio::spawn(async move {
                // Whoever is not believed goes away.
                let Ok(mut stream) = acceptor.accept(socket).await else {
                    return;
                };
                let mut server = TcpStream::connect(place).await.unwrap();
                let _cut = tokio::io::copy_bidirectional(&mut stream, &mut server).await;
            });
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_sides_prove_who_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let (authority, other) = (Authority::new("one"), Authority::new("other"));
    let server = authority.issue(Ask::of(&["localhost"]));
    let (cert, key) = authority.issue(Ask::of(&["me"])).write(folder.path(), "me");
    let (ca, strange) = (folder.path().join("ca"), folder.path().join("strange"));
    put(&ca, authority.pem());
    put(&strange, other.pem());
    let port = front(TlsServer::asking(&server, authority.pem())).await;
    let url = format!("amqps://guest:guest@localhost:{port}");

    let queue = name("queue");
    let tls = format!("tls = {{ ca = {ca:?}, cert = {cert:?}, key = {key:?} }}\n");
    let believed = client(&url, &(tls + &queue_block(&queue, "")));
    until("the client is connected", || {
        believed.state().is_connected()
    })
    .await;
    publish(&believed, to(&queue), message("1")).await.unwrap();
    until_waiting(&believed, &queue, 1).await;
    believed.close().await;

    for (tls, why) in [
        (
            format!("tls = {{ ca = {strange:?}, cert = {cert:?}, key = {key:?} }}"),
            "TLS",
        ),
        (format!("tls = {{ ca = {ca:?} }}"), "CertificateRequired"),
        (
            format!("tls = {{ ca = {ca:?}, server_name = \"elsewhere\" }}"),
            "TLS",
        ),
    ] {
        let refused: Arc<_> = client(&url, &tls);
        until("the handshake fails", || {
            format!("{:?}", refused.state()).contains("error: Some")
        })
        .await;
        let state = format!("{:?}", refused.state());
        assert!(
            state.contains(why) && !state.contains("guest"),
            "{tls}: {state}"
        );
    }
}
