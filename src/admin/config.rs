//! The block `[admin]` as it is written.

use std::net::Ipv6Addr;

use serde::{Deserialize, Serialize};

use super::address::AdminAddress;
use crate::listener::ListenAddress;
use crate::tls::{self, MaySpeakTls, inbound};
use crate::value::problem::Problems;
use crate::value::{DirectoryPath, FilePath, Limit};

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
    /// Who uses `listen` speaks TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<inbound::Config>,
    /// Where routes and upstreams that are registered are written, a file each. Its `*.toml` files are part of the config.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub writable_dir: Option<FilePath>,
    /// `GET /requests` shows requests whose answer began only after so long; `"none"`: only those that failed.
    pub slow_request: Limit,
    /// Where the last good config is kept for a restart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state_dir: Option<DirectoryPath>,
}

/// The block of the admin API, and what was opened of it.
pub type Checked = tls::Checked<Config>;

impl MaySpeakTls for Config {
    type Tls = inbound::Config;
    type Material = inbound::Material;

    fn tls(&self) -> Option<&inbound::Config> {
        self.tls.as_ref()
    }
}

impl Config {
    /// What deserializing alone cannot see.
    pub fn check(&self, problems: &mut Problems) {
        if let Some(tls) = &self.tls {
            problems.within(&["tls"], |problems| tls.check(problems));
        }
        let Some(listen) = &self.listen.0 else {
            if self.tls.is_some() {
                let message = "the admin API is off, so nobody speaks this TLS with it";
                problems
                    .warning(&["tls"], message)
                    .help("probes and metrics have no TLS: `probe_listen` answers everybody");
            }
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
            tls: None,
            writable_dir: None,
            slow_request: Limit::from_secs(1),
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
