//! Calls over HTTP/1.1.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{HeaderValue, Request, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::client::conn::http1;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::stream::Stream;
use super::{Call, Fetch, Fetched, Url};
use crate::net::io::Io;
use crate::net::resolve::{Known, Resolve};
use crate::tls::handshake;
use crate::tls::outbound::{Client, Offer};

/// The longest that finding and reaching the server may take.
const CONNECT: Duration = Duration::from_secs(5);
/// The longest that a call may take.
const WHOLE: Duration = Duration::from_secs(10);

const USER_AGENT: HeaderValue =
    HeaderValue::from_static(concat!("outrigger/", env!("CARGO_PKG_VERSION")));

/// Makes calls over connections of its own.
pub struct Http1 {
    resolver: Arc<dyn Resolve>,
}

impl Http1 {
    pub fn new(resolver: Arc<dyn Resolve>) -> Self {
        Http1 { resolver }
    }

    /// Shakes hands as well, where the URL is one with TLS.
    async fn connect(&self, url: &Url, client: Option<&Client>) -> Result<Io, String> {
        let io = Io::Tcp(self.reach(url).await?);
        match (url.is_encrypted(), client) {
            (false, _) => Ok(io),
            (true, None) => Err(format!("`{}` is not called without TLS", url.authority())),
            (true, Some(client)) => {
                let server = url.server();
                let shaken = handshake::connect(io, client, &server, Offer::Http1).await;
                let failed = |why| format!("the TLS handshake with `{server}` failed: {why}");
                Ok(shaken.map_err(failed)?.io)
            }
        }
    }

    async fn reach(&self, url: &Url) -> Result<TcpStream, String> {
        let addresses = match url.host().parse::<IpAddr>() {
            Ok(address) => vec![address],
            Err(_) => {
                let found = self.resolver.addresses(url.host(), Known::default()).await;
                let unknown = |error| format!("`{}` cannot be resolved: {error}", url.host());
                found.map_err(unknown)?.what.all()
            }
        };
        let addresses: Vec<SocketAddr> = addresses
            .into_iter()
            .map(|address| SocketAddr::new(address, url.port()))
            .collect();
        let stream = TcpStream::connect(&addresses[..]).await;
        stream.map_err(|error| format!("`{}` cannot be reached: {error}", url.authority()))
    }

    async fn call(&self, call: Call) -> Result<Fetched, String> {
        let authority = call.url.authority().to_owned();
        let io = match timeout(CONNECT, self.connect(&call.url, call.tls.as_deref())).await {
            Ok(connected) => connected?,
            Err(_) => return Err(format!("`{authority}` was not reached within {CONNECT:?}")),
        };
        let limit = call.limit;
        let request = request(call)?;
        let failed = |error: hyper::Error| format!("`{authority}` gave no answer: {error}");
        let (mut sender, connection) = http1::handshake(Stream::new(io)).await.map_err(failed)?;
        let exchange = async {
            let (head, body) = sender
                .send_request(request)
                .await
                .map_err(failed)?
                .into_parts();
            let body = match Limited::new(body, limit).collect().await {
                Ok(body) => body.to_bytes(),
                Err(error) if error.is::<LengthLimitError>() => {
                    return Err(format!(
                        "the answer of `{authority}` has more than {limit} bytes"
                    ));
                }
                Err(error) => {
                    return Err(format!("the answer of `{authority}` broke off: {error}"));
                }
            };
            Ok(Fetched {
                status: head.status,
                headers: head.headers,
                body,
            })
        };
        // The connection moves the exchange on; when it ends first, the exchange says how that went.
        tokio::pin!(exchange);
        tokio::select! {
            biased;
            answer = &mut exchange => answer,
            _ended = connection => exchange.await,
        }
    }
}

impl Fetch for Http1 {
    fn fetch(&self, call: Call) -> BoxFuture<'_, Result<Fetched, String>> {
        Box::pin(async move {
            let authority = call.url.authority().to_owned();
            match timeout(WHOLE, self.call(call)).await {
                Ok(answer) => answer,
                Err(_) => Err(format!(
                    "`{authority}` gave no whole answer within {WHOLE:?}"
                )),
            }
        })
    }
}

fn request(call: Call) -> Result<Request<Full<Bytes>>, String> {
    let unfit = |_| format!("`{}` cannot be asked for", call.url);
    let mut request = Request::builder()
        .method(call.method)
        .uri(call.url.target())
        .body(Full::new(call.body))
        .map_err(unfit)?;
    *request.headers_mut() = call.headers;
    let host = HeaderValue::from_str(call.url.authority());
    let host = host.map_err(|_| format!("`{}` cannot be asked for", call.url))?;
    for (name, value) in [
        (header::HOST, host),
        (header::USER_AGENT, USER_AGENT),
        (header::CONNECTION, HeaderValue::from_static("close")),
    ] {
        request.headers_mut().insert(name, value);
    }
    Ok(request)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderMap, Method};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use crate::net::resolve::SystemResolver;

    /// Calls a server that sends `answer` to whatever it is asked, and gives back what it was asked.
    async fn exchange(answer: &'static str) -> (Result<Fetched, String>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = async {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut asked = vec![0; 4096];
            let mut length = 0;
            while !asked[..length].ends_with(b"body") {
                length += socket.read(&mut asked[length..]).await.unwrap();
            }
            socket.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8_lossy(&asked[..length]).into_owned()
        };
        let call = Call {
            method: Method::POST,
            url: format!("http://localhost:{port}/token?x=1")
                .parse()
                .unwrap(),
            tls: None,
            headers: HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static("a/b"))]),
            body: Bytes::from_static(b"body"),
            limit: 5,
        };
        let client = Http1::new(Arc::new(SystemResolver::new()));
        tokio::join!(client.fetch(call), server)
    }

    #[tokio::test]
    async fn the_answer_comes_whole() {
        let (answer, asked) =
            exchange("HTTP/1.1 201 Created\r\nx-a: b\r\ncontent-length: 5\r\n\r\nhello").await;
        let answer = answer.unwrap();
        assert_eq!(
            (answer.status.as_u16(), &answer.body[..]),
            (201, &b"hello"[..])
        );
        assert_eq!(answer.headers["x-a"], "b");
        assert!(asked.starts_with("POST /token?x=1 HTTP/1.1\r\n"), "{asked}");
        for part in [
            "host: localhost:",
            "accept: a/b\r\n",
            "connection: close\r\n",
            "outrigger/",
        ] {
            assert!(asked.contains(part), "{asked}");
        }
    }

    #[tokio::test]
    async fn an_answer_without_length_ends_with_the_connection() {
        let (answer, _) = exchange("HTTP/1.1 200 OK\r\n\r\nhello").await;
        assert_eq!(&answer.unwrap().body[..], b"hello");
    }

    #[tokio::test]
    async fn what_is_too_long_or_broken_is_an_error() {
        for (answer, says) in [
            ("HTTP/1.1 200 OK\r\n\r\nhello!", "more than 5 bytes"),
            (
                "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhel",
                "broke off",
            ),
            ("SSH-2.0\r\n", "gave no answer"),
            ("", "gave no answer"),
        ] {
            let (answer, _) = exchange(answer).await;
            let error = answer.unwrap_err();
            assert!(error.contains(says), "{error}");
        }
    }
}
