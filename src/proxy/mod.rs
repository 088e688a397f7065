//! What every request gets: a route, its policies, and an answer, whatever happens.

use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use http::uri::Authority;
use http::{HeaderName, HeaderValue, Method, header};

use crate::http::boxed::boxed;
use crate::http::error::{BAD_PATH, Error, LOOP_DETECTED, METHOD_NOT_ALLOWED, NO_ROUTE};
use crate::http::exchange::{Exchange, LastSeen};
use crate::http::headers::Headers;
use crate::http::message::{Captures, Context, Request, Response};
use crate::http::path;
use crate::http::peer::{Peer, PeerAddress};
use crate::http::semantics::preflight;
use crate::listener;
use crate::net::dial;
use crate::net::timer;
use crate::policy::answered::Answered;
use crate::policy::stack::Answer;
use crate::route::{Found, Lookup};
use crate::telemetry::flood::{self, Group, Kind};
use crate::telemetry::request_metrics::{NO_ROUTE as NO_ROUTE_LABEL, RouteMetrics};

mod answer;
pub mod choosing;
mod connection;
mod date;
mod delivery;
mod finish;
mod forwarding;
pub mod integrations;
mod known;
mod noted;
mod passing;
pub mod serving;
mod spans;
mod told;
mod upgrade;

pub use crate::tcp::METRICS;
use answer::About;
pub use connection::serve;
pub use delivery::Delivered;
use finish::{Finish, Riding};
use integrations::Host;
use known::Known;
use serving::{Route, Serving};
use told::RefusedHead;

/// The proxy as its connections see it.
pub struct Proxy {
    /// Loaded once a request; no connection holds on to one.
    serving: ArcSwap<Serving>,
    /// Of requests that no route takes.
    unrouted: Arc<RouteMetrics>,
    unnamed: Arc<str>,
    /// What listeners with integrations tell and change.
    host: Arc<dyn Host>,
}

impl Proxy {
    pub fn new(serving: &Arc<Serving>, host: Arc<dyn Host>) -> Self {
        let unrouted = RouteMetrics::new(NO_ROUTE_LABEL);
        let unrouted = unrouted.kept_in(&serving.requests, Duration::MAX);
        Proxy {
            serving: ArcSwap::new(serving.clone()),
            unrouted: Arc::new(unrouted),
            unnamed: "".into(),
            host,
        }
    }

    /// Has `next` serve the requests that arrive from now on.
    pub fn switch_to(&self, next: &Arc<Serving>) {
        self.serving.store(next.clone());
    }

    /// What is known of a request when it arrives.
    fn context(&self, peer: &Arc<Peer>, headers: &Headers) -> Context {
        let request_id = forwarding::request_id(headers);
        Context::new(peer.clone(), self.unnamed.clone(), request_id, timer::now())
    }

    /// Answers a request. Dropping the future ends what is under way for it.
    pub async fn handle(
        &self,
        mut request: Box<Request>,
        listener: &listener::Config,
    ) -> Box<Response> {
        forwarding::receive(&mut request, listener);
        let dialect = request.dialect();
        let received = request.context.received;
        let (finish, routed) = {
            // The guard of what serves must not live across an await.
            let serving = self.serving.load();
            let span = spans::begin(&mut request, &serving);
            let finish = Finish::new(&mut request, dialect, &self.unrouted, &serving, span);
            (finish, find_route(&serving, &mut request, listener))
        };
        let mut riding = boxed(|| Riding::new(finish, Known::of(&request)));
        let (route, outcome) = match routed {
            Ok(Some(route)) => {
                tracing::debug!(
                    route = &*route.name,
                    request_id = riding.known.request_id.as_str(),
                    method = request.method.as_str(),
                    path = request.target.path(),
                    "a route takes a request"
                );
                riding.finish.routed(&route);
                request.context.route = route.name.clone();
                let last_seen = LastSeen::default();
                let exchange = Exchange::new(&last_seen);
                let answer = route.stack.call(request, &exchange);
                let (finish, known) = (&mut riding.finish, &riding.known);
                let outcome = finish.watch(answer, &exchange, known).await;
                (Some(route), outcome)
            }
            Ok(None) => (None, self.integrate(request, listener).await),
            Err(error) => (None, Err(error)),
        };
        let mut response = match outcome {
            Ok(mut response) => {
                forwarding::send_back(&mut response.headers, listener);
                if !response.status.is_informational() {
                    date::tell(&mut response.headers);
                }
                response
            }
            Err(error) => {
                let (finish, known) = (&mut riding.finish, &riding.known);
                let about = About {
                    route: route.as_ref().map_or(NO_ROUTE_LABEL, |route| &*route.name),
                    request_id: known.request_id.as_str(),
                    trace: known.trace,
                    dialect,
                    tells: listener.problem_detail,
                };
                log_failure(&error, &about);
                finish.failed(&error, known);
                let mut response = Box::new(answer::refuse(&error, &about));
                // gRPC has all in the head: there is no document to change.
                if let Some(route) = &route
                    && let Some(change) = route.change_failure
                    && !dialect.is_grpc()
                {
                    let answered = Answered {
                        route: route.name.clone(),
                        request_id: known.request_id.to_string(),
                        took: received.elapsed(),
                    };
                    change(&mut response, answered);
                }
                response
            }
        };
        riding.answered(&mut response);
        response
    }

