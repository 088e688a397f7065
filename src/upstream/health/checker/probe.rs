//! One check of one endpoint, over a connection of its own.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::uri::{Authority, PathAndQuery};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Version, header};
use http_body_util::{BodyExt, Limited};

use super::{Question, grpc};
use crate::codec::h1;
use crate::codec::h2;
use crate::http::body::Body;
use crate::http::error::OVERLOADED;
use crate::http::grpc::CONTENT_TYPE;
use crate::http::message::{Context, Request, Response};
use crate::http::semantics::te;
use crate::tls;
use crate::tls::outbound::{Client, Offer};
use crate::upstream::endpoints::address::Address;
use crate::upstream::transport::connector;
use crate::upstream::transport::settings::Protocol;
use crate::upstream::transport::terms::Secure;

const USER_AGENT: &str = concat!("outrigger-health-check/", env!("CARGO_PKG_VERSION"));

/// Bytes of a gRPC answer: there is one number in it.
const LARGEST_ANSWER: usize = 16 << 10;

/// How to ask.
pub struct Probe {
    pub question: Question,
    /// What is spoken to ask for a path.
    pub protocol: Protocol,
    /// With TLS.
    pub client: Option<Arc<Client>>,
    pub timeout: Duration,
}

/// Why nothing good is known of an endpoint.
#[derive(Debug, PartialEq, Eq)]
pub enum Failure {
    /// It does not count as healthy.
    Ill(String),
    /// This process had no descriptor to ask with, which says nothing of the endpoint.
    NotAsked,
}

impl From<String> for Failure {
    fn from(why: String) -> Self {
        Failure::Ill(why)
    }
}

impl Probe {
    /// # Errors
    /// Why the endpoint does not count as healthy, or that it could not be asked.
    pub async fn ask(&self, address: &Address, name: &Arc<str>) -> Result<(), Failure> {
        match tokio::time::timeout(self.timeout, self.answer(address, name)).await {
            Ok(answer) => answer,
            Err(_) => Err(format!("no answer within {:?}", self.timeout).into()),
        }
    }

    fn offer(&self) -> Offer {
        match (&self.question, self.protocol) {
            (Question::Grpc(_), _) | (_, Protocol::Http2) => Offer::Http2,
            (_, Protocol::Http1) => Offer::Http1,
            (_, Protocol::Auto) => Offer::Both,
        }
    }

    async fn answer(&self, address: &Address, name: &Arc<str>) -> Result<(), Failure> {
        let secure = self.client.as_ref().map(|client| {
            let secure = Secure {
                client,
                endpoint: name,
            };
            (secure, self.offer())
        });
        let connected = connector::connect(address, self.timeout, secure, || {})
            .await
            .map_err(|error| {
                if error.reason() == OVERLOADED {
                    Failure::NotAsked
                } else {
                    Failure::Ill(error.to_string())
                }
            })?;
        let chose_http2 = connected.protocol.as_deref() == Some(tls::HTTP2);
        let io = connected.io;
        match &self.question {
            Question::Tcp => Ok(()),
            Question::Http(path, expected) => {
                let mut request = request(Method::GET, path.clone(), name)?;
                let response = if chose_http2 || self.protocol == Protocol::Http2 {
                    over_http2(io, &mut request).await?
                } else {
                    over_http1(io, &mut request).await?
                };
                if expected.contains(&response.status) {
                    Ok(())
                } else {
                    Err(format!("it answers {}", response.status).into())
                }
            }
            Question::Grpc(service) => {
                let mut request = request(Method::POST, grpc::PATH, name)?;
                let headers = &mut request.headers;
                headers.insert(&header::CONTENT_TYPE, &CONTENT_TYPE);
                headers.insert(&header::TE, &te::TRAILERS);
                request.body = Body::full(grpc::question(service));
                let response = over_http2(io, &mut request).await?;
                Ok(judge(response).await?)
            }
        }
    }
}

async fn judge(response: Box<Response>) -> Result<(), String> {
    if response.status != StatusCode::OK {
        return Err(format!("it answers {}", response.status));
    }
    let head: HeaderMap = response.headers.into_map();
    let body = Limited::new(response.body, LARGEST_ANSWER).collect().await;
    let body = body.map_err(|error| error.to_string())?;
    let trailers = body.trailers().cloned().unwrap_or(head);
    let message: Bytes = body.to_bytes();
    grpc::judge(&trailers, &message)
}

fn request(method: Method, path: PathAndQuery, name: &str) -> Result<Request, String> {
    let authority: Authority = name
        .parse()
        .map_err(|_| format!("`{}` cannot stand in Host", name))?;
    let host = HeaderValue::from_str(name).map_err(|error| error.to_string())?;
    let mut headers = HeaderMap::new();
    headers.insert(header::HOST, host);
    headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
    Ok(Request {
        method,
        authority: Some(authority),
        target: path,
        version: Version::HTTP_11,
        headers: headers.into(),
        body: Body::empty(),
        upgrade: None,
        context: Context::of_our_own(),
    })
}

async fn over_http1(
    io: crate::net::io::Io,
    request: &mut Request,
) -> Result<Box<Response>, String> {
    let connection = Once(h1::client::Connection::new(io));
    let response = h1::client::exchange(connection, request).await;
    response.map_err(|error| error.to_string())
}

async fn over_http2(
    io: crate::net::io::Io,
    request: &mut Request,
) -> Result<Box<Response>, String> {
    let response = h2::client::Connection::new(io)
        .exchange(request, || ())
        .await;
    response.map_err(|error| error.to_string())
}

/// A connection for one exchange only.
struct Once(h1::client::Connection);

impl h1::client::Loan for Once {
    fn connection(&mut self) -> &mut h1::client::Connection {
        &mut self.0
    }

    fn is_wanted(&self) -> bool {
        false
    }

    fn give_back(self) {}

    fn into_connection(self) -> h1::client::Connection {
        self.0
    }
}
