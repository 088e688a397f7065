//! An attempt over the wire: which version of HTTP is spoken, over which connection, and what comes back.

use http::Version;

use crate::codec::h1;
use crate::http::boxed::pinned;
use crate::http::error::{Error, Progress, TLS_FAILED, UPSTREAM_RESET};
use crate::http::exchange::Exchange;
use crate::http::fault::Fault;
use crate::http::message::{Request, Response, Tried};
use crate::http::semantics::method::is_idempotent;
use crate::tls::outbound::Offer;
use crate::tls::words;
use crate::upstream::attempt::{Attempt, Waiting};
use crate::upstream::transport::multiplexed::Lent;
use crate::upstream::transport::pool::Wanted;
use crate::upstream::transport::terms::Secure;
use crate::upstream::{Endpoint, Protocol, Upstream};

/// What an attempt came to.
pub(super) struct Asked {
    pub answer: Result<Box<Response>, Error>,
    /// Whether it went over a connection that had been used before.
    pub reused: bool,
    http2: bool,
    /// The upstream ended the connection and has not looked at the request.
    pub unseen: bool,
}

impl Asked {
    /// Whether the endpoint may have closed the connection because it was idle. HTTP/2 says so when it does.
    fn is_stale(&self) -> bool {
        self.reused && !self.http2
    }

    /// A connection that broke because of TLS is no reset.
    fn judged_by_tls(mut self, endpoint: &Endpoint) -> Self {
        self.answer = self.answer.map_err(|error| {
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
    /// Has `attempt` ask its endpoint, over a connection that may have been used before unless it is to be `fresh`.
    pub(super) async fn ask(
        &self,
        attempt: &Attempt,
        request: &mut Request,
        exchange: &Exchange<'_>,
        tried: Option<&Tried>,
        fresh: bool,
    ) -> Asked {
        let waiting = Waiting {
            attempt,
            upstream: self,
            exchange,
            tried,
        };
        attempt.hand_on(&mut request.headers);
        let endpoint = &**attempt.endpoint();
        let asked = match self.client() {
            Ok(client) => {
                let wanted = Wanted {
                    limits: self.pool_limits(),
                    connect_timeout: self.connect_timeout(),
                    secure: client.map(|client| Secure {
                        client,
                        endpoint: &endpoint.name,
                    }),
                    careful: !is_idempotent(&request.method),
                    fresh,
                    asked: attempt.started(),
                    stage: attempt.stage(),
                };
                match self.speaks(endpoint, request) {
                    Offer::Http1 => self.ask_http1(attempt, request, wanted).await,
                    offer => pinned(|| self.ask_http2(attempt, request, wanted, offer)).await,
                }
            }
            Err(error) => self.not_connected(error, attempt),
        };
        let asked = if self.is_secure() {
            asked.judged_by_tls(endpoint)
        } else {
            asked
        };
        waiting.end(asked.answer.as_deref(), asked.is_stale());
        asked
    }

    async fn ask_http1(
        &self,
        attempt: &Attempt,
        request: &mut Request,
        wanted: Wanted<'_>,
    ) -> Asked {
        let pool = &attempt.endpoint().transport.pool;
        let lease = match pool.lend_idle(&wanted) {
            Some(lease) => {
                attempt.asks_at_once();
                lease
            }
            None => match Box::pin(pool.lend(wanted)).await {
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
        Asked {
            answer: h1::client::exchange(lease, request).await,
            reused,
            http2: false,
            unseen: false,
        }
    }

    async fn ask_http2(
        &self,
        attempt: &Attempt,
        request: &mut Request,
        wanted: Wanted<'_>,
        offer: Offer,
    ) -> Asked {
        let transport = &attempt.endpoint().transport;
        let mut connection = match transport.multiplexed.lend(wanted, offer).await {
            Ok(Lent::Http2(connection)) => connection,
            Ok(Lent::Http1(connected)) => {
                if let Some(connected) = connected {
                    self.metrics().connected(Ok(()));
                    transport.pool.adopt(connected, wanted.limits);
                }
                return self.ask_http1(attempt, request, wanted).await;
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
        let answer = exchange.await;
        let unsent = |error: &Error| error.progress() == Progress::Unsent;
        Asked {
            unseen: answer.as_ref().is_err_and(unsent) && connection.is_closed(),
            answer,
            reused,
            http2: true,
        }
    }

    fn not_connected(&self, error: Error, attempt: &Attempt) -> Asked {
        let is_refused = error.reason().fault == Some(Fault::Connect);
        if is_refused && attempt.stage().has_connected() {
            self.metrics().connected(Err(&error));
        }
        Asked {
            answer: Err(error),
            reused: false,
            http2: false,
            unseen: false,
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
