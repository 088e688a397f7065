//! What callers see while a listener closes.

use std::cell::Cell;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::Arc;

use tokio::io::Interest;
use tokio::task::LocalSet;

use super::{Accepted, Checked, ListenAddress, Listener, accept, take};
use crate::net::io::Io;

/// A listener with one socket, and a count of the connections that were accepted; each is answered with a byte.
async fn listening(address: &str) -> (Arc<Listener>, Rc<Cell<usize>>, tokio::task::JoinHandle<()>) {
    let address: ListenAddress = address.parse().unwrap();
    let mut taken = take(&address, 1, false).unwrap();
    let config = toml::from_str(&format!("listen = \"{address}\"")).unwrap();
    let checked = Checked::new(config, None).unwrap();
    let listener = Arc::new(Listener::new(
        "main".into(),
        taken.address,
        checked,
        taken.file,
    ));
    let accepted = Rc::new(Cell::new(0));
    let count = accepted.clone();
    let serve = move |accepted: Accepted| {
        count.set(count.get() + 1);
        tokio::task::spawn_local(async move {
            let ready = match &accepted.io {
                Io::Tcp(socket) => socket.ready(Interest::WRITABLE).await,
                Io::Unix(socket) => socket.ready(Interest::WRITABLE).await,
                Io::Tls(_) => unreachable!("this listener has no TLS"),
            };
            ready.unwrap();
            accepted.io.try_write(b"x").unwrap();
        });
    };
    let accepting = tokio::task::spawn_local(accept(
        listener.clone(),
        listener.drain.hold(),
        taken.sockets.remove(0),
        serve,
    ));
    tokio::task::yield_now().await;
    (listener, accepted, accepting)
}

fn tcp_address(listener: &Listener) -> SocketAddr {
    match &listener.address {
        ListenAddress::Tcp(address) => *address,
        ListenAddress::Unix(path) => panic!("{}", path.display()),
    }
}

fn is_served(mut caller: impl Read) -> bool {
    let mut byte = [0];
    caller.read_exact(&mut byte).is_ok()
}

/// Blocking callers, whom the event loop hears of only after the drain has begun.
#[tokio::test]
async fn who_waits_when_the_drain_begins_is_served() {
    let local = LocalSet::new();
    let callers = local.run_until(async {
        let (listener, accepted, accepting) = listening("127.0.0.1:0").await;
        let address = tcp_address(&listener);
        let callers: Vec<_> = (0..50)
            .map(|_| TcpStream::connect(address).unwrap())
            .collect();
        listener.drain.start();
        accepting.await.unwrap();
        listener.drain.ended().await;
        assert_eq!(accepted.get(), 50);
        assert!(TcpStream::connect(address).is_err());
        callers
    });
    assert!(callers.await.into_iter().all(is_served));
}

#[tokio::test]
async fn who_waits_on_a_unix_socket_is_served_and_its_file_is_gone_first() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let local = LocalSet::new();
    let callers = local.run_until(async {
        let (listener, accepted, accepting) = listening(&format!("unix:{}", path.display())).await;
        let callers: Vec<_> = (0..50)
            .map(|_| UnixStream::connect(&path).unwrap())
            .collect();
        listener.drain.start();
        while path.exists() {
            assert!(!accepting.is_finished());
            tokio::task::yield_now().await;
        }
        accepting.await.unwrap();
        assert_eq!(accepted.get(), 50);
        callers
    });
    assert!(callers.await.into_iter().all(is_served));
}

#[tokio::test]
async fn who_connects_while_the_listener_closes_is_served_or_refused() {
    let local = LocalSet::new();
    local
        .run_until(async {
            let (listener, accepted, accepting) = listening("127.0.0.1:0").await;
            let address = tcp_address(&listener);
            let caller = std::thread::spawn(move || {
                let mut served = 0;
                while let Ok(mut caller) = TcpStream::connect(address) {
                    let _ = caller.write_all(b"x");
                    assert!(is_served(caller), "connected, and then reset");
                    served += 1;
                }
                served
            });
            while accepted.get() < 100 {
                tokio::task::yield_now().await;
            }
            listener.drain.start();
            accepting.await.unwrap();
            assert_eq!(caller.join().unwrap(), accepted.get());
        })
        .await;
}
