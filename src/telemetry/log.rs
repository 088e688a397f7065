//! `[log]`: the proxy's own log, on stderr, and the access log, on stdout.
//!
//! Two streams, so that a program that reads one line a request from stdout never meets another kind of line.

use std::io::{self, IsTerminal};
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use http::HeaderName;
use metrics::counter;
use serde::{Deserialize, Serialize};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Subscriber};
use tracing_appender::non_blocking::NonBlocking;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::{self, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Registry, reload};

use super::sink::Sink;
use crate::value::Wrong;
use crate::value::exposition::Metric;
use crate::value::problem::Problems;

pub const LINES_DROPPED: Metric = Metric::counter(
    "outrigger_log_lines_dropped_total",
    "Log lines dropped because their reader was too slow.",
);

/// How many lines wait for a slow reader before further ones are dropped.
const OWN_LINES: usize = 1024;
const ACCESS_LINES: usize = 8192;

/// `[log]`
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How the proxy's own log on stderr looks. Default: JSON, unless stdout is a terminal.
    pub format: Option<Format>,
    /// The least severe events that are logged. Of libraries never less severe ones than warnings.
    pub level: Level,
    /// One JSON line a request on stdout.
    pub access_log: bool,
    /// Request headers whose values the access log shows; `"?"` shows the query.
    pub access_log_headers: Vec<String>,
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    Json,
    Text,
}

/// The least severe events that are logged.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    Off,
    Error,
    Warn,
    #[default]
    Info,
    Debug,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            format: None,
            level: Level::Info,
            access_log: false,
            access_log_headers: Vec::new(),
        }
    }
}

impl Config {
    /// What deserializing alone cannot see.
    pub fn check(&self, problems: &mut Problems) {
        let names = ["access_log_headers"];
        for name in self.access_log_headers.iter().filter(|name| *name != "?") {
            if HeaderName::from_bytes(name.as_bytes()).is_err() {
                problems
                    .error(&names, format!("`{name}` is not a header name"))
                    .help("name request headers, or \"?\" for the query");
            }
        }
        if !self.access_log && !self.access_log_headers.is_empty() {
            problems
                .warning(&names, "has no effect while `access_log` is false")
                .help("set `access_log = true`");
        }
    }

    pub fn with_defaults(self) -> Self {
        let format = if self.is_json() {
            Format::Json
        } else {
            Format::Text
        };
        Config {
            format: Some(format),
            ..self
        }
    }

    fn is_json(&self) -> bool {
        match self.format {
            Some(format) => format == Format::Json,
            None => !io::stdout().is_terminal(),
        }
    }
}

impl FromStr for Level {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Self, Wrong> {
        match text {
            "off" => Ok(Level::Off),
            "error" => Ok(Level::Error),
            "warn" => Ok(Level::Warn),
            "info" => Ok(Level::Info),
            "debug" => Ok(Level::Debug),
            other => Err(Wrong::new(format!("`{other}` is not a level"))
                .help("write off, error, warn, info or debug")),
        }
    }
}

impl From<Level> for LevelFilter {
    fn from(level: Level) -> Self {
        match level {
            Level::Off => LevelFilter::OFF,
            Level::Error => LevelFilter::ERROR,
            Level::Warn => LevelFilter::WARN,
            Level::Info => LevelFilter::INFO,
            Level::Debug => LevelFilter::DEBUG,
        }
    }
}

/// The running log. Dropping it writes out the lines that still wait, but does not wait long for a reader.
pub struct Log {
    switches: Switches,
    /// The level of the config that was applied last.
    configured: Mutex<Level>,
    level: Mutex<Level>,
    own: Sink,
    access: Mutex<Option<Sink>>,
}

impl Log {
    /// Sends the events of the whole process to stderr.
    ///
    /// # Errors
    /// When a log was started before, or stderr cannot be written to.
    pub fn start(config: &Config) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let own = Sink::new(io::stderr(), "log", OWN_LINES)?;
        let colours = io::stderr().is_terminal()
            && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let (subscriber, switches) = subscriber(config, own.writer(), colours);
        tracing::subscriber::set_global_default(subscriber)?;
        Ok(Log {
            switches,
            configured: Mutex::new(config.level),
            level: Mutex::new(config.level),
            own,
            access: Mutex::new(None),
        })
    }

    /// Makes a new config count, at once. A level set by [`Log::set_level`] stays until the config's level changes.
    pub fn apply(&self, config: &Config) {
        self.switches
            .json
            .store(config.is_json(), Ordering::Relaxed);
        let mut configured = self
            .configured
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if *configured != config.level {
            *configured = config.level;
            self.set_level(config.level);
        }
    }

    /// Sets the level that holds from now on.
    pub fn set_level(&self, level: Level) {
        self.switches.set_level(level);
        *self.level.lock().unwrap_or_else(PoisonError::into_inner) = level;
    }

    /// The level that holds.
    pub fn level(&self) -> Level {
        *self.level.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where access logs write: stdout. The queue is made when the first one asks.
    ///
    /// # Errors
    /// When stdout cannot be written to.
    pub fn access_writer(&self) -> io::Result<NonBlocking> {
        let mut access = self.access.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sink) = &*access {
            return Ok(sink.writer());
        }
        let sink = Sink::new(io::stdout(), "access-log", ACCESS_LINES)?;
        let writer = sink.writer();
        *access = Some(sink);
        Ok(writer)
    }

    pub(super) fn publish_dropped_lines(&self) {
        let access = self.access.lock().unwrap_or_else(PoisonError::into_inner);
        let access_lines = access.as_ref().map_or(0, Sink::dropped_lines);
        counter!(LINES_DROPPED.name).absolute(self.own.dropped_lines() + access_lines);
    }
}

/// What can be changed while the log runs.
struct Switches {
    filter: reload::Handle<Targets, Registry>,
    json: Arc<AtomicBool>,
}

impl Switches {
    fn set_level(&self, level: Level) {
        // Fails only when the subscriber is gone, and then nobody logs.
        let _ = self.filter.reload(targets(level));
    }
}

fn subscriber<W>(config: &Config, writer: W, colours: bool) -> (impl Subscriber + use<W>, Switches)
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let (filter, handle) = reload::Layer::new(targets(config.level));
    let json = Arc::new(AtomicBool::new(config.is_json()));
    let shape = Shape {
        json: json.clone(),
        as_json: format::format().json().flatten_event(true),
        as_text: format::format(),
    };
    let layer = tracing_subscriber::fmt::layer()
        .event_format(shape)
        .with_ansi(colours)
        .with_writer(writer)
        .with_filter(filter);
    let switches = Switches {
        filter: handle,
        json,
    };
    (Registry::default().with(layer), switches)
}

/// Libraries log what only their authors can use below warnings, and much of it.
fn targets(level: Level) -> Targets {
    Targets::new()
        .with_target(env!("CARGO_CRATE_NAME"), level)
        .with_default(level.min(Level::Warn))
}

/// The two formats, switched while running.
struct Shape {
    json: Arc<AtomicBool>,
    as_json: format::Format<format::Json>,
    as_text: format::Format,
}

impl<S, N> FormatEvent<S, N> for Shape
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        writer: Writer<'_>,
        event: &Event<'_>,
    ) -> std::fmt::Result {
        if self.json.load(Ordering::Relaxed) {
            self.as_json.format_event(context, writer, event)
        } else {
            self.as_text.format_event(context, writer, event)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            switches.json.store(false, Ordering::Relaxed);
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
}
