//! Prometheus's text format 0.0.4: whoever shows a metric writes it with this.

use std::fmt::{Display, Write};

use metrics_exporter_prometheus::formatting::{write_help_line, write_type_line};

/// What a metric is called, what it is, and what it tells.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    pub kind: Kind,
    pub name: &'static str,
    pub help: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    /// Of durations.
    Histogram,
    /// A histogram of small whole numbers.
    Counts,
}

impl Metric {
    pub const fn counter(name: &'static str, help: &'static str) -> Self {
        let kind = Kind::Counter;
        Metric { kind, name, help }
    }

    pub const fn gauge(name: &'static str, help: &'static str) -> Self {
        let kind = Kind::Gauge;
        Metric { kind, name, help }
    }

    pub const fn histogram(name: &'static str, help: &'static str) -> Self {
        let kind = Kind::Histogram;
        Metric { kind, name, help }
    }

    pub const fn counts(name: &'static str, help: &'static str) -> Self {
        let kind = Kind::Counts;
        Metric { kind, name, help }
    }

    /// Writes the lines that stand before the metric's samples.
    pub fn write_head(&self, text: &mut String) {
        write_head(text, self.name, self.kind, self.help);
    }

    /// Writes a sample. `labels` are as [`labels`] gives them.
    pub fn write_sample(&self, text: &mut String, labels: &str, value: impl Display) {
        write_sample(text, self.name, "", labels, value);
    }
}

/// Writes the lines that stand before the samples of the metric `name`.
pub fn write_head(text: &mut String, name: &str, kind: Kind, help: &str) {
    if !help.is_empty() {
        write_help_line(text, name, None, None, help);
    }
    let kind = match kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Histogram | Kind::Counts => "histogram",
    };
    write_type_line(text, name, None, None, kind);
}

/// Writes a sample. `suffix` tells the series of a histogram apart; `labels` are as [`labels`] gives them.
pub fn write_sample(
    text: &mut String,
    name: &str,
    suffix: &str,
    labels: &str,
    value: impl Display,
) {
    let _infallible = if labels.is_empty() {
        writeln!(text, "{name}{suffix} {value}")
    } else {
        writeln!(text, "{name}{suffix}{{{labels}}} {value}")
    };
}

/// Labels as they stand between the braces. Names are fixed words; a value may be any text. It is escaped here, because
/// the crate's own way (0.18.3) takes two backslashes for one that is escaped already, and drops one before a quote.
pub fn labels<'a>(labels: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut text = String::new();
    for (name, value) in labels {
        let comma = if text.is_empty() { "" } else { "," };
        let _infallible = write!(text, "{comma}{name}=\"");
        for char in value.chars() {
            match char {
                '\\' => text.push_str(r"\\"),
                '"' => text.push_str("\\\""),
                '\n' => text.push_str(r"\n"),
                char => text.push(char),
            }
        }
        text.push('"');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_described_before_its_samples() {
        let metric = Metric::gauge("a", "What\na \\ \"is\".");
        let mut text = String::new();
        metric.write_head(&mut text);
        metric.write_sample(&mut text, "", 1.5);
        metric.write_sample(&mut text, &labels([("x", "\"\\\n"), ("y", "")]), 2);
        let expected = "# HELP a What\\na \\\\ \"is\".\n# TYPE a gauge\na 1.5\n\
             a{x=\"\\\"\\\\\\n\",y=\"\"} 2\n";
        assert_eq!(text, expected);
    }
}
