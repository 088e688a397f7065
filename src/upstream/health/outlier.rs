//! `outlier_detection`: an endpoint that fails requests in a row is left out for a time.

use std::sync::{Mutex, PoisonError};
use std::time::Duration as Length;

use metrics::{Counter, counter};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::standing::Mark;
use crate::upstream::endpoints::endpoint::Endpoint;
use crate::upstream::endpoints::list::EndpointList;
use crate::upstream::endpoints::transport::Transport;
use crate::value::exposition::Metric;
use crate::value::problem::Problems;
use crate::value::{Duration, Toggle};

pub const EJECTIONS: Metric = Metric::counter(
    "outrigger_endpoint_ejections_total",
    "Endpoints left out for a time because they failed requests in a row.",
);

/// `outlier_detection = { consecutive_failures = 5, ejection = "10s", max_ejection = "5m", max_ejected_percent = 50 }`
///
/// A failure is an answer of 5xx other than 501, a connection that is refused, times out or breaks, an answer that
/// a time limit cuts, and the gRPC statuses `UNKNOWN`, `INTERNAL`, `UNAVAILABLE` and `DATA_LOSS`, in the head of an
/// answer or behind its messages. A caller who goes away, or who asked for less time than the route gives, says nothing about the
/// endpoint.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct OutlierConfig {
    /// So many failures in a row eject an endpoint. One that is back is ejected by the first, until it has answered.
    pub consecutive_failures: u32,
    /// How long the first ejection lasts. The second in a row lasts twice as long, the third three times; each such
    /// time in service takes one off again.
    pub ejection: Duration,
    /// The longest that an ejection lasts.
    pub max_ejection: Duration,
    /// At most so many of the endpoints are ejected at once, though one always may be, as long as another serves.
    pub max_ejected_percent: u8,
}

impl Default for OutlierConfig {
    fn default() -> Self {
        OutlierConfig {
            consecutive_failures: 5,
            ejection: Duration::from_secs(10),
            max_ejection: Duration::from_secs(300),
            max_ejected_percent: 50,
        }
    }
}

pub fn by_default() -> Toggle<OutlierConfig> {
    Toggle::On(OutlierConfig::default())
}

impl OutlierConfig {
    pub fn check(&self, problems: &mut Problems) {
        if self.consecutive_failures == 0 {
            problems.error(&["consecutive_failures"], "must be at least 1");
        }
        if self.ejection.0.is_zero() {
            problems
                .error(&["ejection"], "must be longer than 0")
                .help("write `outlier_detection = false` to eject nobody");
        }
        if self.max_ejection < self.ejection {
            problems
                .error(
                    &["max_ejection"],
                    "max_ejection is shorter than the first ejection",
                )
                .related(&["ejection"], "this");
        }
        if !(1..=100).contains(&self.max_ejected_percent) {
            problems
                .error(&["max_ejected_percent"], "must be from 1 to 100")
                .help("write `outlier_detection = false` to eject nobody");
        }
    }

    /// How long an ejection lasts that is the `times`th in a row.
    pub fn length(&self, times: u32) -> Length {
        let prolonged = self.ejection.0.saturating_mul(times.max(1));
        prolonged.min(self.max_ejection.0)
    }

    fn is_over_the_limit<T>(&self, endpoint: &Endpoint<T>) -> bool {
        let allowed = if endpoint.standing.marks().has(Mark::OnTrial) {
            1
        } else {
            self.consecutive_failures
        };
        endpoint.standing.failures() >= allowed
    }
}

/// Ejects, one endpoint at a time, so that two workers never eject the last two.
pub struct Ejector {
    upstream: String,
    turn: Mutex<()>,
    ejections: Counter,
}

impl Ejector {
    pub fn new(upstream: &str) -> Self {
        Ejector {
            upstream: upstream.to_owned(),
            turn: Mutex::default(),
            ejections: counter!(EJECTIONS.name, "upstream" => upstream.to_owned()),
        }
    }

    /// Ejects an endpoint of `list` that has failed too often, if another serves and not too many are out. Says
    /// whether it is out.
    pub fn eject<T: Transport>(
        &self,
        config: &OutlierConfig,
        list: &EndpointList<T>,
        endpoint: &Endpoint<T>,
        now: Instant,
    ) -> bool {
        if !config.is_over_the_limit(endpoint) || !config.has_room(list, endpoint) {
            return false;
        }
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let standing = &endpoint.standing;
        if standing.marks().has(Mark::Ejected) {
            return true;
        }
        if !config.is_over_the_limit(endpoint) || !config.has_room(list, endpoint) {
            return false;
        }
        let failures = standing.failures();
        let healthy =
            standing.in_service_for(now).as_millis() / config.ejection.0.as_millis().max(1);
        let earlier = u128::from(standing.ejections()).saturating_sub(healthy) as u32;
        let times = earlier.saturating_add(1);
        standing.eject(now, times);
        self.ejections.increment(1);
        let length = Duration(config.length(times));
        let upstream = self.upstream.as_str();
        let endpoint = &*endpoint.shown;
        tracing::warn!(upstream, endpoint, failures, %length, "an endpoint is ejected");
        true
    }
}

impl OutlierConfig {
    fn has_room<T: Transport>(&self, list: &EndpointList<T>, endpoint: &Endpoint<T>) -> bool {
        let others = list.entries().iter().map(|entry| &*entry.endpoint);
        let others = others.filter(|other| !std::ptr::eq(*other, endpoint));
        let (mut serving, mut ejected) = (0, 0);
        for marks in others.map(|other| other.standing.marks()) {
            let out = [Mark::Ejected, Mark::Unhealthy, Mark::OnTrial];
            serving += usize::from(!out.iter().any(|mark| marks.has(*mark)));
            ejected += usize::from(marks.has(Mark::Ejected));
        }
        let percent = usize::from(self.max_ejected_percent);
        let most = (list.entries().len() * percent / 100).max(1);
        serving > 0 && ejected < most
    }
}
