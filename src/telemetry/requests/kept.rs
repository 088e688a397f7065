//! A request that failed or took long, and how that is shown.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::http::message::RequestId;
use crate::http::peer::Source;
use crate::http::trail::{Acted, Asked, Attempted, Phases, Steps};
use crate::trace::TraceId;

/// What fails in the same way: its route, and why.
pub(super) type Group = (Arc<str>, &'static str);

/// A sentence is shown so far.
const LONGEST: usize = 500;

/// What is known of it.
#[derive(Debug)]
pub struct Kept {
    pub ended: SystemTime,
    /// When its head was complete.
    pub received: Instant,
    pub request_id: RequestId,
    pub trace_id: Option<TraceId>,
    pub listener: Arc<str>,
    pub route: Arc<str>,
    /// Where the message came from that it delivered.
    pub source: Option<Source>,
    /// None where its head could not be read so far.
    pub method: Option<http::Method>,
    /// Without its query, and not all of a long one.
    pub path: Option<Box<str>>,
    /// What the caller was told, or would have been.
    pub status: u16,
    /// The proxy's word for why, when it answered itself or the answer broke off.
    pub reason: Option<&'static str>,
    /// The same in a sentence.
    pub detail: Option<Box<str>>,
    /// What callers are not told.
    pub cause: Option<Box<str>>,
    /// Of a call of gRPC.
    pub grpc_status: Option<&'static str>,
    pub upstream: Option<Arc<str>>,
    /// The one that was asked last.
    pub endpoint: Option<Arc<str>>,
    pub failed: bool,
    /// The head of its answer took longer than it should.
    pub slow: bool,
    /// Until the head of the answer; None when there was none.
    pub head: Option<Duration>,
    /// Until the end of the answer.
    pub took: Duration,
    /// Of attempts those that failed or took long.
    pub steps: Steps,
}

impl Kept {
    /// Shortens what came from elsewhere.
    #[must_use]
    pub fn shortened(mut self) -> Self {
        let details = self.steps.attempts.iter_mut().map(|one| &mut one.detail);
        for text in details.chain([&mut self.detail, &mut self.cause]) {
            if let Some(long) = text.as_deref().filter(|text| text.len() > LONGEST) {
                let end = long.floor_char_boundary(LONGEST);
                *text = Some(format!("{}…", &long[..end]).into());
            }
        }
        self
    }

    pub(super) fn group(&self) -> Group {
        let why = match (self.reason, self.grpc_status, self.failed) {
            (Some(reason), ..) => reason,
            (None, Some(status), true) => status,
            (None, None, true) => match self.status / 100 {
                4 => "4xx",
                _ => "5xx",
            },
            (None, _, false) => "slow",
        };
        (self.route.clone(), why)
    }

    /// Whether that is why it failed.
    pub(super) fn came_to(&self, why: &str) -> bool {
        self.reason == Some(why)
            || self.grpc_status == Some(why)
            || self.status.to_string() == why
            || self.steps.attempts.iter().any(|one| one.outcome == why)
    }

    /// How much memory it takes, nearly.
    pub(super) fn bytes(&self) -> usize {
        let text = |text: &Option<Box<str>>| text.as_deref().map_or(0, str::len);
        let attempts = self.steps.attempts.iter();
        let details: usize = attempts.map(|one| text(&one.detail)).sum();
        size_of::<Kept>()
            + self.request_id.as_str().len()
            + self
                .source
                .as_ref()
                .map_or(0, |source| source.broker.len() + source.destination.len())
            + text(&self.path)
            + text(&self.detail)
            + text(&self.cause)
            + details
            + self.steps.attempts.capacity() * size_of::<Attempted>()
            + self
                .steps
                .attempts
                .iter()
                .map(|one| one.asked.bytes())
                .sum::<usize>()
            + self.steps.acts.capacity() * size_of::<Acted>()
    }

    /// As the admin API shows it.
    pub fn shown(&self) -> Value {
        let since = |at: Instant| at.saturating_duration_since(self.received).as_secs_f64();
        let attempts = self.steps.attempts.iter().map(|one| {
            json!({
                "upstream": one.asked.upstream(),
                "endpoint": one.asked.endpoint(),
                "database": one.asked.database(),
                "broker": one.asked.broker(),
                "root": one.asked.root(),
                "began_seconds": since(one.times.began),
                "seconds": f64::from(one.times.ended) / 1e6,
                "phases": phases(&one.times.phases()),
                "outcome": one.outcome,
                "detail": one.detail,
            })
        });
        let acts = self.steps.acts.iter().map(
            |act| json!({ "policy": act.policy, "did": act.did, "at_seconds": since(act.at) }),
        );
        let asked = self.steps.attempts.last().map(|one| &one.asked);
        let body = self.head.map(|head| self.took.saturating_sub(head));
        json!({
            "at": humantime::format_rfc3339_millis(self.ended).to_string(),
            "request_id": self.request_id.as_str(),
            "trace_id": self.trace_id.map(|id| id.to_string()),
            "listener": &*self.listener,
            "route": &*self.route,
            "source": self.source.as_ref().map(|source| json!({
                "system": source.system,
                "broker": &*source.broker,
                "destination": &*source.destination,
            })),
            "method": self.method.as_ref().map(http::Method::as_str),
            "path": self.path,
            "status": self.status,
            "reason": self.reason,
            "detail": self.detail,
            "cause": self.cause,
            "grpc_status": self.grpc_status,
            "upstream": self.upstream.as_deref(),
            "endpoint": self.endpoint.as_deref(),
            "database": asked.and_then(Asked::database),
            "broker": asked.and_then(Asked::broker),
            "root": asked.and_then(Asked::root),
            "failed": self.failed,
            "slow": self.slow,
            "seconds": self.took.as_secs_f64(),
            "head_seconds": self.head.map(|head| head.as_secs_f64()),
            "body_seconds": body.map(|body| body.as_secs_f64()),
            "attempts": attempts.collect::<Vec<_>>(),
            "policies": acts.collect::<Vec<_>>(),
            "steps_not_shown": self.steps.forgotten,
        })
    }
}

fn phases(phases: &Phases) -> Value {
    let seconds = |phase: Option<Duration>| phase.map(|phase| phase.as_secs_f64());
    json!({
        "queue": seconds(phases.queue),
        "connect": seconds(phases.connect),
        "tls": seconds(phases.tls),
        "first_byte": seconds(phases.first_byte),
    })
}
