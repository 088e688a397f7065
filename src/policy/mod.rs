//! What a route may ask for, and in which order a request meets it.
//!
//! A policy is one file: its config block, behaviour, metrics and unit tests. It adds three lines here: its
//! module, its field in [`Config`] and its layer in [`stack`].

use serde::{Deserialize, Serialize};
use tower::ServiceBuilder;

use crate::fetch::Private;
use crate::tls::inventory::Inventory;
use crate::value::problem::Problems;
use crate::value::template::HeaderTemplate;
use crate::value::{Limit, Toggle};

pub mod authorize;
pub mod body_transform;
pub mod circuit_breaker;
pub mod concurrency_limit;
pub mod cors;
pub mod credentials;
mod fresh;
pub mod graphql;
pub mod headers;
pub mod interim_responses;
pub mod jwt;
pub mod rate_limit;
mod replay;
pub mod retry;
pub mod stack;
pub mod timeout;
pub mod validate;

use authorize::Authorize;
use circuit_breaker::CircuitBreaker;
use concurrency_limit::ConcurrencyLimit;
use interim_responses::DropInterim;
use stack::{AroundLayer, Build, Handler, WithLayer};

/// The policy keys of `[routes.NAME]` and `[defaults]`, in the order in which a request meets them.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Whether 1xx answers of the upstream go to callers. Default: they do.
    pub interim_responses: Option<interim_responses::Config>,
    pub cors: Option<Toggle<cors::Config>>,
    pub authorize: Option<Toggle<authorize::Config>>,
    pub jwt: Option<Toggle<jwt::Config>>,
    pub rate_limit: Option<Toggle<rate_limit::Config>>,
    pub concurrency_limit: Option<Toggle<concurrency_limit::Config>>,
    pub request: Option<Toggle<headers::RequestConfig>>,
    pub response: Option<Toggle<headers::ResponseConfig>>,
    /// Until the head of the response, from when the upstream has all of the request that has arrived.
    /// Default: 15 s.
    pub timeout: Option<Toggle<Limit>>,
    /// The longest time in which nothing passes either way, once the head of the response is here. Default: 5 min.
    pub idle_timeout: Option<Toggle<Limit>>,
    /// The whole exchange, its bodies included. Default: none.
    pub deadline: Option<Toggle<Limit>>,
    /// Which failed requests are sent again. Default: once, what certainly was not processed.
    pub retry: Option<Toggle<retry::Config>>,
    pub circuit_breaker: Option<Toggle<circuit_breaker::Config>>,
    pub credentials: Option<Toggle<credentials::Config>>,
    pub graphql: Option<Toggle<graphql::Config>>,
}

impl Config {
    /// These policies, and the defaults for what is not set here. `false` counts as set.
    pub fn or(self, defaults: &Config) -> Config {
        // Without `..`, so that a forgotten policy does not compile.
        let Config {
            interim_responses,
            cors,
            authorize,
            jwt,
            rate_limit,
            concurrency_limit,
            request,
            response,
            timeout,
            idle_timeout,
            deadline,
            retry,
            circuit_breaker,
            credentials,
            graphql,
        } = defaults.clone();
        Config {
            interim_responses: self.interim_responses.or(interim_responses),
            cors: self.cors.or(cors),
            authorize: self.authorize.or(authorize),
            jwt: self.jwt.or(jwt),
            rate_limit: self.rate_limit.or(rate_limit),
            concurrency_limit: self.concurrency_limit.or(concurrency_limit),
            request: self.request.or(request),
            response: self.response.or(response),
            timeout: self.timeout.or(timeout),
            idle_timeout: self.idle_timeout.or(idle_timeout),
            deadline: self.deadline.or(deadline),
            retry: self.retry.or(retry),
            circuit_breaker: self.circuit_breaker.or(circuit_breaker),
            credentials: self.credentials.or(credentials),
            graphql: self.graphql.or(graphql),
        }
    }

