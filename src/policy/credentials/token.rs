//! A token that is kept fresh, and the requests that carry it.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderValue, StatusCode, header};
use metrics::{Counter, Gauge, counter, gauge};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::oauth2::{Settings, granted};
use super::refusal::CREDENTIALS_UNAVAILABLE;
use crate::fetch::Fetch;
use crate::http::error::Error;
use crate::http::grpc::Status;
use crate::http::message::{Request, Response};
use crate::http::semantics::{expect, retry_after};
use crate::policy::build::{Build, ShowState};
use crate::policy::fresh::{Fresh, Held, Obtain, Obtained, Unavailable};
use crate::policy::replay::Replay;
use crate::policy::stack::Next;
use crate::value::exposition::Metric;

pub(super) const REFRESHES: Metric = Metric::counter(
    "outrigger_credential_refreshes_total",
    "Fetches of an OAuth2 token, by how they ended.",
);
pub(super) const EXPIRY: Metric = Metric::gauge(
    "outrigger_credential_expiry_timestamp_seconds",
    "When the OAuth2 token of a route expires, in seconds since 1970.",
);

/// The longest that a request waits for a token.
const WAIT: Duration = Duration::from_secs(5);
/// Up to here a request's body is kept, to be sent again with a new token.
const KEPT_BODY: u64 = 64 << 10;
/// So long before its end a token counts as expired, as it still has to get there: a tenth of its life at most.
const MARGIN: Duration = Duration::from_secs(5);

#[derive(Clone)]
struct Token {
    authorization: HeaderValue,
    expires: Instant,
    /// The same for people.
    expires_at: SystemTime,
}

/// Where a route's tokens come from.
pub(in crate::policy) struct TokenSource(Arc<Facts>);

/// Kept over reloads with the same settings.
struct Facts {
    settings: Arc<Settings>,
    fresh: Fresh<Token>,
}

impl TokenSource {
    pub fn new(settings: &Arc<Settings>, build: &mut Build<'_>) -> Self {
        let (route, fetch) = (build.route.clone(), build.fetch());
        let rehearses = build.rehearses();
        let facts = build.keep_if(|old: Option<Arc<Facts>>| match old {
            Some(old) if old.settings == *settings && !rehearses => old,
            old => {
                // A token outlives the secret that it was fetched with, until there is a new one.
                let same = old.filter(|old| old.settings.same_token(settings));
                let seed = same.and_then(|old| old.fresh.now().map(|held| held.value.clone()));
                Arc::new(Facts {
                    settings: settings.clone(),
                    fresh: Fresh::start(seed, obtain(settings.clone(), fetch, &route)),
                })
            }
        });
        build.show(facts.clone());
        TokenSource(facts)
    }

    /// Sends the request with a token, and once more with a new one if that is refused.
    pub async fn call(
        &self,
        mut request: Box<Request>,
        next: Next<'_>,
    ) -> Result<Box<Response>, Error> {
        let token = self.token().await?;
        let replay = Replay::keep(&mut request, KEPT_BODY);
        // What is not sent again here may still be by whoever stands above.
        let own = replay.back();
        let back = next.exchange.back().unwrap_or(&own);
        let exchange = next.exchange.attempt(back);
        let next = next.within(&exchange);
        attach(&mut request, &token);
        let response = next.call(request).await?;
        if !is_refused(&response) {
            return Ok(response);
        }
        if !replay.is_possible(back.request().as_deref()) {
            tracing::debug!(
                "a token was refused, and the request's body is not kept to send it again"
            );
            return Ok(response);
        }
        let fresh = &self.0.fresh;
        if !fresh.ask(token.version) {
            return Ok(response);
        }
        let Ok(newer) = fresh.newer(token.version, WAIT).await else {
            return Ok(response);
        };
        if !newer.value.is_valid() {
            return Ok(response);
        }
        let failed = back.request().take();
        match replay.again(failed) {
            Some(mut again) => {
                let trail = next.exchange.trail();
                trail.acted(
                    "credentials",
                    "sends it again with a new token, as the first was refused",
                );
                drop(response);
                expect::forget(&mut again.headers);
                attach(&mut again, &newer);
                next.call(again).await
            }
            None => Ok(response),
        }
    }

