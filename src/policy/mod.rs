//! What a route may ask for, and in which order a request meets it.
//!
//! # To add a policy
//!
//! 1. Write it, in a file `policy/KEY/mod.rs`, or `policy/KEY.rs` while it is short:
//!    - `Config`, what stands under its key, is read by serde, denies unknown fields and takes its types from
//!      [`crate::value`]: what a type refuses while it is read is shown at its place. It implements [`table::Block`], all
//!      of which has a default: implement what the policy needs of `METRICS`, `ORDERS` (what operators may order of it by
//!      `PUT /routes/{name}/WORD`), `by_default` (it is there where nobody asks for it), `with_defaults` (what holds depends
//!      on the rest of the block; a constant is `#[serde(default = "...")]`),
//!      `check` (`problems.error(&["name"], "what is wrong").help("how to mend it")`), `check_beside`, and `tell`: by a
//!      [`table::Summary`] other rooms learn what they have to know of it, as none of them names a single policy.
//!    - The policy is what is made of it for a route, by [`table::FromBlocks`], whose `blocks.on::<Config>()?` is the block.
//!      [`build::Build`] keeps facts over reloads for it (`keep`, for what is [`build::Facts`]) and has the admin API show them (`show`).
//!    - It is a [`stack::Filter`] if it waits for nothing, on the way in and on the way back, else a [`stack::Policy`].
//!      `interim_responses.rs` is a filter to begin with, `cors` a policy that waits.
//!    - Its unit tests: `testing::request`; `testing::exchange()` for `on_request`, or `testing::next` over
//!      `testing::Echo` for all of it; `#[tokio::test(start_paused = true)]` and `tokio::time::Instant` where time matters.
//! 2. Name the file here, by `mod KEY;`, and give it a line in the list below: mostly
//!    `KEY: Toggle<KEY::Config> => filter KEY::Made;`, where `Toggle` lets `false` turn it off; [`table`] tells the other
//!    forms. What stands above another line refuses before that one, and sees the answer behind it: a header that is set
//!    above `response` cannot be removed by it, and what stands above `timeout` and `retry` sees a request once, with all
//!    its attempts.
//! 3. Describe its keys in `config/outrigger.toml`, each with its default, or with `Example` in the comment; a test names
//!    those that are missing. A policy of a new kind gets a few words in the row *Policies* of `README.md`.
//!
//! `cargo test --lib -- KEY policy::tests reference_tests` is enough while it is written.
//!
//! The list does the rest: the key of routes and `[defaults]`, what overrides what, each problem at its place, the help texts
//! of its metrics, its state in `GET /routes/{name}`, its place in the stack. `policy/tests/added.rs` is such a policy, with
//! tests of all this. A policy imports no other room than those in the line `policy` of `tests/it/layering.rs`.

use crate::value::Toggle;

pub mod answered;
mod authorize;
// A benchmark measures its steps.
pub mod body;
pub mod build;
mod checked;
mod circuit_breaker;
mod concurrency_limit;
mod cors;
mod credentials;
mod fresh;
mod graphql;
mod interim_responses;
mod jwt;
mod material;
pub mod orders;
mod rate_limit;
mod replay;
mod retry;
pub mod stack;
pub mod table;
mod timeout;

pub use checked::Checked;
pub use material::Opened;

table::policies! {
    interim_responses: interim_responses::Config => filter interim_responses::DropInterim;
    cors: Toggle<cors::Config> => policy cors::Cors;
    authorize: Toggle<authorize::Config> => filter authorize::Authorize;
    jwt: Toggle<jwt::Config> => policy jwt::Jwt;
    // What a token says is known behind `jwt`.
    authorize => filter authorize::AuthorizeClaims;
    rate_limit: Toggle<rate_limit::Config> => filter rate_limit::RateLimit;
    concurrency_limit: Toggle<concurrency_limit::Config> => filter concurrency_limit::ConcurrencyLimit;
    request: Toggle<body::RequestConfig>;
    response: Toggle<body::ResponseConfig> => filter body::headers::ChangeHeaders => policy body::transform::TransformBody;
    timeout: Toggle<timeout::UntilHead>;
    idle_timeout: Toggle<timeout::Idle>;
    deadline: Toggle<timeout::Whole> => always timeout::Timeout;
    retry: Toggle<retry::Config> => repeat retry::Retry;
    circuit_breaker: Toggle<circuit_breaker::Config> => filter circuit_breaker::CircuitBreaker;
    credentials: Toggle<credentials::Config> => policy credentials::Credentials;
    graphql: Toggle<graphql::Config> => policy graphql::GraphQl;
}

#[cfg(test)]
mod tests;
