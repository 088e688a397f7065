//! Where every handle of the `metrics` facade counts, and the text that Prometheus reads (its text format 0.0.4).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use metrics::{
    Counter, Gauge, Histogram, Key, KeyName, Label, Metadata, Recorder, SharedString, Unit,
};

use super::gone::Gone;
use super::tally::{self, Scale};
use crate::value::exposition::{self, Kind, write_head, write_sample};

/// Counts of one thing by the name of the counter, and by those of its labels that are not the thing's own, such as
/// `listener=web,code=200`.
pub type Counts = BTreeMap<String, BTreeMap<String, u64>>;

/// All metrics by name. Clones share them.
#[derive(Clone, Default)]
pub struct Registry(Arc<Mutex<Families>>);

#[derive(Default)]
struct Families {
    by_name: BTreeMap<String, Family>,
    gone: Gone,
}

/// All metrics of one name.
#[derive(Default)]
struct Family {
    help: SharedString,
    /// Of its histograms.
    scale: Scale,
    /// By labels, as they are written.
    series: Series,
}

/// The kind of the first that was registered is that of all; nothing counts under another.
#[derive(Default)]
enum Series {
    #[default]
    None,
    Counters(BTreeMap<String, Arc<tally::Counter>>),
    Gauges(BTreeMap<String, Arc<tally::Gauge>>),
    Histograms(BTreeMap<String, Arc<tally::Histogram>>),
}

impl Registry {
    /// Everything that was counted.
    pub fn render(&self) -> String {
        let mut text = String::new();
        let mut families = self.families();
        for (name, family) in &families.by_name {
            family.render(name, &mut text);
        }
        families.gone.were_read();
        text
    }

    /// Drops series of what the config has had no more for long enough. To be called now and then, with the time.
    pub fn drop_gone(&self, now: Instant) {
        let mut families = self.families();
        let Families { by_name, gone } = &mut *families;
        let all = || {
            by_name.iter().flat_map(|(name, family)| {
                let series = family.series.handles();
                series.map(move |(labels, held)| (&**name, labels, held))
            })
        };
        for (name, labels) in gone.ripe(all, now) {
            if let Some(family) = by_name.get_mut(&name) {
                family.series.remove(&labels);
            }
        }
    }

    /// What the histogram `name` has under `labels`, as they are written: how many lie in each bucket, and their sum.
    pub fn histogram(&self, name: &str, labels: &str) -> Option<(Vec<u64>, f64)> {
        match &self.families().by_name.get(name)?.series {
            Series::Histograms(all) => Some(all.get(labels)?.get()),
            _ => None,
        }
    }

    /// What the counter `name` has under `labels`, as they are written; 0 where nothing has counted.
    pub fn counter(&self, name: &str, labels: &str) -> u64 {
        match self.families().by_name.get(name).map(|f| &f.series) {
            Some(Series::Counters(all)) => all.get(labels).map_or(0, |one| one.get()),
            _ => 0,
        }
    }

    /// The same of the gauge `name`.
    pub fn gauge(&self, name: &str, labels: &str) -> f64 {
        match self.families().by_name.get(name).map(|f| &f.series) {
            Some(Series::Gauges(all)) => all.get(labels).map_or(0.0, |one| one.get()),
            _ => 0.0,
        }
    }

    /// The counts of the counter `name`, added up by the values of these labels.
    pub fn sums<const N: usize>(&self, name: &str, by: [&str; N]) -> BTreeMap<[String; N], u64> {
        let mut sums = BTreeMap::new();
        let families = self.families();
        if let Some(Series::Counters(all)) = families.by_name.get(name).map(|f| &f.series) {
            for (labels, one) in all {
                let values = by.map(|label| value_of(label, labels).unwrap_or_default().to_owned());
                *sums.entry(values).or_default() += one.get();
            }
        }
        sums
    }

    /// Every counter that has the label `of`, by its value.
    pub fn counters_by(&self, of: &str) -> BTreeMap<String, Counts> {
        let mut found: BTreeMap<String, Counts> = BTreeMap::new();
        for (name, family) in &self.families().by_name {
            let Series::Counters(all) = &family.series else {
                continue;
            };
            for (labels, one) in all {
                if let Some(value) = value_of(of, labels) {
                    let counts = found.entry(value.to_owned()).or_default();
                    let series = counts.entry(name.clone()).or_default();
                    series.insert(without(of, labels), one.get());
                }
            }
        }
        found
    }

    fn families(&self) -> MutexGuard<'_, Families> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn describe(&self, name: &KeyName, help: SharedString) {
        let mut families = self.families();
        let family = families.by_name.entry(name.as_str().to_owned());
        family.or_default().help = help;
    }

    fn register<T>(&self, key: &Key, find: impl FnOnce(&mut Series, String, Scale) -> T) -> T {
        let mut families = self.families();
        let family = families.by_name.entry(key.name().to_owned()).or_default();
        find(&mut family.series, labels(key.labels()), family.scale)
    }
}

impl Recorder for Registry {
    fn describe_counter(&self, name: KeyName, _: Option<Unit>, help: SharedString) {
        self.describe(&name, help);
    }

