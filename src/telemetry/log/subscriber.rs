//! What writes the events of the process, and its switches: level and format change while it runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tracing::{Event, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::{self, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Registry, reload};

use super::config::{Config, Level};

/// What can be changed while the log runs.
pub(super) struct Switches {
    filter: reload::Handle<Targets, Registry>,
    json: Arc<AtomicBool>,
}

impl Switches {
    pub fn set_level(&self, level: Level) {
        // Fails only when the subscriber is gone, and then nobody logs.
        let _ = self.filter.reload(targets(level));
    }

    pub fn set_json(&self, json: bool) {
        self.json.store(json, Ordering::Relaxed);
    }
}

pub(super) fn subscriber<W>(
    config: &Config,
    writer: W,
    colours: bool,
) -> (impl Subscriber + use<W>, Switches)
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
        // Whatever it warns of is told by the state of the broker, and it does so with each try to connect.
        .with_target("krafka", level.min(Level::Error))
        .with_default(level.min(Level::Warn))
        // It would write down whole messages, and what matters of the rest we say ourselves.
        .with_target("lapin", Level::Off)
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
