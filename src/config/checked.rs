//! The config once it was checked: the only one that can serve.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use super::opened::Opened;
use super::read::{Blocks, Route};
use crate::target::Targets as _;
use crate::tls::inventory::Inventory;
use crate::value::Name;
use crate::{
    admin, broker, database, listener, net::drain, policy, process, relay, route, subscription,
    target, tcp, telemetry, upstream,
};

/// A config that is fit to serve: defaults filled in, files opened. It serializes as the operator would write it.
#[derive(Clone, Debug, Serialize)]
pub struct Config {
    pub admin: admin::Checked,
    pub process: process::Config,
    pub log: telemetry::log::Config,
    pub tracing: telemetry::traces::Checked,
    pub shutdown: drain::Config,
    pub listeners: BTreeMap<Name, listener::Checked>,
    pub upstreams: BTreeMap<Name, upstream::Checked>,
    pub brokers: BTreeMap<Name, broker::Checked>,
    pub databases: BTreeMap<Name, database::Checked>,
    pub routes: BTreeMap<Name, RouteConfig>,
    pub tcp_routes: BTreeMap<Name, tcp::Config>,
    pub subscriptions: BTreeMap<Name, subscription::Config>,
    pub relays: BTreeMap<Name, relay::Config>,
    #[serde(skip)]
    certificates: Arc<Inventory>,
}

/// `[routes.NAME]`, one table for all three.
#[derive(Clone, Debug, Serialize)]
pub struct RouteConfig<T = target::Config, P = policy::Checked> {
    #[serde(flatten)]
    pub route: route::Config,
    #[serde(flatten)]
    pub target: T,
    /// What was opened of the target.
    #[serde(skip)]
    pub opened: target::Opened,
    /// What the route asks for, `[defaults]` included.
    #[serde(flatten)]
    pub policies: P,
}

impl Config {
    /// Every certificate that was found in the files that it names. The CAs that the system trusts are not listed.
    pub fn certificates(&self) -> &Inventory {
        &self.certificates
    }
}

impl Blocks {
    /// The whole, when every part of it could be read and all that it names is fit to serve; and every certificate that
    /// was found in its files, fit or not.
    pub(super) fn finish(self, opened: Opened) -> (Option<Config>, Inventory) {
        let mut certificates = Inventory::default();
        let config = self.with_opened(opened, &mut certificates);
        let config = config.map(|config| Config {
            certificates: Arc::new(certificates.clone()),
            ..config
        });
        (config, certificates)
    }

    fn with_opened(self, mut opened: Opened, certificates: &mut Inventory) -> Option<Config> {
        let (admin, process) = (self.admin?, self.process?.with_defaults());
        let (log, shutdown) = (self.log?.with_defaults(), self.shutdown?);
        let defaults = self.defaults?;
        let tls = opened.admin.and_then(|tls| {
            certificates.append(&["admin", "tls"], &tls.inventory);
            tls.material
        });
        let admin = admin::Checked::new(admin, tls);
        let (tracing, found) = opened.tracing;
        certificates.append(&["tracing", "tls"], &found);
        let mut listeners = Some(BTreeMap::new());
        for (name, config) in self.listeners {
            let tls = opened.listeners.remove(&name);
            let tls = tls.and_then(|tls| {
                certificates.append(&["listeners", name.as_str(), "tls"], &tls.inventory);
                tls.material
            });
            let checked = listener::Checked::new(config.with_defaults(), tls);
            add(&mut listeners, name, checked);
        }
        let mut upstreams = Some(BTreeMap::new());
        for (name, config) in self.upstreams {
            let tls = opened.upstreams.remove(&name);
            let tls = tls.and_then(|tls| {
                certificates.append(&["upstreams", name.as_str(), "tls"], &tls.inventory);
                tls.material
            });
            add(&mut upstreams, name, upstream::Checked::new(config, tls));
        }
        let mut brokers = Some(BTreeMap::new());
        for (name, config) in self.brokers {
            let (broker, found) = opened.brokers.remove(&name).unwrap_or_default();
            certificates.append(&["brokers", name.as_str()], &found);
            let checked = broker.map(|opened| broker::Checked::new(config, opened));
            add(&mut brokers, name, checked);
        }
        let mut databases = Some(BTreeMap::new());
        for (name, config) in self.databases {
            let (database, found) = opened.databases.remove(&name).unwrap_or_default();
            certificates.append(&["databases", name.as_str()], &found);
            let checked = database.map(|opened| database::Checked::new(config, opened));
            add(&mut databases, name, checked);
        }
        let mut routes = Some(BTreeMap::new());
        for (
            name,
            Route {
                route,
                target,
                policies,
            },
        ) in self.routes
        {
            let (own, of_target) = opened.routes.remove(&name).unwrap_or_default();
            let mut found = Inventory::default();
            let checked =
                policy::Checked::new(policies.or(&defaults), own.or(&opened.defaults), &mut found);
            certificates.append(&["routes", name.as_str()], &found);
            let checked = checked.map(|policies| RouteConfig {
                policies: if target.is_forwarded() {
                    policies.with_defaults()
                } else {
                    policies
                },
                route,
                target,
                opened: of_target,
            });
            add(&mut routes, name, checked);
        }
        Some(Config {
            admin: admin?,
            process,
            log,
            tracing: tracing?,
            shutdown,
            listeners: listeners?,
            upstreams: upstreams?,
            brokers: brokers?,
            databases: databases?,
            routes: routes?,
            tcp_routes: self.tcp_routes,
            subscriptions: self.subscriptions,
            relays: self.relays,
            certificates: Arc::default(),
        })
    }
}

/// Adds one to `all`, which are none as soon as one is not fit to serve.
fn add<T>(all: &mut Option<BTreeMap<Name, T>>, name: Name, checked: Option<T>) {
    match (all.as_mut(), checked) {
        (Some(all), Some(checked)) => {
            all.insert(name, checked);
        }
        _ => *all = None,
    }
}
