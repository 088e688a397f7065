use std::sync::Arc;

use tracing::Subscriber;

use super::*;
use crate::value::problem::Problems;

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Lines {
    fn take(&self) -> String {
        String::from_utf8(std::mem::take(&mut *self.0.lock().unwrap())).unwrap()
    }
}

fn log_to(lines: &Lines, format: Format) -> (impl Subscriber + use<>, Switches) {
    let config = Config {
        format: Some(format),
        ..Config::default()
    };
    let lines = lines.clone();
    subscriber(&config, move || lines.clone(), false)
}

#[test]
fn json_lines_are_flat_and_parse() {
    let lines = Lines::default();
    let (subscriber, _switches) = log_to(&lines, Format::Json);
    tracing::subscriber::with_default(subscriber, || {
        tracing::info!(route = "pay", "a \"quoted\" word");
    });
    let line: serde_json::Value = serde_json::from_str(&lines.take()).unwrap();
    assert_eq!(line["level"], "INFO");
    assert_eq!(line["message"], "a \"quoted\" word");
    assert_eq!(line["route"], "pay");
    assert!(line["timestamp"].is_string());
}

#[test]
fn level_and_format_change_while_running() {
    let lines = Lines::default();
    let (subscriber, switches) = log_to(&lines, Format::Json);
    tracing::subscriber::with_default(subscriber, || {
        let say = || tracing::debug!("hello");
        say();
        assert_eq!(lines.take(), "");
        switches.set_level(Level::Debug);
        say();
        assert!(lines.take().starts_with('{'));
        switches.set_json(false);
        say();
        assert!(lines.take().contains("DEBUG outrigger"));
        switches.set_level(Level::Off);
        tracing::error!("hello");
        assert_eq!(lines.take(), "");
    });
}

#[test]
fn libraries_are_heard_from_warnings_on() {
    let lines = Lines::default();
    let (subscriber, switches) = log_to(&lines, Format::Text);
    tracing::subscriber::with_default(subscriber, || {
        switches.set_level(Level::Debug);
        tracing::info!(target: "h2::codec", "frame");
        assert_eq!(lines.take(), "");
        tracing::warn!(target: "h2::codec", "frame");
        assert!(lines.take().contains("frame"));
        switches.set_level(Level::Error);
        tracing::warn!(target: "h2::codec", "frame");
        assert_eq!(lines.take(), "");
    });
}

#[test]
fn levels_are_read_as_the_config_writes_them() {
    for level in [
        Level::Off,
        Level::Error,
        Level::Warn,
        Level::Info,
        Level::Debug,
    ] {
        let text = serde_json::to_value(level).unwrap();
        assert_eq!(text.as_str().unwrap().parse(), Ok(level));
    }
    assert!("loud".parse::<Level>().is_err());
}

#[test]
fn header_names_are_checked() {
    let found = |config: &str| {
        let mut problems = Problems::default();
        toml::from_str::<Config>(config)
            .unwrap()
            .check(&mut problems);
        problems.into_vec()
    };
    assert_eq!(
        found("access_log = true\naccess_log_headers = ['x-a', '?']"),
        []
    );
    let bad = found("access_log = true\naccess_log_headers = ['x a']");
    assert_eq!(bad[0].message, "`x a` is not a header name");
    assert_eq!(found("access_log_headers = ['x-a']").len(), 1);
}
