//! `[admin]`: the API through which people and their tools look at the proxy and steer it.
//!
//! [`bind`] takes the address, a router says what is answered ([`api`] to its operators, [`probes`] to kubelet
//! and Prometheus), [`serve`] brings the two together. What they tell and change is behind [`Proxy`].

use std::net::Ipv6Addr;
use std::str::FromStr;

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::listener::ListenAddress;
use crate::policy::circuit_breaker::Forced;
use crate::telemetry::log::Level;
use crate::value::problem::Problems;
use crate::value::{NotBuilt, text_relative_to_file};

mod answer;
mod bind;
#[cfg(test)]
mod fake;
mod guard;
mod orders;
mod router;
mod serve;

pub use bind::{Bound, bind};
pub use router::{api, probes};
pub use serve::serve;

/// The proxy, as the admin API sees it. Every method but `reload` answers at once.
pub trait Proxy: Send + Sync + 'static {
    /// Whether traffic should be sent here; otherwise why not, in a few words such as "draining".
    fn readiness(&self) -> Result<(), &'static str>;
    /// The effective config, defaults filled in and secrets redacted, with `generation`, `hash`, `loaded_at` and
    /// `last_error`.
    fn config(&self) -> Value;
    /// Every certificate that the config uses, what expires next first.
    fn certificates(&self) -> Value;
    /// Each listener's name, the address that it has bound, and its connections.
    fn listeners(&self) -> Value;
    fn routes(&self) -> Value;
    /// One route by name; None when there is none.
    fn route(&self, name: &str) -> Option<Value>;
    fn upstreams(&self) -> Value;
    /// One upstream by name; None when there is none.
    fn upstream(&self, name: &str) -> Option<Value>;
    /// Sets the circuit breaker of a route.
    ///
    /// # Errors
    /// Why it cannot.
    fn set_breaker(&self, route: &str, order: Forced) -> Result<(), NoBreaker>;
    /// Reads the config again and puts it to use, or refuses it whole and says why, as `outrigger check` would.
    /// The caller may go away meanwhile: dropping the future must not leave half a reload.
    fn reload(&self) -> BoxFuture<'static, Result<ReloadOutcome, String>>;
    /// Fails readiness and lets requests finish.
    fn drain(&self);
    /// Drains, then ends the process.
    fn quit(&self);
    /// The level of the log that holds, which the config's may not be.
    fn log_level(&self) -> Level;
    fn set_log_level(&self, level: Level);
    /// In Prometheus's text format 0.0.4.
    fn metrics(&self) -> String;
}

/// Why a circuit breaker cannot be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoBreaker {
    NoRoute,
    /// The route is there, and has none.
    NotAsked,
}

/// What a reload that was not refused did.
#[derive(Clone, Debug, Serialize, PartialEq, Eq)]
pub struct ReloadOutcome {
    /// Generation of the config that serves now.
    pub generation: u64,
    /// False when what was read is what already served.
    pub changed: bool,
}

/// `[admin]`
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The whole admin API; loopback or `"unix:/path"` unless `allow_remote`; `"none"` = off.
    pub listen: AdminAddress,
    /// Only `/livez`, `/readyz` and `/metrics`, for kubelet and Prometheus; `"none"` = off.
    pub probe_listen: AdminAddress,
    /// Let `listen` be an address that other machines reach.
    pub allow_remote: bool,
    #[serde(skip_serializing)]
    pub writable_dir: Option<NotBuilt>,
    #[serde(skip_serializing)]
    pub state_dir: Option<NotBuilt>,
}

/// An address to listen on, or `"none"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminAddress(pub Option<ListenAddress>);

impl FromStr for AdminAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "none" => Ok(AdminAddress(None)),
            "" | "off" | "false" => Err(format!(
                "`{text}` is not an address to listen on; write \"none\" to turn it off"
            )),
            text => text.parse().map(|address| AdminAddress(Some(address))),
        }
    }
}

impl<'de> Deserialize<'de> for AdminAddress {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text_relative_to_file(
            deserializer,
            "an address such as \"127.0.0.1:15000\", or \"none\"",
        )
    }
}

impl Serialize for AdminAddress {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Some(address) => address.serialize(serializer),
            None => serializer.serialize_str("none"),
        }
    }
}

impl Config {
    /// What deserializing alone cannot see.
    pub fn check(&self, problems: &mut Problems) {
        let Some(listen) = &self.listen.0 else {
            return;
        };
        if !listen.is_local() && !self.allow_remote {
            problems
                .error(
                    &["listen"],
                    format!("other machines could reach the admin API on {listen}, and whoever reaches it may change and end this proxy"),
                )
                .help("listen on \"127.0.0.1:15000\" or \"unix:/path\", or set `allow_remote = true`");
        }
        if let Some(probes) = &self.probe_listen.0
            && probes.collides_with(listen)
        {
            problems
                .error(
                    &["probe_listen"],
                    format!("{probes} is taken by the admin API"),
                )
                .help("give it another port, or \"none\": the admin API answers the same probes")
                .related(&["listen"], "taken here");
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Config {
            listen: AdminAddress(Some(ListenAddress::Tcp(([127, 0, 0, 1], 15000).into()))),
            probe_listen: AdminAddress(Some(ListenAddress::Tcp(
                (Ipv6Addr::UNSPECIFIED, 15021).into(),
            ))),
            allow_remote: false,
            writable_dir: None,
            state_dir: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(config: &str) -> Vec<String> {
        let mut problems = Problems::default();
        toml::from_str::<Config>(config)
            .unwrap()
            .check(&mut problems);
        problems.into_vec().into_iter().map(|p| p.message).collect()
    }

    #[test]
    fn the_api_is_not_opened_to_others_by_accident() {
        assert_eq!(messages(""), [""; 0]);
        assert_eq!(messages("listen = 'none'"), [""; 0]);
        assert_eq!(messages("listen = 'unix:/run/admin.sock'"), [""; 0]);
        assert_eq!(messages("listen = '[::1]:15000'"), [""; 0]);
        assert_eq!(messages("listen = '0.0.0.0:15000'").len(), 1);
        assert_eq!(messages("listen = '10.0.0.7:15000'").len(), 1);
        assert_eq!(
            messages("listen = '0.0.0.0:15000'\nallow_remote = true"),
            [""; 0]
        );
    }

    #[test]
    fn one_address_serves_one_of_the_two() {
        let both = "listen = '127.0.0.1:15000'\nprobe_listen = '127.0.0.1:15000'";
        assert_eq!(
            messages(both),
            ["127.0.0.1:15000 is taken by the admin API"]
        );
        let any = "listen = '127.0.0.1:0'\nprobe_listen = '127.0.0.1:0'";
        assert_eq!(messages(any), [""; 0]);
    }
}