    /// The same with what holds where nobody says anything.
    pub fn with_defaults(mut self) -> Config {
        if let Some(Toggle::On(request)) = &mut self.request {
            request
                .require_json
                .get_or_insert(request.validate.is_some());
        }
        if let Some(Toggle::On(response)) = &mut self.response {
            response.with_defaults();
        }
        let on = |length| Toggle::On(Limit(Some(length)));
        self.timeout.get_or_insert(on(timeout::DEFAULT_TIMEOUT));
        let idle = on(timeout::DEFAULT_IDLE_TIMEOUT);
        self.idle_timeout.get_or_insert(idle);
        (self.interim_responses).get_or_insert(interim_responses::Config::Pass);
        self.deadline.get_or_insert(Toggle::On(Limit::NONE));
        self
    }

    /// Whether a request that certainly was not processed is sent once more: `retry = false` says never.
    pub fn resends(&self) -> bool {
        !matches!(self.retry, Some(Toggle::Off))
    }

    /// Whether this route says itself which requests are sent again.
    pub fn retries(&self) -> bool {
        on(&self.retry).is_some()
    }

    /// Whether a value names the upstream that gets the request, so that it has to be settled first.
    pub fn names_upstream(&self) -> bool {
        let request = on(&self.request).is_some_and(headers::RequestConfig::names_upstream);
        request || on(&self.response).is_some_and(headers::ResponseConfig::names_upstream)
    }

    /// What is wrong only with policies beside each other, those of `[defaults]` included.
    pub fn check_together(&self, problems: &mut Problems) {
        let asks_claims = on(&self.authorize).is_some_and(|authorize| !authorize.claims.is_empty());
        if asks_claims && on(&self.jwt).is_none() {
            problems
                .error(
                    &["authorize", "claims"],
                    "claims are those of a verified token, and the route has no `jwt`",
                )
                .help("set `jwt` on the route or in `[defaults]`");
        }
        if let Some(claim) = on(&self.rate_limit).and_then(rate_limit::claim)
            && on(&self.jwt).is_none()
        {
            problems
                .error(
                    &["rate_limit"],
                    format!("`{claim}` is a claim of a verified token, and the route has no `jwt`"),
                )
                .help("set `jwt` on the route or in `[defaults]`");
        }
        self.check_attempts(problems);
        let tells_errors = on(&self.graphql).is_some_and(|graphql| graphql.errors_are_failures);
        if on(&self.circuit_breaker).is_some_and(circuit_breaker::Config::counts_graphql)
            && !tells_errors
        {
            problems
                .warning(
                    &["circuit_breaker", "failures"],
                    "\"graphql\" never happens: the route has no `graphql` that makes failures of errors",
                )
                .help("set `graphql = {}` on the route or in `[defaults]`");
        }
    }

    /// An attempt that may take as long as all of them together is never followed by another.
    fn check_attempts(&self, problems: &mut Problems) {
        let whole = match &self.timeout {
            None => Some(timeout::DEFAULT_TIMEOUT),
            Some(Toggle::Off) => None,
            Some(Toggle::On(limit)) => limit.0,
        };
        let each = on(&self.retry).and_then(|retry| retry.per_try_timeout);
        if let (Some(whole), Some(each)) = (whole, each)
            && each.0 >= whole
        {
            let whole = Limit(Some(whole));
            problems
                .warning(
                    &["retry", "per_try_timeout"],
                    format!("has no effect: `timeout` ends all attempts together after {whole}"),
                )
                .help("make it shorter than `timeout`, so that there is time for another attempt");
        }
    }

    /// The CAs by which policies believe other servers.
    pub fn certificates(&self) -> Inventory {
        let keys = on(&self.jwt).map(|jwt| &jwt.jwks.private);
        let oauth2 = on(&self.credentials).and_then(|credentials| credentials.oauth2.as_ref());
        let mut all = Inventory::default();
        for (place, private) in [
            (["jwt", "jwks"], keys),
            (
                ["credentials", "oauth2"],
                oauth2.map(|oauth2| &oauth2.private),
            ),
        ] {
            if let Some(found) = private.and_then(Private::inventory) {
                all.append(&place, found);
            }
        }
        all
    }