    fn describe_gauge(&self, name: KeyName, _: Option<Unit>, help: SharedString) {
        self.describe(&name, help);
    }

    fn describe_histogram(&self, name: KeyName, unit: Option<Unit>, help: SharedString) {
        self.describe(&name, help);
        if unit == Some(Unit::Count)
            && let Some(family) = self.families().by_name.get_mut(name.as_str())
        {
            family.scale = Scale::Counts;
        }
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        self.register(key, |series, labels, _| {
            if let Series::None = series {
                *series = Series::Counters(BTreeMap::new());
            }
            match series {
                Series::Counters(all) => Counter::from_arc(all.entry(labels).or_default().clone()),
                _ => Counter::noop(),
            }
        })
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        self.register(key, |series, labels, _| {
            if let Series::None = series {
                *series = Series::Gauges(BTreeMap::new());
            }
            match series {
                Series::Gauges(all) => Gauge::from_arc(all.entry(labels).or_default().clone()),
                _ => Gauge::noop(),
            }
        })
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        self.register(key, |series, labels, scale| {
            if let Series::None = series {
                *series = Series::Histograms(BTreeMap::new());
            }
            match series {
                Series::Histograms(all) => {
                    let new = || Arc::new(tally::Histogram::of(scale));
                    Histogram::from_arc(all.entry(labels).or_insert_with(new).clone())
                }
                _ => Histogram::noop(),
            }
        })
    }
}

impl Series {
    /// Labels, and whether anybody can still count under them.
    fn handles(&self) -> Box<dyn Iterator<Item = (&str, bool)> + '_> {
        fn of<T>(all: &BTreeMap<String, Arc<T>>) -> Box<dyn Iterator<Item = (&str, bool)> + '_> {
            Box::new(
                all.iter()
                    .map(|(labels, one)| (&**labels, Arc::strong_count(one) > 1)),
            )
        }
        match self {
            Series::None => Box::new(std::iter::empty()),
            Series::Counters(all) => of(all),
            Series::Gauges(all) => of(all),
            Series::Histograms(all) => of(all),
        }
    }

    fn remove(&mut self, labels: &str) {
        match self {
            Series::None => {}
            Series::Counters(all) => drop(all.remove(labels)),
            Series::Gauges(all) => drop(all.remove(labels)),
            Series::Histograms(all) => drop(all.remove(labels)),
        }
    }

    fn is_empty(&self) -> bool {
        self.handles().next().is_none()
    }
}

impl Family {
    fn render(&self, name: &str, text: &mut String) {
        if self.series.is_empty() {
            return;
        }
        let kind = match &self.series {
            Series::None => return,
            Series::Counters(_) => Kind::Counter,
            Series::Gauges(_) => Kind::Gauge,
            Series::Histograms(_) => Kind::Histogram,
        };
        write_head(text, name, kind, &self.help);
        match &self.series {
            Series::None => {}
            Series::Counters(all) => {
                for (labels, count) in all {
                    write_sample(text, name, "", labels, count.get());
                }
            }
            Series::Gauges(all) => {
                for (labels, level) in all {
                    write_sample(text, name, "", labels, level.get());
                }
            }
            Series::Histograms(all) => {
                for (labels, spread) in all {
                    histogram(text, name, labels, spread);
                }
            }
        }
    }
}

fn histogram(text: &mut String, name: &str, labels: &str, histogram: &tally::Histogram) {
    let (counts, sum) = histogram.get();
    let comma = if labels.is_empty() { "" } else { "," };
    let mut total = 0;
    for (at, count) in counts.iter().enumerate() {
        total += count;
        let bound = match histogram.bounds().get(at) {
            Some(bound) => bound.to_string(),
            None => "+Inf".to_owned(),
        };
        let labels = format!("{labels}{comma}le=\"{bound}\"");
        write_sample(text, name, "_bucket", &labels, total);
    }
    write_sample(text, name, "_sum", labels, sum);
    write_sample(text, name, "_count", labels, total);
}

/// The labels of `labels` and their values, both as they are written.
fn pairs(labels: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = labels;
    std::iter::from_fn(move || {
        let (label, value) = rest.split_once("=\"")?;
        let mut escaped = false;
        let end = value.bytes().position(|byte| {
            let ends = byte == b'"' && !escaped;
            escaped = byte == b'\\' && !escaped;
            ends
        })?;
        rest = value[end + 1..].trim_start_matches(',');
        Some((label, &value[..end]))
    })
}

/// The value of a label among labels, both as they are written.
pub(super) fn value_of<'a>(label: &str, labels: &'a str) -> Option<&'a str> {
    let found = pairs(labels).find(|(key, _)| *key == label);
    found.map(|(_, value)| value)
}

/// All labels but `label`, such as `listener=web,code=200`.
fn without(label: &str, labels: &str) -> String {
    let others = pairs(labels).filter(|(key, _)| *key != label);
    let others: Vec<_> = others
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    others.join(",")
}

