//! One request and its answer: admission, an endpoint, a connection, and the one resend that is always safe.

use std::sync::Arc;

use http::{HeaderName, HeaderValue, Method, Version, header};
use http_body::Body as _;

use super::attempt::{Attempt, Verdict, failed_behind};
use super::transport::multiplexed::Lent;
use super::transport::pool::Wanted;
use super::transport::terms::Secure;
use crate::codec::h1;
use crate::http::body::{Body, End, Guard};
use crate::http::boxed::pinned;
use crate::http::error::{
    CONNECT_FAILED, CONNECT_TIMEOUT, Error, Progress, TLS_FAILED, UPSTREAM_RESET,
};
use crate::http::exchange::Exchange;
use crate::http::message::{Request, Response, Tried};
use crate::http::semantics::method::is_idempotent;
use crate::net::timer;
use crate::tls::outbound::Offer;
use crate::tls::words;
use crate::upstream::{Admission, Endpoint, LoadGuard, Protocol, Upstream};

/// What is sent once more, at once, without the route's policies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resend {
    Nothing,
    /// What met a kept-alive connection that the upstream was just closing.
    Stale,
    /// All that certainly was not processed.
    Unprocessed,
}

/// What a target says of the requests that it sends.
#[derive(Clone, Copy, Debug)]
pub struct Sending {
    pub resend: Resend,
    /// `Host` is to be the name of the endpoint that is picked.
    pub host_from_endpoint: bool,
}

/// How often a request is sent once more at most because the connection that it went over ended. Of such a request
/// the upstream has seen nothing, so that more attempts are no more work for it.
const UNSEEN: u32 = 8;

/// What one attempt came to.
struct AttemptOutcome {
    outcome: Result<Box<Response>, Error>,
    /// Whether it went over a connection that had been used before.
    reused: bool,
    http2: bool,
    /// The upstream ended the connection and has not looked at the request.
    unseen: bool,
    /// What it says about the endpoint.
    verdict: Verdict,
}

impl AttemptOutcome {
    /// Whether the endpoint may have closed the connection because it was idle. HTTP/2 says so when it does.
    fn is_stale(&self) -> bool {
        self.reused && !self.http2
    }

    /// A connection that broke because of TLS is no reset.
    fn judged_by_tls(mut self, endpoint: &Endpoint) -> Self {
        self.outcome = self.outcome.map_err(|error| {
            let cause = error.cause().filter(|_| error.reason() == UPSTREAM_RESET);
            let why = cause.and_then(|cause| words::behind(cause));
            match why {
                Some(why) => Error::new(TLS_FAILED, "no secure connection to the upstream")
                    .because(format!(
                        "TLS with {} at {}: {why}",
                        endpoint.name, endpoint.address
                    ))
                    .at(error.progress()),
                None => error,
            }
        });
        self
    }
}

impl Upstream {
    /// Sends a request to one of the endpoints.
    ///
    /// What certainly was not processed may be sent once more: a request of which no byte was written, and an
    /// idempotent one (RFC 9110, section 9.2.2) that met a kept-alive connection which the upstream was
    /// just closing.
    ///
    /// # Errors
    /// `overloaded`, `no_healthy_endpoint`, `connect_failed`, `connect_timeout`, `tls_failed`, `upstream_reset`,
    /// `upstream_protocol_error`, and those of the request's own body.
    pub async fn send(
        &self,
        mut request: Box<Request>,
        sending: Sending,
        exchange: &Exchange<'_>,
    ) -> Result<Box<Response>, Error> {
        let resend = sending.resend;
        let admission = self.admit();
        let admission = admission.map_err(|error| self.unreached(error, exchange.tried()))?;
        let had_body = !request.body.is_empty();
        let grpc = may_be_grpc(&request);
        let tried = exchange.tried();
        let picked = match self.pick(&request, tried) {
            Err(_) if !self.is_ready() => {
                // Until its names are resolved for the first time; no longer than connecting may take.
                // Boxed, as all that is seldom: it would make the future of every request larger.
                let ready = tokio::time::timeout(self.connect_timeout(), self.ready());
                let _ = Box::pin(ready).await;
                self.pick(&request, tried)
            }
            picked => picked,
        };
        let (endpoint, load) = picked.map_err(|error| self.unreached(error, tried))?;
        sending.name(&endpoint, &mut request);
        let first = self
            .attempt(&load, &mut request, exchange, tried, false)
            .await;
        let (endpoint, load, last, sent) = match first.outcome {
            Err(ref error) if self.may_resend(resend, error, &request, first.reused, had_body) => {
                tracing::debug!(upstream = %self.name(), %error, "sending a request once more");
                drop(load);
                let again = self.send_again(&endpoint, &mut request, sending, exchange, had_body);
                Box::pin(again).await?
            }
            _ => (endpoint, load, first, tried.map_or(1, Tried::count)),
        };
        let here = self.served_by(Some(&endpoint), sent);
        let mut response = match last.outcome {
            Ok(response) => response,
            Err(error) => {
                exchange.give_back(request);
                return Err(error.reached(here));
            }
        };
        let good = last.verdict == Verdict::Good;
        response.served_by = Some(here);
        if exchange.back().is_some() && may_be_failure(&response) {
            exchange.give_back(request);
        }
        let body = std::mem::replace(&mut response.body, Body::empty());
        response.body = body.with_guard(UnderWay {
            load,
            good,
            grpc,
            _admission: admission,
        });
        Ok(response)
    }

