//! `mirror`: a copy of some requests goes to another upstream, and its answer is thrown away.
//!
//! The caller never waits for it: a copy is sent when the request's own body has gone by, as a task of its own, and
//! is left out when its body is too large or too many copies are under way.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderName, HeaderValue, Method};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt;
use metrics::{Counter, counter};
use serde::{Deserialize, Serialize};

use crate::http::body::{Body, Kept};
use crate::http::error::Error;
use crate::http::exchange::{Exchange, LastSeen};
use crate::http::headers;
use crate::http::message::Request;
use crate::http::semantics::expect;
use crate::upstream::{Resend, Sending, Upstream};
use crate::value::exposition::Metric;
use crate::value::problem::Problems;

pub const MIRRORED: Metric = Metric::counter(
    "outrigger_mirrored_total",
    "Copies of requests sent to a route's mirror, by what became of them.",
);

/// Tells the mirror what it is looking at: the name of the route.
static MARK: HeaderName = HeaderName::from_static(headers::MIRRORED);

/// A request with a larger body is not copied.
const LARGEST_BODY: usize = 64 << 10;
/// Copies of a route that are under way at once.
const MOST_IN_FLIGHT: usize = 100;
/// The longest that a copy may take, its answer included.
const LONGEST: Duration = Duration::from_secs(15);
/// So much of an answer is read, so that its connection can be used again.
const DRAINED: usize = 1 << 20;

/// `mirror = { upstream = "shadow", percent = 10 }`
///
/// A copy is the request as it goes to the route's own upstream, with the header `outrigger-mirrored` naming the
/// route; `Host` is the same. Retries, upgrades, and bodies of more than 64 KiB are not copied, and at most 100 copies of
/// a route are under way at once, each for at most 15 s.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct MirrorConfig {
    pub upstream: String,
    /// Share of the requests that is copied: above 0, up to 100.
    #[serde(default = "all")]
    pub percent: f64,
}

fn all() -> f64 {
    100.0
}

impl MirrorConfig {
    pub(super) fn check(&self, problems: &mut Problems) {
        if !(self.percent > 0.0 && self.percent <= 100.0) {
            problems
                .error(&["percent"], "must be above 0 and at most 100")
                .help(if self.percent > 100.0 {
                    "leave `percent` out to copy every request once; more than that cannot be done"
                } else {
                    "leave `mirror` out to copy nothing"
                });
        }
    }
}

/// Sends copies.
pub(super) struct Mirror(Arc<Inner>);

struct Inner {
    upstream: Arc<Upstream>,
    sending: Sending,
    percent: f64,
    route: HeaderValue,
    in_flight: AtomicUsize,
    answered: Counter,
    failed: Counter,
    too_many: Counter,
    too_large: Counter,
}

impl Mirror {
    /// `sending` is how the route's own requests are sent.
    pub(super) fn new(
        config: &MirrorConfig,
        upstream: Arc<Upstream>,
        route: &str,
        sending: Sending,
    ) -> Self {
        let copies = |result: &'static str| counter!(MIRRORED.name, "route" => route.to_owned(), "result" => result);
        Mirror(Arc::new(Inner {
            upstream,
            sending: Sending {
                resend: Resend::Nothing,
                ..sending
            },
            percent: config.percent,
            // A name is letters, digits, `_` and `-`.
            route: HeaderValue::from_str(route).unwrap_or(HeaderValue::from_static("")),
            in_flight: AtomicUsize::new(0),
            answered: copies("answered"),
            failed: copies("failed"),
            too_many: copies("too_many"),
            too_large: copies("too_large"),
        }))
    }

    /// Has a copy of `request` sent, if it is one of those that are copied.
    pub(super) fn copy(&self, request: &mut Request, exchange: &Exchange<'_>) {
        let again = exchange.tried().is_some_and(|tried| tried.count() > 0);
        let switches = request.upgrade.is_some() || request.method == Method::CONNECT;
        if again || switches || fastrand::f64() * 100.0 >= self.0.percent {
            return;
        }
        let Some(place) = Place::take(&self.0) else {
            self.0.too_many.increment(1);
            return;
        };
        let head = self.0.head(request);
        if request.body.size_hint().lower() > LARGEST_BODY as u64 {
            self.0.too_large.increment(1);
            return;
        }
        match request.body.take_full() {
            Some(bytes) => {
                request.body = Body::full(bytes.clone());
                place.send(head, Body::full(bytes));
            }
            None => {
                let body = std::mem::replace(&mut request.body, Body::empty());
                request.body = Body::stream(Copied {
                    body,
                    copy: Some((place, head, BytesMut::new())),
                });
            }
        }
    }
}

