//! Keeps a client connected, and what the config names declared.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::mpsc;
use tokio::time::timeout;
use tracing::{info, warn};

use super::declare;
use super::failure::ANSWER;
use super::link::{Connector, Link};
use super::settle::Held;
use super::shared::Shared;
use crate::broker;
use crate::net::backoff::{Backoff, Jitter};

/// The waits between tries to connect.
const BACKOFF: Backoff = Backoff {
    first: Duration::from_secs(1),
    longest: Duration::from_secs(30),
    jitter: Jitter::Half,
};
/// How often what the broker does not have as the config wants it is declared anew: somebody may have mended it.
const REDECLARE: Duration = Duration::from_secs(30);
/// How often that is done at most, whoever misses something.
const REDECLARE_AT_MOST: Duration = Duration::from_secs(1);

/// Runs for as long as the client lives.
pub(super) async fn supervise(shared: Arc<Shared>, connector: Connector) {
    let mut failures = 0;
    loop {
        match connector.open().await {
            Ok(link) => {
                failures = 0;
                let link = Arc::new(link);
                declare(&shared, &link).await;
                up(&shared, &link);
                let why = attend(&shared, &link).await;
                down(&shared, why);
            }
            Err(why) => down(&shared, why),
        }
        tokio::time::sleep(BACKOFF.after(failures)).await;
        failures = failures.saturating_add(1);
    }
}

/// Hands back the deliveries that were dropped before they were settled.
pub(super) async fn hand_back(mut dropped: mpsc::UnboundedReceiver<Held>) {
    while let Some(held) = dropped.recv().await {
        // Whatever cannot be handed back goes back with its channel.
        let _late = timeout(ANSWER, held.hand_back()).await;
    }
}

/// Stays with a link until it ends, and says why.
async fn attend(shared: &Shared, link: &Link) -> String {
    let watching = link.watch(|blocked| {
        match &blocked {
            Some(why) => warn!(
                broker = shared.name,
                why, "the broker takes no messages now"
            ),
            None => info!(broker = shared.name, "the broker takes messages again"),
        }
        shared.state().blocked = blocked;
    });
    let declaring = async {
        loop {
            tokio::time::sleep(REDECLARE_AT_MOST).await;
            let missed = timeout(REDECLARE, shared.missing.notified()).await.is_ok();
            if missed || !shared.state().mismatches.is_empty() {
                declare(shared, link).await;
            }
        }
    };
    tokio::select! {
        why = watching => why,
        () = declaring => String::new(),
    }
}

/// What is not as the config wants it is logged when it was not known before.
async fn declare(shared: &Shared, link: &Link) {
    let found = declare::all(&link.other.connection, &shared.config).await;
    let mut state = shared.state();
    for mismatch in &found {
        if !state.mismatches.contains(mismatch) {
            let (name, why) = mismatch;
            warn!(
                broker = shared.name,
                name, why, "the broker has this otherwise than the config"
            );
        }
    }
    state.mismatches = found;
}

fn up(shared: &Shared, link: &Arc<Link>) {
    info!(broker = shared.name, "connected to the broker");
    let mut state = shared.state();
    state.link = broker::Link::Connected {
        since: SystemTime::now(),
    };
    state.blocked = None;
    drop(state);
    shared.link.send_replace(Some(link.clone()));
}

/// It is logged when it is another reason than the last.
fn down(shared: &Shared, why: String) {
    shared.link.send_replace(None);
    let mut state = shared.state();
    let (since, is_new) = match &state.link {
        broker::Link::Connected { .. } => (SystemTime::now(), true),
        broker::Link::Down { since, error } => (*since, error.as_ref() != Some(&why)),
    };
    if is_new {
        warn!(
            broker = shared.name,
            why, "there is no connection to the broker"
        );
    }
    state.blocked = None;
    state.link = broker::Link::Down {
        since,
        error: Some(why),
    };
}