    /// Sends a request once more that `failed` did not take; and a few times more while it meets connections that end
    /// before the upstream looks at it, as happens when more requests wait than a connection may carry in its life.
    async fn send_again(
        &self,
        failed: &Endpoint,
        request: &mut Request,
        sending: Sending,
        exchange: &Exchange<'_>,
        had_body: bool,
    ) -> Result<(Arc<Endpoint>, LoadGuard, AttemptOutcome, usize), Error> {
        let mut left = UNSEEN;
        let here = Tried::default();
        let tried = exchange.tried().unwrap_or_else(|| {
            here.note(failed.hash);
            &here
        });
        loop {
            let picked = self.pick(request, Some(tried));
            let (endpoint, load) = picked.map_err(|error| self.unreached(error, Some(tried)))?;
            sending.name(&endpoint, request);
            let attempt = self
                .attempt(&load, request, exchange, Some(tried), true)
                .await;
            left -= 1;
            let again = attempt.unseen && left > 0;
            match &attempt.outcome {
                Err(error)
                    if again && self.may_resend(sending.resend, error, request, true, had_body) =>
                {
                    drop(load);
                }
                _ => return Ok((endpoint, load, attempt, tried.count())),
            }
        }
    }

    fn unreached(&self, error: Error, tried: Option<&Tried>) -> Error {
        error.reached(self.served_by(None, tried.map_or(0, Tried::count)))
    }

    async fn attempt(
        &self,
        load: &LoadGuard,
        request: &mut Request,
        exchange: &Exchange<'_>,
        tried: Option<&Tried>,
        fresh: bool,
    ) -> AttemptOutcome {
        let endpoint = &**load.endpoint();
        let attempt = Attempt::new(self, load, exchange, tried);
        let secure = match self.client() {
            Ok(client) => client.map(|client| Secure {
                client,
                endpoint: &endpoint.name,
            }),
            Err(error) => {
                return self.judge(&attempt, request, self.not_connected(error, &attempt));
            }
        };
        let wanted = Wanted {
            limits: self.pool_limits(),
            connect_timeout: self.connect_timeout(),
            secure,
            careful: !is_idempotent(&request.method),
            fresh,
            asked: load.started(),
            stage: attempt.stage(),
        };
        let came = match self.speaks(endpoint, request) {
            Offer::Http1 => {
                self.attempt_http1(endpoint, request, wanted, &attempt)
                    .await
            }
            offer => {
                pinned(|| self.attempt_http2(endpoint, request, wanted, offer, &attempt)).await
            }
        };
        let came = if self.is_secure() {
            came.judged_by_tls(endpoint)
        } else {
            came
        };
        self.judge(&attempt, request, came)
    }

    fn judge(
        &self,
        attempt: &Attempt<'_>,
        request: &Request,
        mut came: AttemptOutcome,
    ) -> AttemptOutcome {
        let outcome = came.outcome.as_deref();
        came.verdict = attempt.end(outcome, came.is_stale(), may_be_grpc(request));
        came
    }

    async fn attempt_http1(
        &self,
        endpoint: &Endpoint,
        request: &mut Request,
        wanted: Wanted<'_>,
        attempt: &Attempt<'_>,
    ) -> AttemptOutcome {
        let lease = match endpoint.transport.pool.lend_idle(&wanted) {
            Some(lease) => {
                attempt.asks_at_once();
                lease
            }
            None => match Box::pin(endpoint.transport.pool.lend(wanted)).await {
                Ok(lease) => {
                    attempt.asks();
                    lease
                }
                Err(error) => return self.not_connected(error, attempt),
            },
        };
        let reused = lease.is_reused();
        if !reused {
            self.metrics().connected(Ok(()));
        }
        AttemptOutcome {
            outcome: h1::client::exchange(lease, request).await,
            reused,
            http2: false,
            unseen: false,
            verdict: Verdict::Neither,
        }
    }

