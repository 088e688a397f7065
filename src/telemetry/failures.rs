//! The newest requests of a route that failed, for whoever asks what went wrong.
//!
//! A request that does not fail costs nothing here, and a route of which none ever failed keeps nothing. What is kept names no
//! header, no path and no body of a caller.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use serde::{Serialize, Serializer};

use crate::http::message::RequestId;
use crate::trace::TraceId;

/// So many are kept of each route.
const KEPT: usize = 100;

/// A request that failed.
#[derive(Clone, Debug, Serialize)]
pub struct Failure {
    /// When it ended.
    #[serde(serialize_with = "time_as_text")]
    pub at: SystemTime,
    #[serde(serialize_with = "id_as_text")]
    pub request_id: RequestId,
    /// None where no trace is known.
    #[serde(
        serialize_with = "trace_as_text",
        skip_serializing_if = "Option::is_none"
    )]
    pub trace_id: Option<TraceId>,
    /// What the caller was told, or would have been.
    pub status: u16,
    /// The proxy's word for why, when it answered itself or the answer broke off.
    pub reason: Option<&'static str>,
    /// Of a call of gRPC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grpc_status: Option<&'static str>,
    #[serde(serialize_with = "name_as_text")]
    pub upstream: Option<Arc<str>>,
    /// The address of the endpoint that was asked last; None when there was none.
    #[serde(serialize_with = "name_as_text")]
    pub endpoint: Option<Arc<str>>,
    /// How many endpoints it was given to; 0 when none.
    pub attempts: u32,
    /// From its head to the end of its answer.
    pub seconds: f64,
}

/// The newest failures of one route. They outlive a reload that keeps its name.
#[derive(Default)]
pub struct Failures(Mutex<VecDeque<Failure>>);

impl Failures {
    /// Adds one, and forgets the oldest where there are enough.
    pub fn note(&self, failure: Failure) {
        let mut kept = self.kept();
        kept.truncate(KEPT - 1);
        kept.push_front(failure);
    }

    /// The newest first.
    pub fn newest(&self) -> Vec<Failure> {
        self.kept().iter().cloned().collect()
    }

    fn kept(&self) -> MutexGuard<'_, VecDeque<Failure>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn time_as_text<S: Serializer>(at: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&humantime::format_rfc3339_millis(*at))
}

fn id_as_text<S: Serializer>(id: &RequestId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(id.as_str())
}

fn trace_as_text<S: Serializer>(id: &Option<TraceId>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_some(&id.map(|id| id.to_string()))
}

fn name_as_text<S: Serializer>(name: &Option<Arc<str>>, serializer: S) -> Result<S::Ok, S::Error> {
    name.as_deref().serialize(serializer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(status: u16) -> Failure {
        Failure {
            at: SystemTime::UNIX_EPOCH,
            request_id: RequestId::kept("r-1"),
            trace_id: None,
            status,
            reason: Some("connect_failed"),
            grpc_status: None,
            upstream: Some("pay".into()),
            endpoint: Some("10.0.0.1:80".into()),
            attempts: 2,
            seconds: 0.25,
        }
    }

    #[test]
    fn the_newest_are_kept_and_nothing_before_the_first() {
        let failures = Failures::default();
        assert_eq!(failures.kept().capacity(), 0);
        for status in 0..250 {
            failures.note(failure(status));
        }
        let newest = failures.newest();
        assert_eq!(newest.len(), KEPT);
        assert_eq!((newest[0].status, newest[KEPT - 1].status), (249, 150));
        assert!(failures.kept().capacity() < 2 * KEPT);
    }

    #[test]
    fn a_failure_is_shown_with_what_is_known_of_it() {
        let shown = serde_json::to_value(failure(502)).unwrap();
        assert_eq!(
            shown,
            serde_json::json!({
                "at": "1970-01-01T00:00:00.000Z",
                "request_id": "r-1",
                "status": 502,
                "reason": "connect_failed",
                "upstream": "pay",
                "endpoint": "10.0.0.1:80",
                "attempts": 2,
                "seconds": 0.25,
            })
        );
    }
}
