//! What the environment says: the variables of OpenTelemetry's specification, as far as they are about traces over HTTP.
//!
//! The file wins over the environment, key by key; `OTEL_SDK_DISABLED` alone wins over the file. What is asked for and not
//! there is an error, as it would be in the file.

use std::collections::BTreeMap;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::percent_decode_str;

use super::config::Config;
use super::settings::{Resource, Settings};
use crate::fetch::Url;
use crate::trace::{Limits, Sampler};
use crate::value::problem::Problems;

/// Where nothing says more: one request of a hundred.
const RATIO: f64 = 0.01;
/// The path of traces (OTLP 1, "OTLP/HTTP Request").
const PATH: &str = "v1/traces";
const NAME: &str = "service.name";

/// Variables that would have to be followed and are not, with what takes their place.
const NOT_READ: [(&str, &str); 3] = [
    (
        "CERTIFICATE",
        "name the file in `[tracing]`, under `tls.ca`",
    ),
    (
        "CLIENT_CERTIFICATE",
        "name the file in `[tracing]`, under `tls.cert`",
    ),
    (
        "CLIENT_KEY",
        "name the file in `[tracing]`, under `tls.key`",
    ),
];

/// Variables that are set to something.
pub(super) struct Environment(BTreeMap<String, String>);

/// Something is wrong, and was reported.
pub(super) struct Wrong;

impl Environment {
    pub fn of_process() -> Self {
        let ours = std::env::vars_os().filter_map(|(name, value)| {
            let name = name.into_string().ok()?;
            let is_ours = name.starts_with("OTEL_");
            is_ours.then(|| (name, value.to_string_lossy().into_owned()))
        });
        ours.collect()
    }

    /// What is to be done with spans: nothing, where no endpoint is known.
    pub fn settings(
        &self,
        config: &Config,
        problems: &mut Problems,
    ) -> Result<Option<Settings>, Wrong> {
        if self
            .get("OTEL_SDK_DISABLED")
            .is_some_and(|value| value.eq_ignore_ascii_case("true"))
        {
            if config.endpoint.is_some() {
                problems
                    .warning(
                        &["endpoint"],
                        "`OTEL_SDK_DISABLED` is `true`: nothing is recorded",
                    )
                    .help("leave that variable out of the environment");
            }
            return Ok(None);
        }
        let mut reading = Reading {
            environment: self,
            problems,
            wrong: false,
        };
        let Some(url) = reading.url(config) else {
            return reading.end(None);
        };
        let settings = Settings {
            url,
            tls: None,
            headers: reading.headers(),
            sampler: reading.sampler(config),
            propagates: reading.propagates(),
            resource: reading.resource(config),
            limits: reading.limits(),
            delay: reading.millis("OTEL_BSP_SCHEDULE_DELAY", 5_000),
            timeout: reading.otlp_millis("TIMEOUT", 10_000),
            patience: reading.millis("OTEL_BSP_EXPORT_TIMEOUT", 30_000),
            gzip: reading.gzip(),
        };
        reading.not_read(config);
        reading.end(Some(settings))
    }

    /// An empty one is as if it were not there.
    fn get(&self, name: &str) -> Option<&str> {
        let value = self.0.get(name)?.trim();
        (!value.is_empty()).then_some(value)
    }

    /// The one for traces, or else the one for all that is sent, with its name.
    fn otlp(&self, what: &str) -> Option<(String, &str)> {
        let names = ["OTEL_EXPORTER_OTLP_TRACES_", "OTEL_EXPORTER_OTLP_"];
        names.into_iter().find_map(|start| {
            let name = format!("{start}{what}");
            let value = self.get(&name)?;
            Some((name, value))
        })
    }
}

impl FromIterator<(String, String)> for Environment {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(variables: I) -> Self {
        Environment(variables.into_iter().collect())
    }
}

struct Reading<'a> {
    environment: &'a Environment,
    problems: &'a mut Problems,
    wrong: bool,
}

