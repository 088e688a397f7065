//! Behaviour of the whole proxy, seen from outside: one file per behaviour, each test a sentence.
//!
//! Every test starts its own proxy as a process, on free ports, with its own origins; see `support`.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test fails by panicking, and shows the proxy's log when it does"
)]

mod support;
mod support_itself;

mod admin;
mod admin_tls;
mod answer_statuses;
mod attempts;
mod bridge;
mod cancellation;
mod cases;
mod certificates;
mod circles;
mod circuit_breaker;
mod concurrency_limit;
mod cors;
mod credentials;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod databases;
mod dates;
mod descriptors;
mod diff;
mod documents;
mod drain;
mod early_answers;
mod ejection;
mod empty_bodies;
mod envelopes;
mod explaining;
mod files;
mod final_recipient;
mod forwarding;
mod framing;
mod graphql;
mod grpc;
mod headers;
mod health_checks;
mod hostile;
mod http2;
mod http2_limits;
mod http2_refused;
mod identity;
mod integrations;
mod jwt;
#[cfg(feature = "kafka")]
mod kafka;
mod layering;
mod long_bodies;
mod manifests;
mod mirroring;
#[cfg(feature = "nats")]
mod nats;
mod own_words;
mod page;
mod pools;
#[cfg(feature = "rabbitmq")]
mod rabbitmq;
mod ranges;
mod rate_limit;
mod redirect;
mod reference;
mod refusals;
mod refused_heads;
mod refused_reloads;
mod registering;
#[cfg(all(feature = "postgres", feature = "nats"))]
mod relays;
mod reload;
mod requests;
mod resources;
mod retries;
mod route_stats;
mod routing;
#[cfg(feature = "postgres")]
mod sql;
#[cfg(feature = "sqlite")]
mod sqlite;
mod stats;
mod tcp_routes;
mod tidy;
mod timeouts;
mod tls_broken;
mod tls_dates;
mod tls_in;
mod tls_lists;
mod tls_names;
mod tls_out;
mod tls_rejects;
mod tls_rotation;
mod tracing;
mod transforms;
mod transparent;
mod unix_sockets;
mod upgrade;
mod upstreams;
mod validation;
