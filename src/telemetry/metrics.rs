//! The recorder behind the `metrics` facade, and the text that Prometheus scrapes.
//!
//! Whoever counts says what the metric is called and what it tells. A room whose metrics are not handed to
//! [`Metrics::install`] is in the table here; one that is nowhere is served without help, which `promtool check metrics`
//! reports.

use std::time::Instant;

use metrics::{describe_counter, describe_gauge, describe_histogram, gauge};

use super::process::Process;
use super::recorder::Registry;
use crate::value::exposition::{Kind, Metric};

/// Gauge, always 1: its labels say which build runs.
pub const BUILD_INFO: &str = "outrigger_build_info";

/// The recorder's readable side.
pub struct Metrics {
    registry: Registry,
    process: Process,
}

impl Metrics {
    /// Makes every handle of the `metrics` facade count here. `described` are those of other rooms.
    ///
    /// # Errors
    /// When the process has a recorder already.
    pub fn install(described: &[&[Metric]]) -> Result<Self, metrics::SetRecorderError<Registry>> {
        let registry = Registry::default();
        let metrics = Metrics::reading(&registry);
        metrics::set_global_recorder(registry)?;
        describe(described);
        Ok(metrics)
    }

    /// Everything measured, in Prometheus's text format 0.0.4.
    pub fn render(&self) -> String {
        let mut text = self.registry.render();
        self.process.render(&mut text);
        text
    }

    /// Drops series of what the config has had no more for long enough.
    pub fn drop_gone(&self, now: Instant) {
        self.registry.drop_gone(now);
    }

    fn reading(registry: &Registry) -> Self {
        Metrics {
            registry: registry.clone(),
            process: Process::new(),
        }
    }
}

fn describe(others: &[&[Metric]]) {
    for Metric { kind, name, help } in others.iter().copied().flatten().chain(DESCRIPTIONS) {
        match kind {
            Kind::Counter => describe_counter!(*name, *help),
            Kind::Gauge => describe_gauge!(*name, *help),
            Kind::Histogram => describe_histogram!(*name, *help),
        }
    }
    gauge!(
        BUILD_INFO,
        "version" => env!("CARGO_PKG_VERSION"),
        "rustc" => option_env!("OUTRIGGER_RUSTC").unwrap_or("unknown"),
        "commit" => option_env!("OUTRIGGER_COMMIT").unwrap_or("unknown"),
    )
    .set(1);
}

const DESCRIPTIONS: &[Metric] = &[
    Metric::counter(
        "outrigger_requests_total",
        "Requests answered, by route and status code.",
    ),
    Metric::histogram(
        "outrigger_request_duration_seconds",
        "From a request's head to the end of its answer.",
    ),
    Metric::gauge(
        "outrigger_requests_in_flight",
        "Requests whose answer has not ended.",
    ),
    Metric::counter("outrigger_request_bytes_total", "Bytes of request bodies."),
    Metric::counter(
        "outrigger_response_bytes_total",
        "Bytes of response bodies.",
    ),
    Metric::counter(
        "outrigger_refused_total",
        "Requests answered by the proxy itself because they were refused or failed.",
    ),
    Metric::counter(
        "outrigger_grpc_responses_total",
        "Calls of gRPC, by the upstream that answered (\"\": the proxy itself) and their status; \
         in_body: a page's call, whose status stands in the body.",
    ),
    Metric::counter(
        "outrigger_upstream_requests_total",
        "Attempts to get an answer from an upstream, by how each ended. One that found no place in the pool is none.",
    ),
    Metric::histogram(
        "outrigger_upstream_request_duration_seconds",
        "From handing a request to an upstream to the head of its answer, or to the end of the attempt without one.",
    ),
    Metric::gauge(
        "outrigger_upstream_connections",
        "Connections to an upstream's endpoints.",
    ),
    Metric::counter(
        "outrigger_upstream_connects_total",
        "Attempts to connect to an upstream's endpoints.",
    ),
    Metric::gauge("outrigger_upstream_endpoints", "Endpoints of an upstream."),
    Metric::counter(
        "outrigger_endpoint_ejections_total",
        "Endpoints left out for a time because they failed requests in a row.",
    ),
    Metric::counter(
        "outrigger_mirrored_total",
        "Copies of requests sent to a route's mirror, by what became of them.",
    ),
    Metric::counter(
        "outrigger_health_checks_total",
        "Health checks of an upstream's endpoints.",
    ),
    Metric::counter(
        "outrigger_upstream_panics_total",
        "Requests sent to an endpoint that was out, because none was in.",
    ),
    Metric::counter(
        "outrigger_config_reloads_total",
        "Reloads of the configuration.",
    ),
    Metric::gauge(
        "outrigger_config_generation",
        "Counts up with each configuration that is put to use.",
    ),
    Metric::gauge(
        "outrigger_config_last_reload_successful",
        "1 when the newest configuration serves, 0 when it was refused.",
    ),
    Metric::gauge(
        "outrigger_config_last_reload_timestamp_seconds",
        "When the last reload was tried, in seconds since 1970.",
    ),
    Metric::gauge(
        "outrigger_downstream_connections",
        "Connections from callers.",
    ),
    Metric::counter(
        "outrigger_tls_handshakes_total",
        "TLS handshakes with callers, by what came of them.",
    ),
    Metric::counter(
        "outrigger_log_lines_dropped_total",
        "Log lines dropped because their reader was too slow.",
    ),
    Metric::gauge(
        "outrigger_build_info",
        "Always 1; the labels say which build runs.",
    ),
];

