//! An HTTP/2 server in cleartext that echoes, as a gRPC server would.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, Request, Response, Version};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper::body::{Body as _, Frame, Incoming};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio_rustls::TlsAcceptor;

use super::tls_server::TlsServer;

type Body = UnsyncBoxBody<Bytes, io::Error>;

/// Sends each piece of a request's body back as it arrives, then its trailers, and for gRPC `grpc-status: 0`, or 14 for `/unavailable`.
/// The health service says whether the origin serves, see [`H2Origin::set_serving`].
/// `/stall` is never answered, `/cut` is cut in the middle of its answer, `/large` is [`LARGE`] zeros, `/refuse`
/// is refused before its body is read.
pub struct H2Origin {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Bytes of the answer to `/large`.
pub const LARGE: usize = 1 << 20;

#[derive(Default)]
struct Shared {
    requests: Mutex<Vec<Seen>>,
    accepted: AtomicUsize,
    streams: AtomicUsize,
    unwell: AtomicBool,
    limit: Option<u32>,
}

/// The head of a request.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: String,
    pub path: String,
    pub authority: Option<String>,
    pub version: Version,
    pub headers: HeaderMap,
}

impl H2Origin {
    pub fn start() -> H2Origin {
        H2Origin::serving(None, None)
    }

    /// Takes no more than so many streams at once on a connection.
    pub fn with_streams(limit: u32) -> H2Origin {
        H2Origin::serving(None, Some(limit))
    }

    /// Speaks TLS.
    pub fn over_tls(tls: &TlsServer) -> H2Origin {
        H2Origin::serving(Some(tls.acceptor()), None)
    }

    fn serving(tls: Option<TlsAcceptor>, limit: Option<u32>) -> H2Origin {
        let shared = Arc::new(Shared {
            limit,
            ..Shared::default()
        });
        let (stop, stopped) = oneshot::channel();
        let (tell, told) = std::sync::mpsc::channel();
        let serving = shared.clone();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            runtime.block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
                let address = listener.local_addr().expect("a bound listener");
                tell.send(address)
                    .expect("the origin waits for its address");
                tokio::select! {
                    () = accept(listener, tls, serving) => {}
                    _ = stopped => {}
                }
            });
        });
        H2Origin {
            address: told.recv().expect("the origin listens"),
            shared,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    /// What the health service says from now on; at first, that it serves.
    pub fn set_serving(&self, serves: bool) {
        self.shared.unwell.store(!serves, Ordering::SeqCst);
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn requests(&self) -> Vec<Seen> {
        self.shared.requests.lock().unwrap().clone()
    }

    /// Connections accepted so far.
    pub fn connections(&self) -> usize {
        self.shared.accepted.load(Ordering::SeqCst)
    }

    /// Requests whose answer has not ended.
    pub fn open_streams(&self) -> usize {
        self.shared.streams.load(Ordering::SeqCst)
    }
}

impl Drop for H2Origin {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _a_panic_has_printed_itself = thread.join();
        }
    }
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, shared: Arc<Shared>) {
    while let Ok((socket, _)) = listener.accept().await {
        shared.accepted.fetch_add(1, Ordering::SeqCst);
        let _best_effort = socket.set_nodelay(true);
        let (shared, tls) = (shared.clone(), tls.clone());
        // An error is a peer that went away, which the test sees from its own side.
        tokio::spawn(async move {
            match tls {
                None => drop(serve(socket, shared).await),
                Some(tls) => {
                    if let Ok(socket) = tls.accept(socket).await {
                        drop(serve(socket, shared).await);
                    }
                }
            }
        });
    }
}

async fn serve<T>(socket: T, shared: Arc<Shared>) -> hyper::Result<()>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let limit = shared.limit;
    let service = service_fn(move |request| {
        let shared = shared.clone();
        async move { Ok::<_, Infallible>(answer(request, &shared).await) }
    });
    http2::Builder::new(TokioExecutor::new())
        .max_concurrent_streams(limit.or(Some(200)))
        .serve_connection(TokioIo::new(socket), service)
        .await
}

