//! What a route may ask for, and in which order a request meets it.
//!
//! A policy is one file: its config block, behaviour, metrics and unit tests. Its block is a [`table::Block`]. It adds
//! three lines here: its module, its key in the list of blocks, and its layer in [`stack`].

use serde::{Deserialize, Serialize};
use tower::ServiceBuilder;

use crate::value::exposition::Metric;
use crate::value::problem::Problems;
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
pub mod table;
pub mod timeout;
pub mod validate;

use authorize::Authorize;
use circuit_breaker::CircuitBreaker;
use concurrency_limit::ConcurrencyLimit;
use interim_responses::DropInterim;
use stack::{Build, FilteredLayer, Handler, WithLayer};
use table::{Block, Summary};

table::blocks! {
    /// Whether 1xx answers of the upstream go to callers. Default: they do.
    interim_responses: interim_responses::Config = interim_responses::Config::Pass;
    cors: Toggle<cors::Config>;
    authorize: Toggle<authorize::Config>;
    jwt: Toggle<jwt::Config>;
    rate_limit: Toggle<rate_limit::Config>;
    concurrency_limit: Toggle<concurrency_limit::Config>;
    request: Toggle<headers::RequestConfig>;
    response: Toggle<headers::ResponseConfig>;
    /// Until the head of the response, from when the upstream has all of the request that has arrived.
    /// Default: 15 s.
    timeout: Toggle<Limit> = Toggle::On(Limit(Some(timeout::DEFAULT_TIMEOUT)));
    /// The longest time in which nothing passes either way, once the head of the response is here. Default: 5 min.
    idle_timeout: Toggle<Limit> = Toggle::On(Limit(Some(timeout::DEFAULT_IDLE_TIMEOUT)));
    /// The whole exchange, its bodies included. Default: none.
    deadline: Toggle<Limit> = Toggle::On(Limit::NONE);
    /// Which failed requests are sent again. Default: once, what certainly was not processed.
    retry: Toggle<retry::Config>;
    circuit_breaker: Toggle<circuit_breaker::Config>;
    credentials: Toggle<credentials::Config>;
    graphql: Toggle<graphql::Config>;
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
        any.then_some((rate, (at_once, headers)))
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
        .layer(FilteredLayer::new(above_transform, transform))
        .layer(FilteredLayer::new(above_timeout, Some(timeout)))
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
    use crate::http::exchange::Exchange;
    use crate::http::message::Request;
    use crate::testing::{Echo, next, request};
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
        fn call<'a>(&'a self, _: Box<Request>, _: &'a Exchange<'a>) -> Answer<'a> {
            Box::pin(std::future::pending())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_route_without_policies_has_the_default_timeout() {
        let answer = next(&*stacked("", Box::new(Never)))
            .call(request("GET", "/"))
            .await;
        assert_eq!(answer.unwrap_err().reason(), UPSTREAM_TIMEOUT);
    }

    #[tokio::test]
    async fn who_may_not_call_is_refused_before_all_else() {
        let config = "authorize.cidrs = [\"10.0.0.0/8\"]\nrequest.set_headers = { a = \"b\" }";
        let stack = stacked(config, Box::new(Echo));
        let refused = next(&*stack).call(request("GET", "/")).await.unwrap_err();
        assert_eq!(refused.reason(), authorize::FORBIDDEN);
        let mut allowed = request("GET", "/");
        allowed.context.client = Some([10, 0, 0, 1].into());
        let answer = next(&*stack).call(allowed).await.unwrap();
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
