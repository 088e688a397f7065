//! Every certificate that a config uses.

use super::Config;
use crate::tls::inventory::Inventory;

impl Config {
    /// What was found in the files when the config was checked, also in those that are not fit to serve. The CAs that
    /// the system trusts are not listed.
    pub fn certificates(&self) -> Inventory {
        let mut all = Inventory::default();
        if let Some(found) = self.admin.tls.as_ref().and_then(|tls| tls.inventory()) {
            all.append(&["admin", "tls"], found);
        }
        for (name, listener) in &self.listeners {
            if let Some(found) = listener.tls.as_ref().and_then(|tls| tls.inventory()) {
                all.append(&["listeners", name.as_str(), "tls"], found);
            }
        }
        for (name, upstream) in &self.upstreams {
            if let Some(found) = upstream.tls.as_ref().and_then(|tls| tls.inventory()) {
                all.append(&["upstreams", name.as_str(), "tls"], found);
            }
        }
        for (name, route) in &self.routes {
            let found = route.policies.summary().certificates;
            all.append(&["routes", name.as_str()], &found);
        }
        all
    }
}