#[cfg(test)]
pub(crate) mod tests {
    use std::io::Write;
    use std::process::{Command, Stdio};

    use super::*;
    use crate::policy;

    /// What `count` counts, as Prometheus would read it.
    pub(crate) fn rendered(count: impl FnOnce()) -> String {
        rendered_of(policy::Config::METRICS, count)
    }

    /// The same where others than the program's own policies count.
    pub(crate) fn rendered_of(described: &[&[Metric]], count: impl FnOnce()) -> String {
        let registry = Registry::default();
        let metrics = Metrics::reading(&registry);
        metrics::with_local_recorder(&registry, || {
            describe(described);
            count();
        });
        metrics.render()
    }

    #[test]
    fn the_build_names_itself() {
        let text = rendered(|| ());
        let version = env!("CARGO_PKG_VERSION");
        assert!(
            text.contains(&format!("outrigger_build_info{{version=\"{version}\"")),
            "{text}"
        );
    }

    #[test]
    fn histograms_have_buckets() {
        let text =
            rendered(|| metrics::histogram!("outrigger_request_duration_seconds").record(3.0));
        assert!(text.contains("outrigger_request_duration_seconds_bucket{le=\"0.0005\"} 0"));
        assert!(text.contains("outrigger_request_duration_seconds_bucket{le=\"5\"} 1"));
    }

    /// The checker of the Prometheus project, where it is installed.
    #[test]
    fn promtool_finds_no_fault() {
        let text = rendered(|| {
            let policies = policy::Config::METRICS.iter().copied().flatten();
            for Metric { kind, name, .. } in policies.chain(DESCRIPTIONS) {
                match kind {
                    Kind::Counter => metrics::counter!(*name, "route" => "pay").increment(1),
                    Kind::Gauge => metrics::gauge!(*name, "route" => "pay").set(1),
                    Kind::Histogram => metrics::histogram!(*name, "route" => "pay").record(0.1),
                }
            }
        });
        let Ok(mut promtool) = Command::new("promtool")
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
        else {
            return;
        };
        let mut input = promtool.stdin.take().unwrap();
        input.write_all(text.as_bytes()).unwrap();
        drop(input);
        let found = promtool.wait_with_output().unwrap();
        let complaints = String::from_utf8_lossy(&found.stderr).into_owned()
            + &String::from_utf8_lossy(&found.stdout);
        assert!(found.status.success(), "{complaints}\n{text}");
        assert_eq!(complaints, "");
    }
}
