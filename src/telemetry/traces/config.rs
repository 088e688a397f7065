//! The block, and what becomes of it with the environment.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::environment::Environment;
use super::settings::Settings;
use crate::fetch::Url;
use crate::tls::outbound;
use crate::tls::{Opened, inventory::Inventory};
use crate::value::problem::Problems;

/// The port on which collectors take OTLP over gRPC.
const GRPC: u16 = 4317;

/// `[tracing]`: traces go on as they came, and nothing is recorded, unless there is an endpoint.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The collector: `/v1/traces` is added to the path unless it is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<Url>,
    /// The share of the requests that is recorded where the caller did not decide.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sample_ratio: Option<f64>,
    /// What the collector knows this proxy by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_name: Option<String>,
    /// How TLS is spoken with the collector, where its URL is one of https.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<outbound::Config>,
}

/// The block, and what follows from it and the environment. It serializes as it was written.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub struct Checked {
    config: Config,
    /// None: nothing is recorded.
    #[serde(skip)]
    pub settings: Option<Arc<Settings>>,
}

impl Config {
    /// What deserializing alone cannot see.
    pub fn check(&self, problems: &mut Problems) {
        if let Some(ratio) = self.sample_ratio
            && !(0.0..=1.0).contains(&ratio)
        {
            problems
                .error(
                    &["sample_ratio"],
                    format!("{ratio} is no share: it is from 0 to 1"),
                )
                .help("write 0.01 for one request of a hundred");
        }
        if self.service_name.as_deref() == Some("") {
            problems
                .error(&["service_name"], "a service has a name")
                .help("leave it out to be called \"outrigger\"");
        }
        if let Some(tls) = &self.tls {
            problems.within(&["tls"], |problems| tls.check(problems));
            let plain = self.endpoint.as_ref().filter(|url| !url.is_encrypted());
            if plain.is_some() {
                problems
                    .warning(&["tls"], "an `http://` endpoint is called without TLS")
                    .help("write `https://`, or leave this out");
            }
        }
        if let Some(url) = &self.endpoint
            && url.port() == GRPC
        {
            problems
                .warning(
                    &["endpoint"],
                    "4317 is the port for OTLP over gRPC, and this is OTLP over HTTP",
                )
                .help("collectors take that on port 4318");
        }
    }

    /// Reads the environment, and opens what is named.
    pub fn open(&self, problems: &mut Problems) -> (Option<Checked>, Inventory) {
        let environment = Environment::of_process();
        let (settings, inventory) = self.settings(&environment, problems);
        let checked = settings.map(|settings| Checked {
            config: self.clone(),
            settings: settings.map(Arc::new),
        });
        (checked, inventory)
    }

    /// None inside: nothing is to be recorded. None outside: it cannot be told.
    pub(super) fn settings(
        &self,
        environment: &Environment,
        problems: &mut Problems,
    ) -> (Option<Option<Settings>>, Inventory) {
        let Ok(found) = environment.settings(self, problems) else {
            return (None, Inventory::default());
        };
        let Some(mut settings) = found else {
            return (Some(None), Inventory::default());
        };
        if !settings.url.is_encrypted() {
            return (Some(Some(settings)), Inventory::default());
        }
        let tls = self.tls.clone().unwrap_or_default();
        let opened: Opened<outbound::Material> =
            problems.within(&["tls"], |problems| tls.open(problems));
        let settings = opened.material.map(|material| {
            settings.tls = Some((tls, material));
            Some(settings)
        });
        (settings, opened.inventory)
    }
}
