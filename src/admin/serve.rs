//! Serving the admin API: few connections, none of which can get in the way of a probe.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::response::Response;
use http::StatusCode;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioTimer;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};
use tower::ServiceExt;

use super::answer::problem;
use super::bind::{Bound, Socket};
use super::hyper_io::HyperIo;
use super::secure::{Encrypted, Session, Tls};
use crate::net::io::Io;

/// The most connections at once. One more ends the oldest: a probe always gets through, however many slow or
/// forgotten ones there are.
const MAX_CONNECTIONS: usize = 64;
/// For the head of a request, and how long a connection may be idle. More than the usual scrape interval.
const HEADER_TIMEOUT: Duration = Duration::from_secs(75);
/// The largest head of a request, in bytes.
const MAX_HEAD: usize = 16 << 10;
/// How long answers under way may take when serving ends.
const FAREWELL: Duration = Duration::from_secs(2);
/// Between two attempts to accept when the process has run out of something, such as file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// Serves `router` on `bound` until `shutdown` completes; answers under way are then finished. Dropping the
/// future ends all connections at once.
pub async fn serve(
    bound: Bound,
    router: Router,
    tls: Arc<Tls>,
    shutdown: impl Future<Output = ()>,
) {
    let mut connections = Connections::new(router, tls);
    let mut shutdown = pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            accepted = accept(&bound.socket) => match accepted {
                Ok((io, peer)) => connections.add(io, peer),
                Err(error) => {
                    tracing::warn!(address = %bound.address(), %error, "the admin API cannot accept a connection");
                    sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_) = connections.tasks.join_next() => {}
        }
    }
    drop(bound);
    connections.finish().await;
}

async fn accept(socket: &Socket) -> io::Result<(Io, Option<SocketAddr>)> {
    match socket {
        Socket::Tcp(listener) => {
            let (stream, peer) = listener.accept().await?;
            // Fails only on a connection that is already gone.
            let _ = stream.set_nodelay(true);
            Ok((Io::Tcp(stream), Some(peer)))
        }
        Socket::Unix { listener, .. } => Ok((Io::Unix(listener.accept().await?.0), None)),
    }
}

struct Connections {
    router: Router,
    tls: Arc<Tls>,
    tasks: JoinSet<()>,
    oldest_first: VecDeque<AbortHandle>,
    stop: watch::Sender<()>,
}

impl Connections {
    fn new(router: Router, tls: Arc<Tls>) -> Self {
        Connections {
            router,
            tls,
            tasks: JoinSet::new(),
            oldest_first: VecDeque::new(),
            stop: watch::Sender::new(()),
        }
    }

    fn add(&mut self, io: Io, peer: Option<SocketAddr>) {
        self.oldest_first.retain(|open| !open.is_finished());
        if self.oldest_first.len() >= MAX_CONNECTIONS
            && let Some(oldest) = self.oldest_first.pop_front()
        {
            oldest.abort();
        }
        let (router, tls, stop) = (self.router.clone(), self.tls.clone(), self.stop.subscribe());
        let connection = async move {
            if let Some((io, session)) = tls.secure(io, peer).await {
                connection(io, session, router, stop).await;
            }
        };
        self.oldest_first.push_back(self.tasks.spawn(connection));
    }

    async fn finish(mut self) {
        drop(self.stop);
        let _ = timeout(FAREWELL, async {
            while self.tasks.join_next().await.is_some() {}
        })
        .await;
    }
}

async fn connection(io: Io, mut session: Session, router: Router, mut stop: watch::Receiver<()>) {
    let asked = session.clone();
    let service = service_fn(move |request| answer(request, &asked, &router));
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(MAX_HEAD)
        .serve_connection(HyperIo::new(io), service);
    let mut serving = pin!(serving);
    // How a connection ended concerns only its client, who knows.
    tokio::select! {
        _ = serving.as_mut() => return,
        _ = stop.changed() => {}
        () = session.over() => {}
    }
    serving.as_mut().graceful_shutdown();
    let _ = serving.await;
}

/// Answers one request. One whose head had begun to come when the session ended comes here as well.
fn answer(
    mut request: http::Request<Incoming>,
    session: &Session,
    router: &Router,
) -> impl Future<Output = Result<Response, Infallible>> + use<> {
    let refusal = session.is_over().then(|| {
        let detail = "the certificates have changed since this connection began: connect anew";
        problem(StatusCode::FORBIDDEN, detail)
    });
    if session.is_encrypted {
        request.extensions_mut().insert(Encrypted);
    }
    let router = router.clone();
    async move {
        match refusal {
            Some(refusal) => Ok(refusal),
            None => router.oneshot(request).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpStream, UnixStream};

    use super::*;
    use crate::admin::fake::{Fake, api_over_tcp, api_over_unix, exchange, probes_over_tcp};

    const LIVEZ: &str = "GET /livez HTTP/1.1\r\nHost: localhost\r\n";

    #[tokio::test]
    async fn a_unix_socket_is_served_and_goes_when_serving_ends() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("admin.sock");
        let served = api_over_unix(Fake::default(), &path).await;
        let mut stream = UnixStream::connect(&path).await.unwrap();
        let request = "GET /livez HTTP/1.1\r\nHost: any.name\r\nConnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.ends_with("ok\n"), "{answer}");
        served.end().await;
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_probe_gets_through_a_crowd_that_says_nothing() {
        let served = probes_over_tcp(Fake::default()).await;
        let mut crowd = Vec::new();
        for _ in 0..MAX_CONNECTIONS * 2 {
            crowd.push(TcpStream::connect(served.address).await.unwrap());
        }
        assert!(exchange(&served, LIVEZ).await.ends_with("ok\n"));
        // The first of them has been shown out.
        let mut buffer = [0; 1];
        let read = crowd[0].read(&mut buffer).await;
        assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_never_ends_is_cut() {
        let served = api_over_tcp(Fake::default()).await;
        let mut stream = TcpStream::connect(served.address).await.unwrap();
        stream.write_all(b"GET /livez HTT").await.unwrap();
        let mut answer = Vec::new();
        let read = timeout(HEADER_TIMEOUT * 2, stream.read_to_end(&mut answer)).await;
        assert!(read.is_ok(), "still open");
    }

    #[tokio::test]
    async fn a_head_that_is_too_large_is_refused() {
        let served = api_over_tcp(Fake::default()).await;
        let request = format!("{LIVEZ}X-Long: {}\r\n", "x".repeat(MAX_HEAD * 2));
        let answer = exchange(&served, &request).await;
        assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    }

    #[tokio::test]
    async fn an_answer_under_way_is_finished_when_serving_ends() {
        let served = api_over_tcp(Fake::default()).await;
        served.proxy.hold_reloads();
        let mut stream = TcpStream::connect(served.address).await.unwrap();
        let request = "POST /reload HTTP/1.1\r\nHost: localhost\r\n\r\n";
        stream.write_all(request.as_bytes()).await.unwrap();
        served.proxy.reload_begun().await;
        let proxy = served.proxy.clone();
        let end = tokio::spawn(served.end());
        proxy.release_reloads();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.contains("\"generation\": 7"), "{answer}");
        end.await.unwrap();
    }
}