    async fn token(&self) -> Result<Arc<Held<Token>>, Error> {
        let fresh = &self.0.fresh;
        let held = fresh.now();
        let seen = match held {
            Some(held) if held.value.is_valid() => return Ok(held),
            held => held.map_or(0, |held| held.version),
        };
        match fresh.newer(seen, WAIT).await {
            Ok(held) if held.value.is_valid() => Ok(held),
            Ok(_) => Err(unavailable(Duration::ZERO)),
            Err(Unavailable(wait)) => Err(unavailable(wait)),
        }
    }
}

fn unavailable(wait: Duration) -> Error {
    Error::new(
        CREDENTIALS_UNAVAILABLE,
        "no token is to be had that the upstream would take",
    )
    .with_header(header::RETRY_AFTER, retry_after::write(wait))
}

fn attach(request: &mut Request, token: &Held<Token>) {
    let value = &token.value.authorization;
    request.headers.insert(&header::AUTHORIZATION, value);
}

/// gRPC says it in a header when there is nothing else to say.
fn is_refused(response: &Response) -> bool {
    response.status == StatusCode::UNAUTHORIZED
        || Status::in_head(&response.headers).is_some_and(Status::refuses_credentials)
}

impl Token {
    fn is_valid(&self) -> bool {
        Instant::now() < self.expires
    }
}

fn obtain(settings: Arc<Settings>, fetch: Arc<dyn Fetch>, route: &Arc<str>) -> Obtain<Token> {
    let counted = |result| counter!(REFRESHES.name, "route" => route.clone(), "result" => result);
    let reporter = Arc::new(Reporter {
        route: route.clone(),
        refreshed: counted("refreshed"),
        failed: counted("failed"),
        expiry: gauge!(EXPIRY.name, "route" => route.clone()),
    });
    Box::new(move || {
        let (settings, fetch, reporter) = (settings.clone(), fetch.clone(), reporter.clone());
        Box::pin(async move { reporter.report(fetch_token(&settings, &*fetch).await) })
    })
}

async fn fetch_token(settings: &Settings, fetch: &dyn Fetch) -> Obtained<Token> {
    // Its life counts from before it was asked for: later than it is granted, it never expires.
    let (asked, asked_at) = (Instant::now(), SystemTime::now());
    let grant = granted(&fetch.fetch(settings.call()).await?)?;
    let margin = MARGIN.min(grant.life / 10);
    let token = Token {
        authorization: grant.authorization,
        expires: asked + grant.life - margin,
        expires_at: asked_at + grant.life,
    };
    Ok((token, grant.life / 2))
}

/// Tells metrics and the log of each fetch.
struct Reporter {
    route: Arc<str>,
    refreshed: Counter,
    failed: Counter,
    expiry: Gauge,
}

impl Reporter {
    fn report(&self, obtained: Obtained<Token>) -> Obtained<Token> {
        let route = &*self.route;
        match &obtained {
            Ok((token, _)) => {
                self.refreshed.increment(1);
                let expires = token.expires_at.duration_since(UNIX_EPOCH);
                self.expiry.set(expires.unwrap_or_default().as_secs_f64());
                tracing::debug!(route, "a token was fetched");
            }
            Err(why) => {
                self.failed.increment(1);
                tracing::warn!(route, "no token could be fetched: {why}");
            }
        }
        obtained
    }
}

impl ShowState for Facts {
    fn state(&self) -> Value {
        let held = self.fresh.now();
        let token = match &held {
            None => "none",
            Some(held) if held.value.is_valid() => "valid",
            Some(_) => "expired",
        };
        let expires_at = held.map(|held| held.value.expires_at);
        let seconds_left = expires_at.map(|at| match at.duration_since(SystemTime::now()) {
            Ok(left) => left.as_secs_f64(),
            Err(past) => -past.duration().as_secs_f64(),
        });
        json!({
            "token": token,
            "expires_at": expires_at.map(|at| humantime::format_rfc3339_seconds(at).to_string()),
            "seconds_left": seconds_left,
            "last_error": self.fresh.last_error().as_deref(),
        })
    }
}
