//! What is told of routes, subscriptions and relays once it is known what kind of broker or database each is that they name.

use std::collections::BTreeMap;

use super::opened::Opened;
use super::read::Blocks;
use crate::broker::{self, Kind, Source};
use crate::database;
use crate::subscription;
use crate::target::Targets as _;
use crate::value::Name;
use crate::value::problem::Problems;

/// Everything that makes the config unfit to serve.
pub(super) fn check(blocks: &Blocks, opened: &Opened, problems: &mut Problems) {
    let kind_of = |name: &str| -> Option<Kind> {
        let (broker, _) = opened.brokers.get(&name.parse::<Name>().ok()?)?;
        Some(broker.as_ref()?.kind)
    };
    let database_of = |name: &str| -> Option<database::Kind> {
        let (database, _) = opened.databases.get(&name.parse::<Name>().ok()?)?;
        Some(database.as_ref()?.kind)
    };
    for (name, read) in &blocks.routes {
        problems.within(&["routes", name.as_str()], |problems| {
            read.target.check_brokers(&kind_of, problems);
            if let Some((_, of_target)) = opened.routes.get(name) {
                let check = &database_of;
                read.target.check_databases(check, of_target, problems);
            }
        });
    }
    for (name, relay) in &blocks.relays {
        let kinds = (
            kind_of(relay.publish.broker.as_str()),
            database_of(relay.database.as_str()),
        );
        problems.within(&["relays", name.as_str()], |problems| {
            relay.check_kinds(kinds, problems);
        });
    }
    for (name, subscription) in &blocks.subscriptions {
        let Some(kind) = kind_of(subscription.broker.as_str()) else {
            continue;
        };
        problems.within(&["subscriptions", name.as_str()], |problems| {
            subscription.check_kind(kind, problems);
            if let Some(broker) = blocks.brokers.get(&subscription.broker) {
                check_source(name, subscription, broker, problems);
            }
            check_way(name, subscription, blocks, problems);
        });
    }
}

/// Whether what a subscription delivers is published to where it comes from, by its route or by way of other subscriptions.
fn check_way(
    name: &Name,
    subscription: &subscription::Config,
    blocks: &Blocks,
    problems: &mut Problems,
) {
    let Some(others) = way_back(name, blocks) else {
        return;
    };
    let route = &subscription.route;
    let by_way = match &others[..] {
        [] => String::new(),
        others => format!(", by way of {}", others.join(" and ")),
    };
    problems
        .warning(
            &["route"],
            format!("what the route `{route}` publishes comes back to this subscription{by_way}: each message goes round for ever"),
        )
        .help("publish it elsewhere, or read less");
}

/// The subscriptions between one and itself, on a way of their messages that leads back to it.
fn way_back<'a>(start: &'a Name, blocks: &'a Blocks) -> Option<Vec<String>> {
    let mut before: BTreeMap<&Name, &Name> = BTreeMap::new();
    let mut open = vec![start];
    while let Some(one) = open.pop() {
        for next in fed_by(one, blocks) {
            if next == start {
                let back = std::iter::successors(Some(one), |name| before.get(*name).copied());
                let mut way: Vec<String> = back
                    .take_while(|name| *name != start)
                    .map(|name| format!("`{name}`"))
                    .collect();
                way.reverse();
                return Some(way);
            }
            if !before.contains_key(next) {
                before.insert(next, one);
                open.push(next);
            }
        }
    }
    None
}

/// The subscriptions that get what the route of this one publishes.
fn fed_by<'a>(name: &Name, blocks: &'a Blocks) -> Vec<&'a Name> {
    let route = blocks.subscriptions.get(name).map(|one| &one.route);
    let route = route.and_then(|route| blocks.routes.get(route));
    let Some((broker, to)) = route.and_then(|route| route.target.publishes()) else {
        return Vec::new();
    };
    let subscriptions = blocks.subscriptions.iter();
    let fed = subscriptions.filter(|(name, subscription)| {
        let config = blocks.brokers.get(&subscription.broker);
        let from = subscription.source(name.as_str());
        subscription.broker.as_str() == broker
            && config
                .zip(from)
                .is_some_and(|(config, from)| config.leads(&to, &from))
    });
    fed.map(|(name, _)| name).collect()
}

/// Doubts about what a subscription consumes.
fn check_source(
    name: &Name,
    subscription: &subscription::Config,
    broker: &broker::Config,
    problems: &mut Problems,
) {
    let Some(source) = subscription.source(name.as_str()) else {
        return;
    };
    let (key, keys) = match &source {
        Source::Queue { .. } => ("queue", "queues"),
        Source::Stream { .. } => ("stream", "streams"),
        Source::Topic { .. } => ("topic", "topics"),
    };
    match broker.keeps_dead_letters(source.name()) {
        Some(true) => {}
        Some(false) => {
            problems
                .warning(
                    &[key],
                    "a message that cannot be delivered holds up all behind it, as its dead letters are not kept",
                )
                .help(format!("set `dead_letter = true` in `[brokers.{}.{keys}.{}]`", subscription.broker, source.name()));
        }
        None => {
            problems
                .warning(
                    &[key],
                    format!(
                        "`{}` is not declared here, so nothing is known of its retries and dead letters: a message that \
                         cannot be delivered holds up all behind it",
                        source.name()
                    ),
                )
                .help(format!("add a table `[brokers.{}.{keys}.{}]`", subscription.broker, source.name()));
        }
    }
}
