//! What goes on by itself, without a caller: subscriptions and relays, and the sending of spans.

use std::sync::Arc;

use super::bridge::Bridge;
use super::relays::Relays;
use super::snapshot::Snapshot;
use super::subscriptions::Subscriptions;
use crate::fetch::Fetch;
use crate::telemetry::traces::Exporters;

/// The subscriptions that deliver and the relays that publish now, and what sends spans.
pub struct Flows {
    pub subscriptions: Subscriptions,
    pub relays: Relays,
    pub spans: Exporters,
}

impl Flows {
    /// Spans are sent by `fetch`.
    pub fn new(subscriptions: Subscriptions, fetch: Arc<dyn Fetch>) -> Self {
        Flows {
            subscriptions,
            relays: Relays::default(),
            spans: Exporters::new(fetch),
        }
    }

    /// Has those of `snapshot` go on, and no others. What is under way with one that is gone ends by itself.
    pub fn follow(&self, snapshot: &Snapshot, bridge: &Bridge) {
        self.spans.follow(snapshot.spans.as_ref());
        self.subscriptions.follow(snapshot, bridge);
        self.relays.follow(snapshot, bridge);
    }
}
