//! What a route may ask for, and in which order a request meets it.
//!
//! A policy is one file: its config block, behaviour, metrics and unit tests. Its block is a [`table::Block`], and what
//! is made of it a [`stack::Filter`] or a [`stack::Policy`]. It adds its line here, to the list, beside its `mod`: from the
//! list come the keys of a route, their defaults and checks, what is counted, and the order of the stack.

use crate::value::Toggle;

pub mod authorize;
pub mod body_transform;
pub mod build;
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

table::policies! {
    interim_responses: interim_responses::Config => filter interim_responses::DropInterim;
    cors: Toggle<cors::Config> => policy cors::Cors;
    authorize: Toggle<authorize::Config> => filter authorize::Authorize;
    jwt: Toggle<jwt::Config> => policy jwt::Jwt;
    // What a token says is known behind `jwt`.
    authorize => filter authorize::AuthorizeClaims;
    rate_limit: Toggle<rate_limit::Config> => filter rate_limit::RateLimit;
    concurrency_limit: Toggle<concurrency_limit::Config> => filter concurrency_limit::ConcurrencyLimit;
    request: Toggle<headers::RequestConfig>;
    response: Toggle<headers::ResponseConfig> => filter headers::ChangeHeaders => policy body_transform::TransformBody;
    timeout: Toggle<timeout::UntilHead>;
    idle_timeout: Toggle<timeout::Idle>;
    deadline: Toggle<timeout::Whole> => always timeout::Timeout;
    retry: Toggle<retry::Config> => policy retry::Retry;
    circuit_breaker: Toggle<circuit_breaker::Config> => filter circuit_breaker::CircuitBreaker;
    credentials: Toggle<credentials::Config> => policy credentials::Credentials;
    graphql: Toggle<graphql::Config> => policy graphql::GraphQl;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::error::UPSTREAM_TIMEOUT;
    use crate::http::exchange::Exchange;
    use crate::http::handler::{Answer, Handler};
    use crate::http::message::Request;
    use crate::testing::{Echo, next, request};
    use crate::value::problem::Problems;
    use build::{Build, Kept};

    fn stacked(config: &str, target: Box<dyn Handler>) -> Box<dyn Handler> {
        let mut kept = Kept::default();
        let config: Config = toml::from_str(config).unwrap();
        let old = Kept::default();
        config.stack(&mut Build::new("r".into(), &old, &mut kept), target)
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