    /// Whether callers are counted by who they have proven to be.
    pub fn limits_identities(&self) -> bool {
        on(&self.rate_limit).is_some_and(rate_limit::counts_identities)
    }

    /// Whether answers are put into an envelope, also those that the proxy makes out of a failure.
    pub fn has_envelope(&self) -> bool {
        on(&self.response).is_some_and(|response| response.envelope)
    }

    /// The values of headers, each behind the keys that lead to it.
    pub fn values(&self) -> Vec<([String; 3], HeaderTemplate)> {
        let request = on(&self.request).into_iter();
        let request = request.flat_map(headers::RequestConfig::values);
        let response = on(&self.response).into_iter();
        let response = response.flat_map(headers::ResponseConfig::values);
        let request = request.map(|value| ("request", value));
        request
            .chain(response.map(|value| ("response", value)))
            .map(|(block, ([key, header], value))| ([block.to_owned(), key, header], value))
            .collect()
    }

    /// Whether preflights of CORS are answered here, and not by the upstream.
    pub fn answers_preflights(&self) -> bool {
        on(&self.cors).is_some()
    }

    /// What deserializing alone cannot see.
    pub fn check(&self, problems: &mut Problems) {
        if let Some(cors) = on(&self.cors) {
            problems.within(&["cors"], |problems| cors.check(problems));
        }
        if let Some(authorize) = on(&self.authorize) {
            problems.within(&["authorize"], |problems| authorize.check(problems));
        }
        if let Some(jwt) = on(&self.jwt) {
            problems.within(&["jwt"], |problems| jwt.check(problems));
        }
        if let Some(limits) = on(&self.rate_limit) {
            problems.within(&["rate_limit"], |problems| {
                rate_limit::check(limits, problems);
            });
        }
        if let Some(limit) = on(&self.concurrency_limit) {
            problems.within(&["concurrency_limit"], |problems| limit.check(problems));
        }
        if let Some(request) = on(&self.request) {
            problems.within(&["request"], |problems| request.check(problems));
        }
        if let Some(response) = on(&self.response) {
            problems.within(&["response"], |problems| response.check(problems));
        }
        if let Some(breaker) = on(&self.circuit_breaker) {
            problems.within(&["circuit_breaker"], |problems| breaker.check(problems));
        }
        if let Some(credentials) = on(&self.credentials) {
            problems.within(&["credentials"], |problems| credentials.check(problems));
        }
        if let Some(graphql) = on(&self.graphql) {
            problems.within(&["graphql"], |problems| graphql.check(problems));
        }
        for (key, limit) in [
            ("timeout", &self.timeout),
            ("idle_timeout", &self.idle_timeout),
            ("deadline", &self.deadline),
        ] {
            timeout::check(key, on(limit), problems);
        }
        if let Some(retry) = on(&self.retry) {
            problems.within(&["retry"], |problems| retry.check(problems));
        }
    }
}

