//! OpenMetrics 1.0 (<https://prometheus.io/docs/specs/om/open_metrics_spec/>): the same as Prometheus's text format, but that a
//! counter is called without its `_total`, units are told, bounds are written as what they are, and a bucket may have an exemplar.

use super::recorder::value_of;
use super::request_metrics::DURATION;
use super::requests::Exemplars;

/// The units that are told; a name ends with its own.
const UNITS: [&str; 2] = ["seconds", "bytes"];

/// `text` is what there is in Prometheus's text format.
pub(super) fn of(text: &str, exemplars: &Exemplars) -> String {
    // Rather too much room than to move it all once more.
    let mut written = String::with_capacity(text.len() + text.len() / 8);
    let mut buckets = Buckets::default();
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, help) = help.split_once(' ').unwrap_or((help, ""));
            let help = help.replace('"', "\\\"");
            push(&mut written, &["# HELP ", family(name), " ", &help, "\n"]);
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap_or((kind, "unknown"));
            let name = family(name);
            push(&mut written, &["# TYPE ", name, " ", kind, "\n"]);
            let unit = UNITS.iter().find(|unit| {
                let rest = name.strip_suffix(**unit);
                rest.is_some_and(|rest| rest.ends_with('_'))
            });
            if let Some(unit) = unit {
                push(&mut written, &["# UNIT ", name, " ", unit, "\n"]);
            }
        } else {
            buckets.sample(line, exemplars, &mut written);
        }
    }
    written.push_str("# EOF\n");
    written
}

/// What all samples of a metric are called. Counters alone end so.
fn family(name: &str) -> &str {
    name.strip_suffix("_total").unwrap_or(name)
}

fn push(written: &mut String, pieces: &[&str]) {
    pieces.iter().for_each(|piece| written.push_str(piece));
}

/// Where a histogram's buckets have got to.
#[derive(Default)]
struct Buckets {
    /// The bound before this one, in the same series.
    above: Option<f64>,
}

impl Buckets {
    fn sample(&mut self, line: &str, exemplars: &Exemplars, written: &mut String) {
        // It is the last label of a bucket.
        let bucket = line.rsplit_once("le=\"").and_then(|(before, behind)| {
            let (bound, rest) = behind.split_once('"')?;
            let (name, labels) = before.split_once('{')?;
            let name = name.strip_suffix("_bucket")?;
            Some((name, labels, before, bound, rest))
        });
        let Some((name, labels, before, bound, rest)) = bucket else {
            self.above = None;
            push(written, &[line, "\n"]);
            return;
        };
        let is_whole = bound.bytes().all(|byte| byte.is_ascii_digit());
        let point = if is_whole { ".0" } else { "" };
        push(written, &[before, "le=\"", bound, point, "\"", rest]);
        let bound = bound.parse().unwrap_or(f64::INFINITY);
        let above = self.above.replace(bound).unwrap_or(-1.0);
        if name == DURATION.name
            && let Some(route) = value_of("route", labels)
            && let Some(exemplar) = exemplars.within(route, above, bound)
        {
            written.push_str(&exemplar);
        }
        written.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::app;
    use crate::http::message::RequestId;
    use crate::telemetry::metrics::tests::rendered;
    use crate::telemetry::request_metrics::RouteMetrics;
    use crate::telemetry::requests::tests::failed;
    use crate::telemetry::requests::{Kept, Requests};
    use crate::value::exposition::Kind;

    fn requests(took: &[(&str, u64)]) -> Requests {
        let requests = Requests::default();
        for (id, millis) in took {
            requests.keep(Kept {
                request_id: RequestId::kept(id),
                ended: SystemTime::UNIX_EPOCH + Duration::from_millis(1500),
                took: Duration::from_millis(*millis),
                ..failed("pay", "connect_failed", 0)
            });
        }
        requests
    }

    #[test]
    fn counters_units_and_bounds_are_written_as_openmetrics_has_them() {
        let text = rendered(|| {
            metrics::describe_counter!("a_bytes_total", "Of \"bodies\".");
            metrics::counter!("a_bytes_total", "x" => "le=\"1").increment(2);
            metrics::histogram!("b_seconds").record(400.0);
        });
        let written = of(&text, &Exemplars::default());
        let expected = "# HELP a_bytes Of \\\"bodies\\\".\n# TYPE a_bytes counter\n# UNIT a_bytes bytes\n\
             a_bytes_total{x=\"le=\\\"1\"} 2\n# TYPE b_seconds histogram\n# UNIT b_seconds seconds\n\
             b_seconds_bucket{le=\"0.0005\"} 0\n";
        assert!(written.contains(expected), "{written}");
        for line in [
            "b_seconds_bucket{le=\"1.0\"} 0",
            "b_seconds_bucket{le=\"900.0\"} 1",
            "b_seconds_bucket{le=\"+Inf\"} 1",
        ] {
            assert!(written.lines().any(|l| l == line), "{line} in {written}");
        }
        assert!(written.ends_with("\n# EOF\n"), "{written}");
    }

    #[test]
    fn a_bucket_has_the_newest_request_that_is_kept_of_it() {
        let text = rendered(|| {
            for route in ["pay", "ship"] {
                RouteMetrics::new(route).finished(&"in".into(), 502, None, 0.4, 0, 0);
            }
        });
        let long = "x".repeat(200);
        let requests = requests(&[("r-1", 400), ("r-\"2", 9_000_000), (&long, 700)]);
        let written = of(&text, &requests.exemplars());
        let with: Vec<&str> = written.lines().filter(|l| l.contains(" # {")).collect();
        let name = "outrigger_request_duration_seconds_bucket{route=\"pay\",le=";
        let expected = [
            format!("{name}\"0.5\"}} 1 # {{request_id=\"r-1\"}} 0.4 1.500"),
            format!("{name}\"1.0\"}} 1 # {{}} 0.7 1.500"),
            format!("{name}\"+Inf\"}} 1 # {{request_id=\"r-\\\"2\"}} 9000 1.500"),
        ];
        assert_eq!(with, expected);
    }

    #[test]
    fn counters_alone_end_in_total_and_no_name_is_that_of_two() {
        let mut names = HashSet::new();
        for metric in app::every_metric().into_iter().flatten() {
            let is_counter = metric.kind == Kind::Counter;
            assert_eq!(metric.name.ends_with("_total"), is_counter, "{metric:?}");
            assert!(names.insert(family(metric.name)), "{metric:?}");
        }
    }
}
