//! `[tracing]`: where spans are sent, in OpenTelemetry's protocol (OTLP 1, over HTTP with Protocol Buffers).
//!
//! Spans end on the threads that serve, and wait there, written down already. What sends them is a task of the control thread, by
//! the client that fetches tokens: no request waits for it, and neither a crate nor a thread had to be added.
//! `opentelemetry-otlp` brings the whole of OpenTelemetry's kit, a second HTTP client and 30 crates; `opentelemetry-proto`
//! with `prost` is 9 more to build, for four messages of which none is read.

mod answer;
mod config;
mod environment;
mod exporter;
mod pipeline;
mod settings;

pub use config::{Checked, Config};
pub use exporter::{EXPORTED, Exporters};
pub use pipeline::Pipeline;
pub use settings::Settings;
