//! An HTTP/2 client that blocks: in cleartext by prior knowledge, or over TLS.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, Method, Request};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::wait::LIMIT;

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// One connection; it lasts as long as somebody holds it or one of its streams.
pub struct H2Client {
    runtime: Arc<Runtime>,
    sender: SendRequest<Body>,
}

/// A whole answer.
#[derive(Debug)]
pub struct H2Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    pub trailers: HeaderMap,
}

/// One stream, whose request body the test sends piece by piece.
pub struct H2Exchange {
    runtime: Arc<Runtime>,
    pieces: Option<mpsc::Sender<Frame<Bytes>>>,
    answer: Answer,
}

enum Answer {
    Pending(JoinHandle<hyper::Result<http::Response<Incoming>>>),
    Arriving(http::Response<Incoming>),
}

impl H2Client {
    pub fn connect(address: SocketAddr) -> H2Client {
        H2Client::over(async move {
            let socket = TcpStream::connect(address)
                .await
                .expect("the listener accepts");
            socket.set_nodelay(true).expect("a connected socket");
            socket
        })
    }

    /// Over what `connecting` brings.
    pub(super) fn over<T>(connecting: impl Future<Output = T>) -> H2Client
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let (sender, connection) = runtime.block_on(async {
            let socket = connecting.await;
            handshake(TokioExecutor::new(), TokioIo::new(socket))
                .await
                .expect("the HTTP/2 handshake")
        });
        runtime.spawn(connection);
        H2Client {
            runtime: Arc::new(runtime),
            sender,
        }
    }

    pub fn get(&self, path: &str) -> H2Answer {
        self.open("GET", path, &[]).ended().answer()
    }

    /// A request whose body is one piece.
    pub fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> H2Answer {
        let mut exchange = self.open(method, path, headers);
        if !body.is_empty() {
            exchange.send(body);
        }
        exchange.ended().answer()
    }

    /// Sends a request's head and leaves its body open.
    pub fn open(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> H2Exchange {
        let (pieces, receiver) = mpsc::channel(16);
        let body = StreamBody::new(stream::unfold(receiver, |mut receiver| async move {
            let frame = receiver.recv().await?;
            Some((Ok::<_, Infallible>(frame), receiver))
        }));
        let mut request = Request::builder()
            .method(Method::from_bytes(method.as_bytes()).expect("a method"))
            .uri(format!("http://localhost{path}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body.boxed_unsync()).expect("a request");
        let mut sender = self.sender.clone();
        let answer = self.runtime.spawn(async move {
            sender.ready().await?;
            sender.send_request(request).await
        });
        H2Exchange {
            runtime: self.runtime.clone(),
            pieces: Some(pieces),
            answer: Answer::Pending(answer),
        }
    }
}

impl H2Exchange {
    /// One piece of the request's body.
    pub fn send(&mut self, piece: &str) {
        self.frame(Frame::data(Bytes::copy_from_slice(piece.as_bytes())));
    }

    /// Ends the request's body.
    pub fn end(&mut self) {
        self.pieces = None;
    }

    #[must_use]
    pub fn ended(mut self) -> H2Exchange {
        self.end();
        self
    }

    /// Ends the request's body with trailers.
    pub fn end_with(&mut self, name: &'static str, value: &'static str) {
        let mut trailers = HeaderMap::new();
        trailers.insert(name, value.parse().expect("a header value"));
        self.frame(Frame::trailers(trailers));
        self.end();
    }

    /// The status, once the head has come.
    pub fn status(&mut self) -> u16 {
        self.head().expect("an answer").status().as_u16()
    }

    /// The next piece of the answer's body as text; none at its end.
    pub fn next(&mut self) -> Option<String> {
        let runtime = self.runtime.clone();
        let body = self.head().expect("an answer").body_mut();
        loop {
            let frame = runtime.block_on(async { timeout(LIMIT, body.frame()).await });
            let frame = frame.expect("a piece in time")?.expect("a whole answer");
            if let Ok(data) = frame.into_data() {
                return Some(String::from_utf8_lossy(&data).into_owned());
            }
        }
    }

    pub fn answer(self) -> H2Answer {
        self.try_answer().expect("a whole answer")
    }

    /// An error when the stream was reset, or the connection lost.
    pub fn try_answer(mut self) -> Result<H2Answer, hyper::Error> {
        self.head()?;
        let runtime = self.runtime.clone();
        let Answer::Arriving(response) = self.answer else {
            unreachable!("head() has waited for it");
        };
        let (parts, body) = response.into_parts();
        let collected = runtime
            .block_on(async { timeout(LIMIT, body.collect()).await })
            .expect("the answer's end in time")?;
        Ok(H2Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            trailers: collected.trailers().cloned().unwrap_or_default(),
            body: collected.to_bytes().to_vec(),
        })
    }

    /// Waits for the answer's head.
    fn head(&mut self) -> hyper::Result<&mut http::Response<Incoming>> {
        if let Answer::Pending(pending) = &mut self.answer {
            let response = self
                .runtime
                .block_on(async { timeout(LIMIT, pending).await })
                .expect("an answer in time")
                .expect("the request's task ends well")?;
            self.answer = Answer::Arriving(response);
        }
        match &mut self.answer {
            Answer::Arriving(response) => Ok(response),
            Answer::Pending(_) => unreachable!("replaced above"),
        }
    }

    fn frame(&self, frame: Frame<Bytes>) {
        let pieces = self.pieces.as_ref().expect("an open request body");
        // A receiver that is gone is an answer that came early.
        let _answered_early = pieces.blocking_send(frame);
    }
}

impl H2Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    pub fn trailer(&self, name: &str) -> Option<&str> {
        self.trailers
            .get(name)
            .and_then(|value| value.to_str().ok())
    }

    /// `grpc-status`, of the trailers or of a trailers-only answer.
    pub fn grpc_status(&self) -> Option<&str> {
        self.trailer("grpc-status")
            .or_else(|| self.header("grpc-status"))
    }
}