    async fn attempt_http2(
        &self,
        endpoint: &Endpoint,
        request: &mut Request,
        wanted: Wanted<'_>,
        offer: Offer,
        attempt: &Attempt<'_>,
    ) -> AttemptOutcome {
        let mut connection = match endpoint.transport.multiplexed.lend(wanted, offer).await {
            Ok(Lent::Http2(connection)) => connection,
            Ok(Lent::Http1(connected)) => {
                if let Some(connected) = connected {
                    self.metrics().connected(Ok(()));
                    endpoint.transport.pool.adopt(connected, wanted.limits);
                }
                return self.attempt_http1(endpoint, request, wanted, attempt).await;
            }
            Err(error) => return self.not_connected(error, attempt),
        };
        let reused = connection.made < wanted.asked;
        // Many requests may have waited for it.
        if attempt.stage().has_connected() {
            self.metrics().connected(Ok(()));
        }
        attempt.stage().waits_for_stream();
        let exchange = connection.exchange(request, || attempt.asks());
        let outcome = exchange.await;
        let unsent = |error: &Error| error.progress() == Progress::Unsent;
        AttemptOutcome {
            unseen: outcome.as_ref().is_err_and(unsent) && connection.is_closed(),
            outcome,
            reused,
            http2: true,
            verdict: Verdict::Neither,
        }
    }

    fn not_connected(&self, error: Error, attempt: &Attempt<'_>) -> AttemptOutcome {
        let is_refused = [CONNECT_FAILED, CONNECT_TIMEOUT, TLS_FAILED].contains(&error.reason());
        if is_refused && attempt.stage().has_connected() {
            self.metrics().connected(Err(&error));
        }
        AttemptOutcome {
            outcome: Err(error),
            reused: false,
            http2: false,
            unseen: false,
            verdict: Verdict::Neither,
        }
    }

    fn may_resend(
        &self,
        resend: Resend,
        error: &Error,
        request: &Request,
        reused: bool,
        had_body: bool,
    ) -> bool {
        if resend == Resend::Nothing || (resend == Resend::Stale && !reused) {
            return false;
        }
        let whole = !had_body || !request.body.is_empty();
        match (error.reason(), error.progress()) {
            // Another endpoint may take it; the same one would most likely refuse again.
            (CONNECT_FAILED | CONNECT_TIMEOUT | TLS_FAILED, Progress::Unsent) => {
                whole && self.has_alternative()
            }
            (UPSTREAM_RESET, Progress::Unsent) => whole,
            (UPSTREAM_RESET, Progress::Sent) => whole && reused && is_idempotent(&request.method),
            _ => false,
        }
    }

    /// `auto` is what the endpoint chooses over TLS. In cleartext it is HTTP/1.1, except that gRPC stays HTTP/2 for a
    /// caller who spoke it: its trailers need it.
    fn speaks(&self, endpoint: &Endpoint, request: &Request) -> Offer {
        match self.protocol() {
            Protocol::Http1 => Offer::Http1,
            Protocol::Http2 => Offer::Http2,
            // What changes its protocol does so in HTTP/1.1.
            Protocol::Auto if request.upgrade.is_some() => Offer::Http1,
            Protocol::Auto if self.is_secure() && endpoint.transport.multiplexed.chose_http1() => {
                Offer::Http1
            }
            Protocol::Auto if self.is_secure() => Offer::Both,
            Protocol::Auto if request.version == Version::HTTP_2 && request.is_grpc() => {
                Offer::Http2
            }
            Protocol::Auto => Offer::Http1,
        }
    }
}

/// What counts an exchange, to the end of its answer.
struct UnderWay {
    load: LoadGuard,
    /// Nothing so far is that of a failure.
    good: bool,
    /// It may be a call of gRPC, whose status comes last.
    grpc: bool,
    _admission: Admission,
}

impl Guard for UnderWay {
    fn trailers(&mut self, grpc_status: Option<&[u8]>) {
        if self.good
            && self.grpc
            && let Some(status) = failed_behind(grpc_status)
        {
            self.good = false;
            let endpoint = self.load.endpoint();
            endpoint.standing.failed();
            endpoint.last_error.note_status(timer::now(), status);
        }
    }

    fn end(&mut self, end: End<'_>, _: u64) {
        let endpoint = self.load.endpoint();
        match end {
            End::Complete if self.good => endpoint.standing.completed(),
            End::Failed(error) if Verdict::of_failure(error) == Verdict::Failure => {
                endpoint.standing.failed();
                endpoint.last_error.note(timer::now(), Err(error));
            }
            _ => {}
        }
    }
}

/// Calls of gRPC are all POST; the answers to others need no look.
fn may_be_grpc(request: &Request) -> bool {
    request.method == Method::POST
}

/// Whoever may send a request again may take such an answer as a failure: those of errors, and all that
/// have nothing but a head, as it may hold the status of gRPC.
fn may_be_failure(response: &Response) -> bool {
    let status = response.status;
    status.is_client_error() || status.is_server_error() || response.body.is_end_stream()
}

impl Sending {
    /// Writes the endpoint's own name as `Host`, where that is wanted.
    fn name(self, endpoint: &Endpoint, request: &mut Request) {
        if self.host_from_endpoint {
            name_endpoint(request, &endpoint.name);
        }
    }
}

fn name_endpoint(request: &mut Request, name: &str) {
    if let (Ok(authority), Ok(value)) = (name.parse(), HeaderValue::from_str(name)) {
        request.authority = Some(authority);
        let host: HeaderName = header::HOST;
        request.headers.insert(&host, &value);
    }
}