impl Reading<'_> {
    fn end(self, settings: Option<Settings>) -> Result<Option<Settings>, Wrong> {
        if self.wrong { Err(Wrong) } else { Ok(settings) }
    }

    fn error(&mut self, message: String, help: &str) {
        self.wrong = true;
        self.problems.error(&[], message).help(help);
    }

    fn url(&mut self, config: &Config) -> Option<Url> {
        if let Some(url) = &config.endpoint {
            return Some(with_path(url));
        }
        match self.environment.get("OTEL_TRACES_EXPORTER") {
            None | Some("otlp") => {}
            Some("none") => return None,
            Some(other) => {
                let message = format!(
                    "`OTEL_TRACES_EXPORTER` is `{other}`, and spans are sent by OTLP alone"
                );
                self.error(message, "set it to `otlp` or `none`");
                return None;
            }
        }
        let (name, text) = self.environment.otlp("ENDPOINT")?;
        let url = match text.parse::<Url>() {
            Ok(url) => url,
            Err(wrong) => {
                self.error(
                    format!("`{name}`: {}", wrong.message),
                    "write it like `http://collector:4318`",
                );
                return None;
            }
        };
        self.protocol();
        Some(if name.contains("TRACES") {
            url
        } else {
            with_path(&url)
        })
    }

    fn protocol(&mut self) {
        if let Some((name, protocol)) = self.environment.otlp("PROTOCOL")
            && protocol != "http/protobuf"
        {
            let message =
                format!("`{name}` is `{protocol}`, and spans are sent by `http/protobuf` alone");
            self.error(
                message,
                "set it to `http/protobuf`, and the endpoint to the port for that, which is 4318 as a rule",
            );
        }
    }

    fn gzip(&mut self) -> bool {
        match self.environment.otlp("COMPRESSION") {
            None | Some((_, "none")) => false,
            Some((_, "gzip")) => true,
            Some((name, other)) => {
                self.error(
                    format!("`{name}` is `{other}`"),
                    "set it to `gzip` or `none`",
                );
                false
            }
        }
    }

    fn not_read(&mut self, config: &Config) {
        for (what, help) in NOT_READ {
            if config.tls.is_none()
                && let Some((name, _)) = self.environment.otlp(what)
            {
                let message = format!(
                    "`{name}` is not read: a file that the config names is watched as well"
                );
                self.error(message, help);
            }
        }
    }

    fn sampler(&mut self, config: &Config) -> Sampler {
        if let Some(ratio) = config.sample_ratio {
            return Sampler::new(true, ratio);
        }
        let Some(name) = self.environment.get("OTEL_TRACES_SAMPLER") else {
            return Sampler::new(true, RATIO);
        };
        let (follows, kind) = match name.strip_prefix("parentbased_") {
            Some(kind) => (true, kind),
            None => (false, name),
        };
        match kind {
            "always_on" => Sampler::new(follows, 1.0),
            "always_off" => Sampler::new(follows, 0.0),
            "traceidratio" => Sampler::new(follows, self.ratio()),
            _ => {
                self.error(
                    format!("`OTEL_TRACES_SAMPLER` is `{name}`, which is not there"),
                    "set it to `always_on`, `always_off` or `traceidratio`, or to one of them behind `parentbased_`",
                );
                Sampler::new(true, 0.0)
            }
        }
    }

    fn ratio(&mut self) -> f64 {
        const ARGUMENT: &str = "OTEL_TRACES_SAMPLER_ARG";
        let Some(text) = self.environment.get(ARGUMENT) else {
            return 1.0;
        };
        match text.parse() {
            Ok(ratio) if (0.0..=1.0).contains(&ratio) => ratio,
            _ => {
                self.error(
                    format!("`{ARGUMENT}` is `{text}`"),
                    "set it to a share from 0 to 1",
                );
                0.0
            }
        }
    }

    /// Whether `traceparent` is read and written. `baggage` goes on as any head does.
    fn propagates(&mut self) -> bool {
        const PROPAGATORS: &str = "OTEL_PROPAGATORS";
        let Some(list) = self.environment.get(PROPAGATORS) else {
            return true;
        };
        let names = || list.split(',').map(str::trim);
        for name in names() {
            if !matches!(name, "tracecontext" | "baggage" | "none" | "") {
                let message = format!("`{PROPAGATORS}` names `{name}`, which is not built");
                let help =
                    "traces go on by `tracecontext` alone; other heads are passed on as they came";
                self.problems.warning(&[], message).help(help);
            }
        }
        names().any(|name| name == "tracecontext")
    }

    fn limits(&mut self) -> Limits {
        let usual = Limits::default();
        let queued = self.number("OTEL_BSP_MAX_QUEUE_SIZE", usual.queued as u64);
        let batch = (usual.batch as u64).min(queued);
        let batch = self.number("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", batch);
        if batch > queued {
            self.error(
                format!("`OTEL_BSP_MAX_EXPORT_BATCH_SIZE` is {batch}, and no more than {queued} spans wait"),
                "set it to no more than `OTEL_BSP_MAX_QUEUE_SIZE`",
            );
        }
        let attributes = self.of_spans("COUNT", u64::from(usual.attributes));
        let longest = self.of_spans("VALUE_LENGTH", usual.longest as u64);
        Limits {
            queued: queued as usize,
            batch: batch as usize,
            attributes: attributes as u32,
            longest: usual.longest.min(longest as usize),
        }
    }

    /// A limit for the attributes of spans, or else the one for all attributes.
    fn of_spans(&mut self, what: &str, default: u64) -> u64 {
        let names =
            ["OTEL_SPAN_ATTRIBUTE", "OTEL_ATTRIBUTE"].map(|of| format!("{of}_{what}_LIMIT"));
        let set = names
            .into_iter()
            .find(|name| self.environment.get(name).is_some());
        set.map_or(default, |name| self.number(&name, default))
    }

    fn otlp_millis(&mut self, what: &str, default: u64) -> Duration {
        match self.environment.otlp(what) {
            Some((name, _)) => self.millis(&name, default),
            None => Duration::from_millis(default),
        }
    }

    fn millis(&mut self, name: &str, default: u64) -> Duration {
        Duration::from_millis(self.number(name, default))
    }

    fn number(&mut self, name: &str, default: u64) -> u64 {
        /// More is none of these: an hour of milliseconds, or a GiB of spans.
        const MOST: u64 = 3_600_000;
        let Some(text) = self.environment.get(name) else {
            return default;
        };
        match text.parse() {
            Ok(number @ 1..=MOST) => number,
            _ => {
                self.error(
                    format!("`{name}` is `{text}`"),
                    &format!("set it to a whole number from 1 to {MOST}"),
                );
                default
            }
        }
    }

    /// Their values may be secret, and are not shown.
    fn headers(&mut self) -> HeaderMap {
        let Some((name, list)) = self.environment.otlp("HEADERS") else {
            return HeaderMap::new();
        };
        let mut headers = HeaderMap::new();
        for pair in pairs(list) {
            let header = pair.and_then(|(key, value)| {
                let key = HeaderName::from_bytes(key.as_bytes()).ok()?;
                let mut value = HeaderValue::from_str(&value).ok()?;
                value.set_sensitive(true);
                Some((key, value))
            });
            match header {
                Some((key, value)) => drop(headers.append(key, value)),
                None => self.error(format!("`{name}` is no list of headers"), LIST),
            }
        }
        headers
    }

    /// Who sends: what the config and the environment say, and what this is.
    fn resource(&mut self, config: &Config) -> Resource {
        const ATTRIBUTES: &str = "OTEL_RESOURCE_ATTRIBUTES";
        let mut resource = BTreeMap::new();
        let list = self.environment.get(ATTRIBUTES).unwrap_or_default();
        for pair in pairs(list) {
            match pair {
                Some((key, value)) => drop(resource.insert(key, value)),
                None => self.error(format!("`{ATTRIBUTES}` is no list of attributes"), LIST),
            }
        }
        let named = config.service_name.as_deref();
        if let Some(name) = named.or_else(|| self.environment.get("OTEL_SERVICE_NAME")) {
            resource.insert(NAME.to_owned(), name.to_owned());
        }
        for (key, value) in [
            (NAME, env!("CARGO_PKG_NAME")),
            ("telemetry.sdk.name", env!("CARGO_PKG_NAME")),
            ("telemetry.sdk.language", "rust"),
            ("telemetry.sdk.version", env!("CARGO_PKG_VERSION")),
        ] {
            resource
                .entry(key.to_owned())
                .or_insert_with(|| value.to_owned());
        }
        resource.into_iter().collect()
    }
}

const LIST: &str = "write it like `name=value,other=value`, with `%2C` for a comma";

/// A list as W3C Baggage has it: names and values, which may be percent-encoded.
fn pairs(list: &str) -> impl Iterator<Item = Option<(String, String)>> {
    let members = list
        .split(',')
        .map(str::trim)
        .filter(|member| !member.is_empty());
    members.map(|member| {
        let (key, value) = member.split_once('=')?;
        let decoded = |text: &str| {
            let text = percent_decode_str(text.trim()).decode_utf8().ok()?;
            Some(text.into_owned())
        };
        let key = decoded(key).filter(|key| !key.is_empty())?;
        Some((key, decoded(value)?))
    })
}

/// Where traces go below the URL of a collector.
fn with_path(url: &Url) -> Url {
    let text = url.to_string();
    let base = text.trim_end_matches('/');
    if base.ends_with(PATH) || url.uri().query().is_some() {
        return url.clone();
    }
    format!("{base}/{PATH}")
        .parse()
        .unwrap_or_else(|_| url.clone())
}

#[cfg(test)]
mod tests;