/// Lays the policies that `config` asks for over `target`: the first line is met first.
pub fn stack(config: &Config, build: &mut Build<'_>, target: Box<dyn Handler>) -> Box<dyn Handler> {
    // Without `..`, so that a policy that is not laid does not compile.
    let Config {
        interim_responses,
        cors,
        authorize,
        jwt,
        rate_limit,
        concurrency_limit,
        request,
        response,
        timeout,
        idle_timeout,
        deadline,
        retry,
        circuit_breaker,
        credentials,
        graphql,
    } = config;
    let jwt = on(jwt).and_then(|config| jwt::Jwt::new(config, build));
    let credentials =
        on(credentials).and_then(|config| credentials::Credentials::new(config, build));
    let limits_and_headers = {
        let rate = on(rate_limit).map(|limits| rate_limit::RateLimit::new(limits, build));
        let at_once = on(concurrency_limit).map(|limit| ConcurrencyLimit::new(limit, build));
        let headers = headers::ChangeHeaders::new(on(request), on(response));
        let any = rate.is_some() || at_once.is_some() || headers.is_some();
        any.then_some((rate, at_once, headers))
    };
    let transform = body_transform::TransformBody::new(on(request), on(response), build);
    let timeout = timeout::Timeout::new(timeout, idle_timeout, deadline);
    // They run in the future of whichever comes first.
    let (above_transform, above_timeout) = match transform {
        Some(_) => (limits_and_headers, None),
        None => (None, limits_and_headers),
    };
    let retry = on(retry).map(|config| retry::Retry::new(config, build));
    let breaker = on(circuit_breaker).map(|breaker| CircuitBreaker::new(breaker, build));
    // Each attempt is judged by itself.
    let (retry, breaker) = match retry {
        Some(retry) => (Some(retry.judging_each(breaker)), None),
        None => (None, breaker),
    };
    ServiceBuilder::new()
        .layer(WithLayer::new(DropInterim::new(*interim_responses)))
        .layer(WithLayer::new(on(cors).map(cors::Cors::new)))
        .layer(WithLayer::new(on(authorize).and_then(Authorize::new)))
        .layer(WithLayer::new(jwt))
        .layer(WithLayer::new(on(authorize).and_then(Authorize::of_claims)))
        .layer(AroundLayer::new(above_transform, transform))
        .layer(AroundLayer::new(above_timeout, Some(timeout)))
        .layer(WithLayer::new(retry))
        .layer(WithLayer::new(breaker))
        .layer(WithLayer::new(credentials))
        .layer(WithLayer::new(on(graphql).map(graphql::GraphQl::new)))
        .service(target)
}

fn on<T>(policy: &Option<Toggle<T>>) -> Option<&T> {
    policy.as_ref().and_then(Toggle::on)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::error::UPSTREAM_TIMEOUT;
    use crate::http::message::Request;
    use crate::testing::{Echo, request};
    use stack::{Answer, Kept};

    fn stacked(config: &str, target: Box<dyn Handler>) -> Box<dyn Handler> {
        let mut kept = Kept::default();
        let config: Config = toml::from_str(config).unwrap();
        let old = Kept::default();
        stack(
            &config,
            &mut Build::new("r".into(), &old, &mut kept),
            target,
        )
    }

    struct Never;

    impl Handler for Never {
        fn call<'a>(&'a self, _: Box<Request>) -> Answer<'a> {
            Box::pin(std::future::pending())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_route_without_policies_has_the_default_timeout() {
        let answer = stacked("", Box::new(Never)).call(request("GET", "/")).await;
        assert_eq!(answer.unwrap_err().reason(), UPSTREAM_TIMEOUT);
    }

    #[tokio::test]
    async fn who_may_not_call_is_refused_before_all_else() {
        let config = "authorize.cidrs = [\"10.0.0.0/8\"]\nrequest.set_headers = { a = \"b\" }";
        let stack = stacked(config, Box::new(Echo));
        let refused = stack.call(request("GET", "/")).await.unwrap_err();
        assert_eq!(refused.reason(), authorize::FORBIDDEN);
        let mut allowed = request("GET", "/");
        allowed.context.client = Some([10, 0, 0, 1].into());
        let answer = stack.call(allowed).await.unwrap();
        assert_eq!(answer.headers.get(&"a".parse().unwrap()), Some(&b"b"[..]));
    }

    #[test]
    fn problems_stand_at_their_keys() {
        let config: Config = toml::from_str(
            r#"
            timeout = "0s"
            authorize = { cidrs = [] }
            request = { set_headers = { host = "a" } }
            response = { remove_headers = ["connection"] }
            cors = false"#,
        )
        .unwrap();
        let mut problems = Problems::default();
        config.check(&mut problems);
        let places: Vec<_> = problems.into_vec().iter().map(|p| p.at.join(".")).collect();
        let expected = [
            "authorize.cidrs",
            "request.set_headers.host",
            "response.remove_headers.0",
            "timeout",
        ];
        assert_eq!(places, expected);
    }
}
