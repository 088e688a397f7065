//! Prometheus text, read back.

use std::collections::BTreeMap;

/// One scrape.
#[derive(Debug)]
pub struct Metrics {
    series: Vec<(String, BTreeMap<String, String>, f64)>,
}

impl Metrics {
    pub fn parse(text: &str) -> Metrics {
        let lines = text
            .lines()
            .filter(|line| !line.starts_with('#') && !line.trim().is_empty());
        Metrics {
            series: lines
                .map(|line| parse_line(line).unwrap_or_else(|| panic!("a metric line: {line}")))
                .collect(),
        }
    }

    /// The sum of all series of that name which carry these labels; 0 when there is none.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let carries = |found: &BTreeMap<String, String>| {
            labels
                .iter()
                .all(|(key, value)| found.get(*key).is_some_and(|v| v == value))
        };
        self.series
            .iter()
            .filter(|(found, of, _)| found == name && carries(of))
            .map(|(_, _, value)| value)
            .sum()
    }

    pub fn has(&self, name: &str) -> bool {
        self.series.iter().any(|(found, ..)| {
            found == name
                || found
                    .strip_prefix(name)
                    .is_some_and(|rest| matches!(rest, "_bucket" | "_sum" | "_count"))
        })
    }

    /// Every value that some label has.
    pub fn label_values(&self) -> impl Iterator<Item = &str> {
        self.series
            .iter()
            .flat_map(|(_, labels, _)| labels.values().map(String::as_str))
    }
}

fn parse_line(line: &str) -> Option<(String, BTreeMap<String, String>, f64)> {
    let (series, value) = line.rsplit_once(' ')?;
    let (name, labels) = match series.split_once('{') {
        None => (series, BTreeMap::new()),
        Some((name, rest)) => (name, parse_labels(rest.strip_suffix('}')?)?),
    };
    Some((name.to_owned(), labels, value.parse().ok()?))
}

fn parse_labels(mut text: &str) -> Option<BTreeMap<String, String>> {
    let mut labels = BTreeMap::new();
    while !text.is_empty() {
        let (key, rest) = text.split_once("=\"")?;
        let (value, rest) = rest.split_once('"')?;
        labels.insert(key.to_owned(), value.to_owned());
        text = rest.strip_prefix(',').unwrap_or(rest);
    }
    Some(labels)
}

#[test]
fn series_are_summed_by_the_labels_asked_for() {
    let metrics = Metrics::parse(
        "# TYPE a counter\na{x=\"1\",y=\"2\"} 3\na{x=\"1\",y=\"4\"} 5\na{x=\"2\"} 7\nb_count 1\n",
    );
    assert_eq!(metrics.sum("a", &[("x", "1")]), 8.0);
    assert_eq!(metrics.sum("a", &[]), 15.0);
    assert_eq!(metrics.sum("c", &[]), 0.0);
    assert!(metrics.has("b"));
}
