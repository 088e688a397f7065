//! Hears which partitions the group gives us and takes away.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use krafka::Kafka;
use krafka::admin::{GroupOffset, ListConsumerGroupOffsetsOptions, OffsetSpec};
use krafka::consumer::{Consumer, ConsumerRebalanceListener, TopicPartition};
use tokio::time::timeout;

use super::letters::offsets;
use super::partition::given_by_note;
use super::taken::Taken;

/// The longest that the group waits for what of a partition is out, before it is divided anew: what is settled by then comes
/// once. It is what a delivery may take by default.
pub(super) const HAND_OVER: Duration = Duration::from_secs(30);
/// The longest that a commit may take.
pub(super) const COMMIT: Duration = Duration::from_secs(10);

/// Hears which partitions are ours.
pub(super) struct Ours {
    pub taken: Arc<Taken>,
    pub kafka: Kafka,
    pub group: String,
    /// The longest that a question may take.
    pub limit: Duration,
    /// The member that hears of it here, once there is one.
    pub member: Arc<OnceLock<Weak<Consumer>>>,
}

impl Ours {
    /// Has the member leave partitions alone: others read them.
    async fn pause(&self, partitions: &[TopicPartition]) {
        let Some(member) = self.member.get().and_then(Weak::upgrade) else {
            return;
        };
        for place in partitions {
            member.pause(&place.topic, &[place.partition]).await;
        }
    }

    /// Up to where records of these partitions may have been given out before.
    async fn given(&self, partitions: &[TopicPartition]) -> HashMap<TopicPartition, i64> {
        let options = ListConsumerGroupOffsetsOptions::default().timeout(self.limit);
        let options = options.partitions(partitions.to_vec());
        let admin = self.kafka.admin();
        let listed = admin.list_consumer_group_offsets(self.group.as_str(), options);
        let listed = Box::pin(listed).await.unwrap_or_else(|error| {
            tracing::debug!(%error, "what was given out before is not known");
            HashMap::new()
        });
        let mut given = HashMap::new();
        let mut unknown = Vec::new();
        for place in partitions {
            let known = match listed.get(place) {
                Some(Ok(found)) => known(found),
                Some(Err(_)) | None => None,
            };
            match known {
                Some(known) => drop(given.insert(place.clone(), known)),
                None => unknown.push(place.clone()),
            }
        }
        if !unknown.is_empty() {
            // All that is there, and of which another client may have given out any.
            let ends = offsets(&admin, &unknown, OffsetSpec::Latest, self.limit).await;
            let ends = ends.unwrap_or_default();
            given.extend(unknown.into_iter().map(|place| {
                let end = ends.get(&place).copied().unwrap_or(i64::MAX);
                (place, end)
            }));
        }
        given
    }
}

/// Up to where records were given out, as the group knows it. None where another client has committed, or a broker keeps no
/// notes.
fn known(found: &GroupOffset) -> Option<i64> {
    if found.offset.is_none_or(|offset| offset < 0) {
        return Some(0);
    }
    found.metadata.as_deref().and_then(given_by_note)
}

impl ConsumerRebalanceListener for Ours {
    async fn on_partitions_assigned(&self, partitions: &[TopicPartition]) {
        self.pause(partitions).await;
        let given = if partitions.is_empty() {
            HashMap::new()
        } else {
            self.given(partitions).await
        };
        self.taken.assigned(given);
    }

    async fn on_partitions_revoked(&self, partitions: &[TopicPartition]) {
        if timeout(HAND_OVER, self.taken.hand_over()).await.is_err() {
            tracing::debug!("what is out of partitions that are handed over comes again");
        }
        if timeout(COMMIT, self.taken.known()).await.is_err() {
            tracing::debug!("what is settled of partitions that are handed over comes again");
        }
        self.taken.forget(partitions);
    }

    async fn on_partitions_lost(&self, partitions: &[TopicPartition]) {
        self.taken.forget(partitions);
    }
}
