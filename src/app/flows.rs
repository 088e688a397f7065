//! What carries messages by itself, without a caller: subscriptions and relays.

use super::bridge::Bridge;
use super::relays::Relays;
use super::snapshot::Snapshot;
use super::subscriptions::Subscriptions;

/// The subscriptions that deliver and the relays that publish now.
pub struct Flows {
    pub subscriptions: Subscriptions,
    pub relays: Relays,
}

impl Flows {
    pub fn new(subscriptions: Subscriptions) -> Self {
        Flows {
            subscriptions,
            relays: Relays::default(),
        }
    }

    /// Has those of `snapshot` go on, and no others. What is under way with one that is gone ends by itself.
    pub fn follow(&self, snapshot: &Snapshot, bridge: &Bridge) {
        self.subscriptions.follow(snapshot, bridge);
        self.relays.follow(snapshot, bridge);
    }
}
