//! The block of `retry`.

use serde::{Deserialize, Serialize};

use super::{Class, EXHAUSTED, HedgeAfter, MethodName, RETRIES};
use crate::policy::table::{Block, Blocks, Summary};
use crate::policy::timeout;
use crate::value::exposition::Metric;
use crate::value::problem::Problems;
use crate::value::{ByteSize, Duration, Limit};

/// `retry`
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How often a request is sent again at most, beside the first time: 1 to 10.
    pub attempts: u32,
    /// The failures after which it is: `connect-failure`, `refused-stream` (the upstream did not look at it),
    /// `reset-before-response`, a status from 400 on, `5xx`, or the status of a gRPC call such as
    /// `grpc:unavailable`, as far as it comes without a message before it. A `per_try_timeout` that is over counts as 504.
    pub on: Vec<Class>,
    /// The longest that one attempt may take to the head of its answer, from when its body has gone out. Default: as
    /// long as `timeout` leaves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_try_timeout: Option<Duration>,
    /// The wait before a retry is drawn between none and this, twice this before the second, and so on. An upstream
    /// may ask for more by `Retry-After`, and gets it if the request's time allows; else its answer is passed on.
    pub backoff: Duration,
    /// The longest that is drawn.
    pub max_backoff: Duration,
    /// Retries per request that the route can afford, over all its requests: up to 1. Beside them it has a reserve of
    /// 20, to which two come back each second.
    pub budget: f64,
    /// A larger body streams through as any other; the request is then not sent again.
    pub max_body: ByteSize,
    /// Methods that may be sent again though they may have been processed. `connect-failure` and `refused-stream`
    /// apply to all methods, and `grpc:` to all gRPC calls.
    pub methods: Vec<MethodName>,
    /// Sends a request of `methods` once more, to another endpoint, when its answer takes longer than this, and takes
    /// the first good answer of the two: a duration, or `"p95"` of the route's own latency. Default: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hedge_after: Option<HedgeAfter>,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            attempts: 2,
            on: Class::by_default(),
            per_try_timeout: None,
            backoff: Duration::from_millis(25),
            max_backoff: Duration::from_millis(250),
            budget: 0.2,
            max_body: ByteSize(64 << 10),
            methods: MethodName::idempotent(),
            hedge_after: None,
        }
    }
}

impl Block for Config {
    const METRICS: &[Metric] = &[RETRIES, EXHAUSTED];

    fn check(&self, problems: &mut Problems) {
        if !(1..=10).contains(&self.attempts) {
            problems
                .error(&["attempts"], "must be from 1 to 10")
                .help("write `retry = false` to send nothing again");
        }
        if self.on.is_empty() {
            problems
                .error(&["on"], "without a failure nothing is sent again")
                .help("write `retry = false` for that, or leave `on` out");
        }
        if self.per_try_timeout.is_some_and(|limit| limit.0.is_zero()) {
            problems.error(&["per_try_timeout"], "no answer can be that fast");
        }
        if self.max_backoff < self.backoff {
            problems
                .error(&["max_backoff"], "max_backoff is shorter than backoff")
                .related(&["backoff"], "this");
        }
        if !(self.budget > 0.0 && self.budget <= 1.0) {
            problems
                .error(&["budget"], "must be above 0 and at most 1")
                .help("0.2 allows one retry for five requests");
        }
        if self.methods.is_empty() {
            problems
                .error(&["methods"], "names no method")
                .help("leave it out for the idempotent ones");
        }
        if self.hedge_after == Some(HedgeAfter::Length(Duration::from_secs(0))) {
            problems
                .error(&["hedge_after"], "must be longer than 0")
                .help("else every request is sent twice");
        }
    }

    /// An attempt that may take as long as all of them together is never followed by another.
    fn check_beside(&self, others: &Blocks<'_>, problems: &mut Problems) {
        let whole = timeout::until_head(others);
        if let (Some(whole), Some(each)) = (whole, self.per_try_timeout)
            && each.0 >= whole
        {
            let whole = Limit(Some(whole));
            problems
                .warning(
                    &["per_try_timeout"],
                    format!("has no effect: `timeout` ends all attempts together after {whole}"),
                )
                .help("make it shorter than `timeout`, so that there is time for another attempt");
        }
    }

    fn tell(&self, summary: &mut Summary) {
        summary.retries = true;
    }

    fn tell_off(summary: &mut Summary) {
        summary.never_resends = true;
    }
}
