//! What becomes of what the proxy knows when another config serves.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::app::snapshot::Snapshot;
use crate::relay::{self, Relay};
use crate::subscription::{self, Subscription};
use crate::value::Name;

/// What becomes of one thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fate {
    /// Whose it is: `routes.pay`.
    pub of: String,
    /// What is known, or goes on: the key of a policy, or a word.
    pub what: &'static str,
    /// Whether the next config goes on with it; otherwise it is lost, and begins anew where there still is one.
    pub kept: bool,
}

/// What becomes of the state of `old` when `new` serves, which was made to follow it.
pub fn fates(old: &Snapshot, new: &Snapshot) -> Vec<Fate> {
    let mut fates = Vec::new();
    for (name, upstream) in &old.upstreams {
        let next = new.upstreams.get(name);
        let known = match next {
            Some(next) => upstream.fates(next).to_vec(),
            None => vec![("connections", false)],
        };
        for (what, kept) in known {
            fates.push(fate("upstreams", name, what, kept));
        }
    }
    for (name, client) in &old.brokers {
        let kept = new
            .brokers
            .get(name)
            .is_some_and(|new| Arc::ptr_eq(client, new));
        fates.push(fate("brokers", name, "connection", kept));
    }
    for (name, (client, _)) in &old.databases {
        let next = new.databases.get(name);
        let kept = next.is_some_and(|(new, _)| Arc::ptr_eq(client, new));
        fates.push(fate("databases", name, "connections", kept));
    }
    fates.extend(old.kept.fates(&new.kept).into_iter().map(|known| Fate {
        of: format!("routes.{}", known.route),
        what: known.key,
        kept: known.kept,
    }));
    for name in old.config.subscriptions.keys() {
        let kept = both(old, new, name, subscribed)
            .is_some_and(|(old, new)| Subscription::goes_on(old, new));
        fates.push(fate("subscriptions", name, "delivery", kept));
    }
    for name in old.config.relays.keys() {
        let kept = both(old, new, name, relayed).is_some_and(|(old, new)| Relay::goes_on(old, new));
        fates.push(fate("relays", name, "relaying", kept));
    }
    fates
}

fn fate(table: &str, name: &Name, what: &'static str, kept: bool) -> Fate {
    Fate {
        of: format!("{table}.{name}"),
        what,
        kept,
    }
}

fn both<'a, T>(
    old: &'a Snapshot,
    new: &'a Snapshot,
    name: &Name,
    of: fn(&'a Snapshot, &Name) -> Option<T>,
) -> Option<(T, T)> {
    Some((of(old, name)?, of(new, name)?))
}

type Subscribed<'a> = (&'a subscription::Config, &'a Arc<dyn crate::broker::Client>);

fn subscribed<'a>(snapshot: &'a Snapshot, name: &Name) -> Option<Subscribed<'a>> {
    let config = snapshot.config.subscriptions.get(name)?;
    Some((config, snapshot.brokers.get(&config.broker)?))
}

fn relayed<'a>(snapshot: &'a Snapshot, name: &Name) -> Option<relay::Ends<'a>> {
    let config = snapshot.config.relays.get(name)?;
    let (database, _) = snapshot.databases.get(&config.database)?;
    let broker = snapshot.brokers.get(&config.publish.broker)?;
    Some((config, database, broker))
}

/// Gathered by whom they belong to, in words.
pub fn by_owner(fates: &[Fate], kept: bool) -> BTreeMap<&str, Vec<&'static str>> {
    let mut owners: BTreeMap<&str, Vec<&'static str>> = BTreeMap::new();
    for fate in fates.iter().filter(|fate| fate.kept == kept) {
        owners.entry(&fate.of).or_default().push(fate.what);
    }
    owners
}
