//! The recorder behind the `metrics` facade, and the text that Prometheus scrapes.
//!
//! Whoever counts says, beside what is counted, what the metric is called and what it tells. A metric that is not handed
//! to [`Metrics::install`] is served without help, which `promtool check metrics` reports.

use std::collections::BTreeMap;
use std::time::Instant;

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram, gauge};

use super::process::Process;
use super::recorder::{Counts, Registry};
use super::route_counts::{self, RouteCounts};
use super::times::Times;
use crate::value::exposition::{Kind, Metric, labels};

pub const BUILD_INFO: Metric = Metric::gauge(
    "outrigger_build_info",
    "Always 1; the labels say which build runs.",
);

/// The recorder's readable side.
pub struct Metrics {
    registry: Registry,
    process: Process,
}

impl Metrics {
    /// Makes every handle of the `metrics` facade count here. `described` are those that there are.
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

    /// What was counted of each of the routes of these names.
    pub fn of_routes<'a>(
        &self,
        routes: impl IntoIterator<Item = &'a str>,
    ) -> BTreeMap<String, RouteCounts> {
        route_counts::read(&self.registry, routes)
    }

    /// Every counter that has `label`, by its value.
    pub fn counters_by(&self, label: &str) -> BTreeMap<String, Counts> {
        self.registry.counters_by(label)
    }

    /// The durations that `histogram` has counted where its only label, `label`, is `value`.
    pub fn times_of(&self, histogram: &str, (label, value): (&str, &str)) -> Times {
        let found = (self.registry).histogram(histogram, &labels([(label, value)]));
        Times::of(found.unwrap_or_default())
    }

    fn reading(registry: &Registry) -> Self {
        Metrics {
            registry: registry.clone(),
            process: Process::new(),
        }
    }
}

fn describe(metrics: &[&[Metric]]) {
    for Metric { kind, name, help } in metrics.iter().copied().flatten() {
        match kind {
            Kind::Counter => describe_counter!(*name, *help),
            Kind::Gauge => describe_gauge!(*name, *help),
            Kind::Histogram => describe_histogram!(*name, *help),
            Kind::Counts => describe_histogram!(*name, Unit::Count, *help),
        }
    }
    gauge!(
        BUILD_INFO.name,
        "version" => env!("CARGO_PKG_VERSION"),
        "rustc" => option_env!("OUTRIGGER_RUSTC").unwrap_or("unknown"),
        "commit" => option_env!("OUTRIGGER_COMMIT").unwrap_or("unknown"),
    )
    .set(1);
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::Write;
    use std::process::{Command, Stdio};

    use super::*;
    use crate::app;

    /// What `count` counts, as Prometheus would read it.
    pub(crate) fn rendered(count: impl FnOnce()) -> String {
        rendered_of(&app::every_metric(), count)
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
            for Metric { kind, name, .. } in app::every_metric().into_iter().flatten() {
                match kind {
                    Kind::Counter => metrics::counter!(*name, "route" => "pay").increment(1),
                    Kind::Gauge => metrics::gauge!(*name, "route" => "pay").set(1),
                    Kind::Histogram | Kind::Counts => {
                        metrics::histogram!(*name, "route" => "pay").record(0.1);
                    }
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