async fn answer(request: Request<Incoming>, shared: &Arc<Shared>) -> Response<Body> {
    let open = Open::new(shared);
    let (head, body) = request.into_parts();
    let path = head.uri.path().to_owned();
    shared.requests.lock().unwrap().push(Seen {
        method: head.method.to_string(),
        path: path.clone(),
        authority: head.uri.authority().map(ToString::to_string),
        version: head.version,
        headers: head.headers.clone(),
    });
    if path == "/stall" {
        let _open = open;
        return std::future::pending().await;
    }
    if path == "/grpc.health.v1.Health/Check" {
        return health(shared.unwell.load(Ordering::SeqCst));
    }
    if path == "/large" {
        let zeros = Full::from(vec![0; LARGE]).map_err(|never| match never {});
        return Response::new(zeros.boxed_unsync());
    }
    if path == "/refuse" {
        let mut refusal = Response::new(
            Full::from("enough")
                .map_err(|never| match never {})
                .boxed_unsync(),
        );
        *refusal.status_mut() = http::StatusCode::PAYLOAD_TOO_LARGE;
        return refusal;
    }
    let grpc = head
        .headers
        .get("content-type")
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
    let status = match path.as_str() {
        _ if !grpc => None,
        "/unavailable" => Some("14"),
        _ => Some("0"),
    };
    let mut response = Response::new(if body.is_end_stream() && !grpc {
        Empty::new().map_err(|never| match never {}).boxed_unsync()
    } else {
        echo(body, status, path == "/cut", open)
    });
    if let Some(kind) = head.headers.get("content-type") {
        response.headers_mut().insert("content-type", kind.clone());
    }
    response
}

/// `HealthCheckResponse`: `SERVING` is 1, `NOT_SERVING` 2.
fn health(unwell: bool) -> Response<Body> {
    let message = Bytes::copy_from_slice(&[0, 0, 0, 0, 2, 8, 1 + u8::from(unwell)]);
    let trailers = HeaderMap::from_iter([(
        http::HeaderName::from_static("grpc-status"),
        http::HeaderValue::from_static("0"),
    )]);
    let frames = [Ok(Frame::data(message)), Ok(Frame::trailers(trailers))];
    Response::new(StreamBody::new(stream::iter(frames)).boxed_unsync())
}

fn echo(mut body: Incoming, status: Option<&'static str>, cut: bool, open: Open) -> Body {
    let (pieces, receiver) = mpsc::channel(16);
    tokio::spawn(async move {
        let _open = open;
        let mut trailers = HeaderMap::new();
        while let Some(Ok(frame)) = body.frame().await {
            match frame.into_trailers() {
                Ok(last) => trailers = last,
                Err(data) => {
                    if pieces.send(Ok(data)).await.is_err() {
                        return;
                    }
                    if cut {
                        let _gone = pieces
                            .send(Err(io::ErrorKind::ConnectionAborted.into()))
                            .await;
                        return;
                    }
                }
            }
        }
        if let Some(status) = status {
            trailers.insert("grpc-status", http::HeaderValue::from_static(status));
        }
        if !trailers.is_empty() {
            let _gone = pieces.send(Ok(Frame::trailers(trailers))).await;
        }
    });
    StreamBody::new(stream::unfold(receiver, |mut receiver| async move {
        let frame: io::Result<Frame<Bytes>> = receiver.recv().await?;
        Some((frame, receiver))
    }))
    .boxed_unsync()
}

/// Counts a stream while it is open.
struct Open(Arc<Shared>);

impl Open {
    fn new(shared: &Arc<Shared>) -> Open {
        shared.streams.fetch_add(1, Ordering::SeqCst);
        Open(shared.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.streams.fetch_sub(1, Ordering::SeqCst);
    }
}
