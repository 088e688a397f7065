//! What a route may ask for, and in which order a request meets it.
//!
//! A policy is one file: its config block, behaviour, metrics and unit tests. It adds three lines here: its
//! module, its field in [`Config`] and its layer in [`stack`].

use serde::{Deserialize, Serialize};

use crate::problem::Problems;
use crate::value::{NotBuilt, Toggle};

pub mod authorize;
pub mod headers;
pub mod stack;
pub mod timeout;

/// The policy keys of `[routes.NAME]` and `[defaults]`, in the order in which a request meets them.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    #[serde(skip_serializing)]
    pub cors: Option<Toggle<NotBuilt>>,
    pub authorize: Option<Toggle<authorize::Config>>,
    #[serde(skip_serializing)]
    pub jwt: Option<Toggle<NotBuilt>>,
    #[serde(skip_serializing)]
    pub rate_limit: Option<Toggle<NotBuilt>>,
    #[serde(skip_serializing)]
    pub concurrency_limit: Option<Toggle<NotBuilt>>,
    pub request: Option<Toggle<headers::RequestConfig>>,
    pub response: Option<Toggle<headers::ResponseConfig>>,
    pub timeout: Option<Toggle<crate::value::Limit>>,
    pub idle_timeout: Option<Toggle<crate::value::Limit>>,
    pub deadline: Option<Toggle<crate::value::Limit>>,
    pub retry: Option<Toggle<NotBuilt>>,
    #[serde(skip_serializing)]
    pub circuit_breaker: Option<Toggle<NotBuilt>>,
    #[serde(skip_serializing)]
    pub credentials: Option<Toggle<NotBuilt>>,
    #[serde(skip_serializing)]
    pub graphql: Option<Toggle<NotBuilt>>,
}

impl Config {
    /// These policies, and the defaults for what is not set here. `false` counts as set.
    pub fn or(self, defaults: &Config) -> Config {
        // Without `..`, so that a forgotten policy does not compile.
        let Config {
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

    /// What deserializing alone cannot see.
    pub fn check(&self, _problems: &mut Problems) {}
}