impl Inner {
    fn head(&self, request: &Request) -> Box<Request> {
        let mut head = request.without_body();
        head.context.interim = None;
        expect::forget(&mut head.headers);
        head.headers.insert(&MARK, &self.route);
        head
    }

    async fn send(&self, request: Box<Request>) -> Result<(), Error> {
        let last_seen = LastSeen::default();
        let exchange = Exchange::new(&last_seen);
        let sent = self.upstream.send(request, self.sending, &exchange);
        let response = sent.await?;
        let mut body = response.body;
        let mut read = 0;
        while let Some(frame) = body.frame().await {
            read += frame?.data_ref().map_or(0, Bytes::len);
            if read > DRAINED {
                break;
            }
        }
        Ok(())
    }
}

/// One of the copies that may be under way.
struct Place(Arc<Inner>);

impl Place {
    fn take(inner: &Arc<Inner>) -> Option<Self> {
        let before = inner.in_flight.fetch_add(1, Ordering::Relaxed);
        let place = Place(inner.clone());
        (before < MOST_IN_FLIGHT).then_some(place)
    }

    /// Sends the copy as a task of this worker, which ends in time or with it.
    fn send(self, mut request: Box<Request>, body: Body) {
        request.body = body;
        tokio::spawn(async move {
            let inner = &self.0;
            match tokio::time::timeout(LONGEST, inner.send(request)).await {
                Ok(Ok(())) => inner.answered.increment(1),
                Ok(Err(error)) => {
                    inner.failed.increment(1);
                    tracing::debug!(%error, "a copy of a request failed");
                }
                Err(_) => inner.failed.increment(1),
            }
        });
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A request's body that is copied as it goes by; at its end the copy is sent. One that does not come to its end is
/// not.
struct Copied {
    body: Body,
    copy: Option<(Place, Box<Request>, BytesMut)>,
}

impl Copied {
    fn keep(&mut self, data: &Bytes) {
        let Some((place, _, copy)) = &mut self.copy else {
            return;
        };
        if copy.len() + data.len() <= LARGEST_BODY {
            copy.extend_from_slice(data);
        } else {
            place.0.too_large.increment(1);
            self.copy = None;
        }
    }

    fn send_at_end(&mut self) {
        if self.body.is_end_stream()
            && let Some((place, head, copy)) = self.copy.take()
        {
            let body = if copy.is_empty() {
                nothing_but_an_end()
            } else {
                Body::full(copy.freeze())
            };
            place.send(head, body);
        }
    }
}

/// A body without content whose end comes apart from the head, as it came: servers of gRPC wait for it.
fn nothing_but_an_end() -> Body {
    let mut read = Kept::nothing();
    read.note_end();
    read.whole_with(Body::empty()).unwrap_or(Body::empty())
}

impl http_body::Body for Copied {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let polled = ready!(Pin::new(&mut self.body).poll_frame(cx));
        match &polled {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    self.keep(data);
                }
                self.send_at_end();
            }
            Some(Err(_)) => self.copy = None,
            None => self.send_at_end(),
        }
        Poll::Ready(polled)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_above_none_and_up_to_all() {
        for (percent, good) in [
            (0.0, false),
            (0.1, true),
            (100.0, true),
            (100.1, false),
            (f64::NAN, false),
        ] {
            let config = MirrorConfig {
                upstream: "shadow".into(),
                percent,
            };
            let mut problems = Problems::default();
            config.check(&mut problems);
            assert_eq!(!problems.has_errors(), good, "{percent}");
        }
        let config: MirrorConfig = toml::from_str("upstream = \"shadow\"").unwrap();
        assert_eq!(config.percent, 100.0);
    }
}