    /// Answers what a listener with integrations answers itself.
    #[cold]
    fn integrate<'a>(
        &'a self,
        request: Box<Request>,
        listener: &'a listener::Config,
    ) -> Answer<'a> {
        match &listener.integrations.0 {
            Some(settings) => Box::pin(integrations::answer(self, request, listener, settings)),
            None => Box::pin(ready(Err(Error::new(
                NO_ROUTE,
                "no route matches this request",
            )))),
        }
    }

    /// The answer to a request whose head was refused.
    #[cold]
    pub fn refuse(
        &self,
        mut error: Error,
        peer: &Arc<Peer>,
        listener: &listener::Config,
    ) -> Box<Response> {
        let outline = *error.take_outline().unwrap_or_default();
        let request_id = forwarding::request_id(&outline.headers);
        let known = Known::of_head(&outline, request_id);
        let about = About {
            route: NO_ROUTE_LABEL,
            request_id: known.request_id.as_str(),
            trace: known.trace,
            dialect: outline.dialect(),
            tells: listener.problem_detail,
        };
        log_failure(&error, &about);
        let mut response = Box::new(answer::refuse(&error, &about));
        let head = RefusedHead {
            client: forwarding::client_address(peer, &outline.headers, &listener.trusted_proxies),
            outline,
            peer: peer.clone(),
            request_id: known.request_id.clone(),
            trace: known.trace,
        };
        let mut finish = Finish::of_head(head, &self.unrouted, &self.serving.load());
        finish.failed(&error, &known);
        Box::new(Riding::new(finish, known)).answered(&mut response);
        response
    }

    /// Counts and logs a request whose head was refused and that gets no answer.
    pub fn refuse_silently(&self, error: Error, peer: &Arc<Peer>, listener: &listener::Config) {
        self.refuse(error, peer, listener).body.withhold();
    }
}

/// Normalises the path, and finds the route; none where the listener answers itself.
///
/// Inlined although `explain` asks for it as well: with `forwarding::receive`, the calls are 100 instructions a request.
#[inline(always)]
fn find_route(
    serving: &Serving,
    request: &mut Request,
    listener: &listener::Config,
) -> Result<Option<Arc<Route>>, Error> {
    let encoded_separators = path::normalise_in_place(&mut request.target)?;
    if listener.transparent {
        refuse_loop(request)?;
    }
    if listener.integrations.0.is_some() && integrations::answers(request.target.path()) {
        return Ok(None);
    }
    let lookup = Lookup {
        listener: &request.context.peer.listener,
        host: request.authority.as_ref().map(Authority::as_str),
        method: &request.method,
        path: request.target.path(),
        encoded_separators,
        query: request.target.query(),
        headers: &request.headers,
    };
    if let Some((route, captures)) = find_preflight(serving, request, &lookup) {
        request.context.captures = captures;
        return Ok(Some(route));
    }
    match serving.table.find(&lookup) {
        Found::Route { value, captures } => {
            request.context.captures = captures;
            Ok(Some(value.clone()))
        }
        Found::BadPath => Err(Error::new(
            BAD_PATH,
            "the path has an encoded slash, backslash or NUL, which no route here allows",
        )),
        Found::MethodNotAllowed { allow } => {
            let names: Vec<&str> = allow.iter().map(Method::as_str).collect();
            let error = Error::new(
                METHOD_NOT_ALLOWED,
                "a route matches, but not for this method",
            );
            Err(match HeaderValue::from_str(&names.join(", ")) {
                Ok(allow) => error.with_header(header::ALLOW, allow),
                Err(_) => error,
            })
        }
        Found::NoRoute => Err(Error::new(NO_ROUTE, "no route matches this request")),
    }
}

/// Refuses what this proxy itself has sent, and the kernel has sent back to it.
fn refuse_loop(request: &Request) -> Result<(), Error> {
    let peer = &request.context.peer;
    match peer.address {
        PeerAddress::Tcp(caller) if peer.original.is_some() && dial::is_ours(caller) => {
            let error = Error::new(LOOP_DETECTED, "the request has come back to this proxy");
            Err(error.because(
                "the proxy's own connections are redirected to it: exclude its user (`--proxy-uid`)",
            ))
        }
        _ => Ok(()),
    }
}

/// The route of the request that a CORS preflight announces, if that route answers preflights. Otherwise it is a
/// request like any other: the application behind may know CORS itself.
fn find_preflight(
    serving: &Serving,
    request: &Request,
    lookup: &Lookup<'_>,
) -> Option<(Arc<Route>, Captures)> {
    let method = preflight::announced_method(&request.method, &request.headers)?;
    let lookup = Lookup {
        method: &method,
        ..*lookup
    };
    let announces = |name: &HeaderName| preflight::announces_header(&request.headers, name);
    let (route, captures) = serving.table.find_announced(&lookup, announces)?;
    route.answers_preflights.then(|| (route.clone(), captures))
}

/// Requests that failed at an upstream, or because of the proxy.
static FAILED: Kind = Kind {
    message: "a request failed",
    severe: true,
    first: 10,
};

/// What an operator must look into is a warning; what callers do to themselves is not.
fn log_failure(error: &Error, about: &About<'_>) {
    let (route, request_id) = (about.route, about.request_id);
    if error.status().is_server_error() {
        let by = error.served_by();
        let upstream = by.map(|by| &by.upstream);
        let endpoint = by.and_then(|by| by.endpoint.as_ref());
        let group = Group {
            route: Some(route.into()),
            upstream: upstream.cloned(),
            endpoint: endpoint.cloned(),
            reason: Some(error.reason().name),
            ..Group::default()
        };
        if flood::passes(&FAILED, group) {
            let (upstream, endpoint) = (upstream.map(|name| &**name), endpoint.map(|name| &**name));
            let attempts = by.map(|by| by.attempts);
            tracing::warn!(
                route, upstream, endpoint, attempts, request_id, %error, "{}", FAILED.message
            );
        }
    } else {
        tracing::debug!(route, request_id, %error, "a request was refused");
    }
}
