//! Tests of shared connections, against an address that answers nothing.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::poll;
use socket2::{Domain, Socket, Type};

use super::*;
use crate::http::error::CONNECT_TIMEOUT;
use crate::upstream::attempt::Stage;

const LIMIT: Duration = Duration::from_secs(1);

/// A listener that accepts nobody and whose backlog is full: the kernel drops further SYNs.
struct Site {
    multiplexed: Multiplexed,
    limits: PoolConfig,
    _listener: Socket,
    _backlog: Vec<TcpStream>,
}

fn site() -> Site {
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let any_port: SocketAddr = ([127, 0, 0, 1], 0).into();
    listener.bind(&any_port.into()).unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap().as_socket().unwrap();
    let mut backlog = Vec::new();
    while let Ok(socket) = TcpStream::connect_timeout(&address, Duration::from_millis(50)) {
        backlog.push(socket);
    }
    Site {
        multiplexed: Multiplexed::new(Address::Tcp(address)),
        limits: PoolConfig::default(),
        _listener: listener,
        _backlog: backlog,
    }
}

impl Site {
    async fn fail(&self, asked: Instant) {
        let stage = Stage::default();
        let wanted = Wanted {
            limits: &self.limits,
            connect_timeout: LIMIT,
            secure: None,
            careful: false,
            fresh: false,
            asked,
            stage: &stage,
        };
        match self.multiplexed.lend(wanted, Offer::Http2).await {
            Err(error) => assert_eq!(error.reason(), CONNECT_TIMEOUT),
            Ok(_) => panic!("connected to nobody"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn requests_that_wait_for_a_connection_share_its_failure() {
    let site = site();
    let start = Instant::now();
    join_all((0..8).map(|_| site.fail(start))).await;
    assert_eq!(start.elapsed(), LIMIT);
    // Who asks later has a connection tried anew.
    site.fail(Instant::now()).await;
    assert_eq!(start.elapsed(), 2 * LIMIT);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_its_request_gave_up_is_made_by_the_next() {
    let site = site();
    let start = Instant::now();
    let mut first = Box::pin(site.fail(start));
    let mut second = Box::pin(site.fail(start));
    assert!(poll!(&mut first).is_pending() && poll!(&mut second).is_pending());
    tokio::time::advance(LIMIT / 2).await;
    drop(first);
    second.await;
    assert_eq!(start.elapsed(), LIMIT / 2 + LIMIT);
}
