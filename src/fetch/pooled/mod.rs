//! Calls over HTTP/1.1, by hyper-util's client: connections stay open for a moment, for whoever calls next.

use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{HeaderValue, Request, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::Instant;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, ServiceBuilder, ServiceExt, service_fn};

use super::connect::Connector;
use super::failure::{Failure, Repeat};
use super::{Call, Fetch, Fetched, Url};
use crate::net::resolve::Resolve;
use crate::tls::outbound::Client;

/// The longest that a call may take, from when it is its turn.
const WHOLE: Duration = Duration::from_secs(10);
/// Calls to one server at once; others wait for their turn.
const AT_ONCE: usize = 8;
/// How long a connection may be idle and still serve: less than servers keep theirs, some of them 5 s. It is closed
/// within twice that.
const IDLE: Duration = Duration::from_secs(4);
/// How long a server is known after a call. Then it has no connection any more.
const KNOWN: Duration = Duration::from_secs(60);

const USER_AGENT: HeaderValue =
    HeaderValue::from_static(concat!("outrigger/", env!("CARGO_PKG_VERSION")));

/// Makes calls, and shares connections among them.
pub struct Pooled {
    resolver: Arc<dyn Resolve>,
    servers: Mutex<Vec<Server>>,
}

/// A server that was called lately.
struct Server {
    url: Url,
    /// The TLS that it is called with: what is opened with one config is not used by another.
    tls: Option<Weak<Client>>,
    called: Instant,
    caller: Caller,
}

type Caller = BoxCloneSyncService<Call, Fetched, BoxError>;
type HttpClient = legacy::Client<Connector, Full<Bytes>>;

impl Pooled {
    pub fn new(resolver: Arc<dyn Resolve>) -> Self {
        Pooled {
            resolver,
            servers: Mutex::default(),
        }
    }

    fn caller(&self, call: &Call) -> Caller {
        let now = Instant::now();
        let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        servers.retain(|server| now.duration_since(server.called) < KNOWN);
        if let Some(server) = servers.iter_mut().find(|server| server.is_asked_by(call)) {
            server.called = now;
            return server.caller.clone();
        }
        let tls = call.tls.as_ref().map(Arc::downgrade);
        let caller = caller(Connector {
            resolver: self.resolver.clone(),
            url: call.url.clone(),
            tls: tls.clone(),
        });
        servers.push(Server {
            url: call.url.clone(),
            tls,
            called: now,
            caller: caller.clone(),
        });
        caller
    }
}

impl Fetch for Pooled {
    fn fetch(&self, call: Call) -> BoxFuture<'_, Result<Fetched, String>> {
        Box::pin(async move {
            let authority = call.url.authority().to_owned();
            let answer = self.caller(&call).oneshot(call).await;
            answer.map_err(|error| match error.downcast::<Failure>() {
                Ok(failure) => failure.to_string(),
                Err(_elapsed) => format!("`{authority}` gave no whole answer within {WHOLE:?}"),
            })
        })
    }
}

impl Server {
    fn is_asked_by(&self, call: &Call) -> bool {
        let same_tls = match (&self.tls, &call.tls) {
            (None, None) => true,
            (Some(own), Some(other)) => own.as_ptr() == Arc::as_ptr(other),
            _ => false,
        };
        same_tls && self.url.is_of_the_same_server(&call.url)
    }
}

/// What makes the calls to one server.
fn caller(connector: Connector) -> Caller {
    let client = legacy::Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .set_host(false)
        .build(connector);
    let once = service_fn(move |call| once(client.clone(), call));
    BoxCloneSyncService::new(
        ServiceBuilder::new()
            .timeout(WHOLE)
            .retry(Repeat::default())
            .concurrency_limit(AT_ONCE)
            .service(once),
    )
}

async fn once(client: HttpClient, call: Call) -> Result<Fetched, Failure> {
    let authority = call.url.authority();
    let unanswered = |error| unanswered(authority, &error);
    let answer = client.request(request(&call)?).await.map_err(unanswered)?;
    let (head, body) = answer.into_parts();
    let limit = call.limit;
    match Limited::new(body, limit).collect().await {
        Ok(body) => Ok(Fetched {
            status: head.status,
            headers: head.headers,
            body: body.to_bytes(),
        }),
        Err(error) if error.is::<LengthLimitError>() => Err(Failure::Settled(format!(
            "the answer of `{authority}` has more than {limit} bytes"
        ))),
        Err(error) => Err(Failure::Unanswered(format!(
            "the answer of `{authority}` broke off: {error}"
        ))),
    }
}

fn unanswered(authority: &str, error: &legacy::Error) -> Failure {
    let cause = error.source();
    if let Some(failure) = cause.and_then(|cause| cause.downcast_ref::<Failure>()) {
        return failure.clone();
    }
    let why = cause.map_or_else(|| error.to_string(), ToString::to_string);
    Failure::Unanswered(format!("`{authority}` gave no answer: {why}"))
}

fn request(call: &Call) -> Result<Request<Full<Bytes>>, Failure> {
    let unfit = || Failure::Settled(format!("`{}` cannot be asked for", call.url));
    let mut request = Request::builder()
        .method(call.method.clone())
        .uri(call.url.uri().clone())
        .body(Full::new(call.body.clone()))
        .map_err(|_| unfit())?;
    *request.headers_mut() = call.headers.clone();
    let host = HeaderValue::from_str(call.url.authority()).map_err(|_| unfit())?;
    for (name, value) in [(header::HOST, host), (header::USER_AGENT, USER_AGENT)] {
        request.headers_mut().insert(name, value);
    }
    Ok(request)
}

#[cfg(test)]
mod tests;
