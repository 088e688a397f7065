//! Requests that stand for a bucket of a histogram: from a slow bucket one gets to a trace, or to `GET /requests/{request_id}`.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use super::{Kept, Query, Requests};
use crate::value::exposition::labels;

/// What the labels of an exemplar may have together, in characters (OpenMetrics 1.0, "Exemplars").
const MOST: usize = 128;

/// Of each route those that are kept, the newest first.
#[derive(Default)]
pub struct Exemplars(HashMap<Arc<str>, Vec<Arc<Kept>>>);

impl Requests {
    /// One of each bucket, as far as there are some: those that are kept, so that no request costs anything for this.
    pub fn exemplars(&self) -> Exemplars {
        let all = Query {
            limit: usize::MAX,
            ..Query::default()
        };
        let mut routes: HashMap<_, Vec<_>> = HashMap::new();
        for kept in self.find(&all) {
            routes.entry(kept.route.clone()).or_default().push(kept);
        }
        Exemplars(routes)
    }
}

impl Exemplars {
    /// The newest of `route` that took longer than `above` and no longer than `bound`, both in seconds, as it stands behind the
    /// sample of a bucket.
    pub fn within(&self, route: &str, above: f64, bound: f64) -> Option<String> {
        let mut kept = self.0.get(route)?.iter();
        let kept = kept.find(|kept| {
            let took = kept.took.as_secs_f64();
            above < took && took <= bound
        })?;
        Some(shown(kept))
    }
}

fn shown(kept: &Kept) -> String {
    let trace = kept.trace_id.map(|id| id.to_string());
    let trace = trace.as_deref().map(|id| ("trace_id", id));
    let request = ("request_id", kept.request_id.as_str());
    let mut shown = Vec::new();
    let mut room = MOST;
    for (name, value) in trace.into_iter().chain([request]) {
        let length = name.len() + value.chars().count();
        // Callers may give their requests long ids.
        if length <= room {
            room -= length;
            shown.push((name, value));
        }
    }
    let at = kept.ended.duration_since(SystemTime::UNIX_EPOCH);
    let at = at.unwrap_or_default().as_secs_f64();
    let (labels, took) = (labels(shown), kept.took.as_secs_f64());
    format!(" # {{{labels}}} {took} {at:.3}")
}