/// Labels as they stand between the braces.
fn labels<'a>(labels: impl Iterator<Item = &'a Label>) -> String {
    exposition::labels(labels.map(|label| (label.key(), label.value())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(count: impl FnOnce()) -> String {
        let registry = Registry::default();
        metrics::with_local_recorder(&registry, count);
        registry.render()
    }

    #[test]
    fn counters_are_found_by_what_they_are_of() {
        let registry = Registry::default();
        metrics::with_local_recorder(&registry, || {
            for (endpoint, code) in [("unix:/a,b\".sock", "200"), ("c", "200"), ("c", "502")] {
                let labels = [("upstream", "pay"), ("endpoint", endpoint), ("code", code)];
                metrics::counter!("asked_total", &labels).increment(2);
            }
            metrics::counter!("broken_total", "upstream" => "pay").increment(1);
            metrics::counter!("asked_total", "upstream" => "ship").increment(7);
            metrics::gauge!("up", "upstream" => "pay").set(1.0);
        });
        let mut found = registry.counters_by("upstream");
        let pay = found.remove("pay").unwrap();
        let names: Vec<_> = pay.keys().map(String::as_str).collect();
        assert_eq!(names, ["asked_total", "broken_total"]);
        let asked: Vec<_> = (pay["asked_total"].iter().map(|(l, n)| (&**l, *n))).collect();
        assert_eq!(
            asked,
            [
                ("endpoint=c,code=200", 2),
                ("endpoint=c,code=502", 2),
                (r#"endpoint=unix:/a,b\".sock,code=200"#, 2),
            ]
        );
        assert_eq!(pay["broken_total"][""], 1);
        assert_eq!(found["ship"]["asked_total"][""], 7);
        let by_code = registry.sums("asked_total", ["upstream", "code"]);
        let of = |upstream: &str, code: &str| by_code[&[upstream.to_owned(), code.to_owned()]];
        assert_eq!(
            (of("pay", "200"), of("pay", "502"), of("ship", "")),
            (4, 2, 7)
        );
        assert!(registry.sums("up", ["upstream"]).is_empty());
    }

    #[test]
    fn series_stand_under_their_name_in_order() {
        let text = rendered(|| {
            metrics::describe_counter!("b_total", "What\nb \\ does.");
            metrics::counter!("b_total", "x" => "2").increment(1);
            metrics::counter!("b_total", "x" => "1").increment(2);
            metrics::gauge!("a").set(1.5);
            metrics::describe_gauge!("unused", "Nobody set it.");
        });
        let expected = "# TYPE a gauge\na 1.5\n\
             # HELP b_total What\\nb \\\\ does.\n# TYPE b_total counter\n\
             b_total{x=\"1\"} 2\nb_total{x=\"2\"} 1\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_histogram_counts_up() {
        let text = rendered(|| {
            let seconds = metrics::histogram!("s", "route" => "pay");
            seconds.record(0.001);
            seconds.record(3.0);
            seconds.record(31.0);
        });
        for line in [
            "s_bucket{route=\"pay\",le=\"0.0005\"} 0",
            "s_bucket{route=\"pay\",le=\"0.001\"} 1",
            "s_bucket{route=\"pay\",le=\"5\"} 2",
            "s_bucket{route=\"pay\",le=\"30\"} 2",
            "s_bucket{route=\"pay\",le=\"+Inf\"} 3",
            "s_sum{route=\"pay\"} 34.001",
            "s_count{route=\"pay\"} 3",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} in {text}");
        }
    }

    #[test]
    fn a_histogram_of_counts_has_bounds_of_its_own() {
        let text = rendered(|| {
            metrics::describe_histogram!("tries", metrics::Unit::Count, "How often.");
            let tries = metrics::histogram!("tries");
            for count in [1.0, 1.0, 4.0, 30.0] {
                tries.record(count);
            }
        });
        let bounds: Vec<&str> = text
            .lines()
            .filter_map(|line| line.strip_prefix("tries_bucket"))
            .collect();
        let expected = [
            "{le=\"1\"} 2",
            "{le=\"2\"} 2",
            "{le=\"3\"} 2",
            "{le=\"5\"} 3",
            "{le=\"8\"} 3",
            "{le=\"13\"} 3",
            "{le=\"21\"} 3",
            "{le=\"+Inf\"} 4",
        ];
        assert_eq!(bounds, expected);
    }

    #[test]
    fn handles_of_the_same_labels_count_together() {
        let text = rendered(|| {
            for _ in 0..2 {
                metrics::counter!("a_total", "x" => "1").increment(1);
            }
        });
        assert!(text.contains("a_total{x=\"1\"} 2"), "{text}");
    }

    #[test]
    fn a_name_has_one_kind() {
        let text = rendered(|| {
            metrics::counter!("a_total").increment(1);
            metrics::gauge!("a_total").set(7);
            metrics::histogram!("a_total").record(7.0);
        });
        assert_eq!(text, "# TYPE a_total counter\na_total 1\n");
    }

    #[test]
    fn values_of_labels_are_escaped() {
        let text = rendered(|| metrics::counter!("a_total", "x" => "\"\\\n").increment(1));
        assert!(text.contains("a_total{x=\"\\\"\\\\\\n\"} 1"), "{text}");
    }
}
