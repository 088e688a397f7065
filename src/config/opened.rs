//! Opens the files that the blocks name, once all blocks were read.

use std::collections::BTreeMap;

use super::read::Blocks;
use crate::broker;
use crate::database;
use crate::policy;
use crate::target::{self, Targets as _};
use crate::telemetry::traces;
use crate::tls::inventory::Inventory;
use crate::tls::{self, inbound, outbound};
use crate::value::Name;
use crate::value::problem::Problems;

/// What was opened, by the block that names it.
#[derive(Default)]
pub(super) struct Opened {
    pub admin: Option<tls::Opened<inbound::Material>>,
    pub tracing: (Option<traces::Checked>, Inventory),
    pub listeners: BTreeMap<Name, tls::Opened<inbound::Material>>,
    pub upstreams: BTreeMap<Name, tls::Opened<outbound::Material>>,
    pub brokers: BTreeMap<Name, (Option<broker::Opened>, Inventory)>,
    pub databases: BTreeMap<Name, (Option<database::Opened>, Inventory)>,
    pub routes: BTreeMap<Name, (policy::Opened, target::Opened)>,
    pub defaults: policy::Opened,
}

pub(super) fn open(blocks: &Blocks, problems: &mut Problems) -> Opened {
    let mut opened = Opened::default();
    for (name, listener) in &blocks.listeners {
        if let Some(tls) = &listener.tls {
            let at = ["listeners", name.as_str(), "tls"];
            let tls = problems.within(&at, |problems| tls.open(problems));
            opened.listeners.insert(name.clone(), tls);
        }
    }
    for (name, upstream) in &blocks.upstreams {
        if let Some(tls) = &upstream.tls {
            let at = ["upstreams", name.as_str(), "tls"];
            let tls = problems.within(&at, |problems| tls.open(problems));
            opened.upstreams.insert(name.clone(), tls);
        }
    }
    for (name, broker) in &blocks.brokers {
        let at = ["brokers", name.as_str()];
        let broker = problems.within(&at, |problems| broker.open(problems));
        opened.brokers.insert(name.clone(), broker);
    }
    for (name, database) in &blocks.databases {
        let at = ["databases", name.as_str()];
        let database = problems.within(&at, |problems| database.open(problems));
        opened.databases.insert(name.clone(), database);
    }
    for (name, route) in &blocks.routes {
        let at = ["routes", name.as_str()];
        let both = problems.within(&at, |problems| {
            (route.policies.open(problems), route.target.open(problems))
        });
        opened.routes.insert(name.clone(), both);
    }
    if let Some(tls) = blocks.admin.as_ref().and_then(|admin| admin.tls.as_ref()) {
        let tls = problems.within(&["admin", "tls"], |problems| tls.open(problems));
        opened.admin = Some(tls);
    }
    if let Some(tracing) = &blocks.tracing {
        opened.tracing = problems.within(&["tracing"], |problems| tracing.open(problems));
    }
    if let Some(defaults) = &blocks.defaults {
        opened.defaults = problems.within(&["defaults"], |problems| defaults.open(problems));
    }
    opened
}
