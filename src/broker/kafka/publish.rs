//! Sends a message, and says what is known of it.

use std::sync::Arc;
use std::time::Duration;

use krafka::admin::DescribeTopicsOptions;
use krafka::error::ErrorCode;
use krafka::{KrafkaError, Record};
use tokio::time::timeout;

use super::link::{Cluster, Link};
use crate::broker::{Confirmed, Refusal};

/// After so long without an answer, it is worth a look whether anybody is there.
const SLOW: Duration = Duration::from_millis(500);

/// Sends a record, and completes when all replicas have it. Must be called on the runtime of the cluster.
///
/// # Errors
/// Why it is not known to be stored.
pub(super) async fn publish(
    link: &Link,
    cluster: &Arc<Cluster>,
    record: Record,
) -> Result<Confirmed, Refusal> {
    let topic = record.topic.clone();
    find(link, cluster, &topic).await?;
    let sent = Box::pin(cluster.producer.enqueue(record)).await;
    let sent = sent.map_err(|error| {
        link.doubt();
        failed(link, cluster, &topic, error, false)
    })?;
    tokio::pin!(sent);
    let answer = match timeout(SLOW, &mut sent).await {
        Ok(answer) => answer,
        Err(_) => {
            link.doubt();
            sent.await
        }
    };
    match answer {
        // Kafka knows the sequence of a producer, and not the id of a message.
        Ok(stored) if stored.is_persisted() => Ok(Confirmed { duplicate: false }),
        Ok(_) => Err(Refusal::Unknown(
            "the broker has not said that it is stored".to_owned(),
        )),
        Err(error) => Err(failed(link, cluster, &topic, error, true)),
    }
}

/// Sends a record of the link's own.
///
/// # Errors
/// Why it is not known to be stored.
pub(super) async fn publish_here(link: &Link, record: Record) -> Result<Confirmed, Refusal> {
    let cluster = link.cluster().map_err(Refusal::Unavailable)?;
    publish(link, &cluster, record).await
}

/// Makes sure that a topic is there: sending to one that is not is tried for long.
async fn find(link: &Link, cluster: &Cluster, topic: &str) -> Result<(), Refusal> {
    if cluster.knows(topic) {
        return Ok(());
    }
    let options = DescribeTopicsOptions::default().timeout(link.settings.ask());
    let admin = cluster.kafka.admin();
    let found = Box::pin(admin.describe_topics([topic], options)).await;
    match found.map(|found| found.into_values().next()) {
        Ok(Some(Ok(_))) => {
            cluster.learn(topic);
            Ok(())
        }
        Ok(Some(Err(error))) | Err(error) => {
            let refusal = refusal(error, topic, false);
            if matches!(refusal, Refusal::Unavailable(_)) {
                link.doubt();
            }
            Err(refusal)
        }
        Ok(None) => Err(Refusal::Unavailable("the brokers do not answer".to_owned())),
    }
}

fn failed(
    link: &Link,
    cluster: &Arc<Cluster>,
    topic: &str,
    error: KrafkaError,
    was_sent: bool,
) -> Refusal {
    cluster.forget(topic);
    if error.is_fatal() {
        link.give_up(cluster);
    }
    refusal(error, topic, was_sent)
}

/// What an error says of a message, which may be on its way if it `was_sent`.
fn refusal(error: KrafkaError, topic: &str, was_sent: bool) -> Refusal {
    let open = |why: String| {
        if was_sent {
            Refusal::Unknown(why)
        } else {
            Refusal::Unavailable(why)
        }
    };
    match error {
        KrafkaError::UnknownTopic { .. } => missing(topic),
        KrafkaError::Broker { code, message } => match code {
            ErrorCode::UnknownTopicOrPartition => missing(topic),
            ErrorCode::InvalidTopic => Refusal::Unfit(format!("`{topic}` is no name for a topic")),
            ErrorCode::MessageTooLarge | ErrorCode::RecordListTooLarge => {
                Refusal::TooLarge("the message is larger than the broker takes".to_owned())
            }
            ErrorCode::InvalidRecord | ErrorCode::InvalidTimestamp => {
                Refusal::Unfit(format!("the broker takes no such message: {message}"))
            }
            ErrorCode::TopicAuthorizationFailed
            | ErrorCode::ClusterAuthorizationFailed
            | ErrorCode::PolicyViolation => {
                Refusal::Rejected(format!("the broker refuses the message: {message}"))
            }
            _ => open(format!("{code:?}: {message}")),
        },
        KrafkaError::DeliveryTimeout {
            possibly_written: false,
            message,
        } => Refusal::Unavailable(message),
        error @ KrafkaError::Protocol { .. } if !was_sent => Refusal::Unfit(error.to_string()),
        error @ (KrafkaError::Config { .. }
        | KrafkaError::Serialization { .. }
        | KrafkaError::Compression { .. }) => Refusal::Unfit(error.to_string()),
        error => open(error.to_string()),
    }
}

fn missing(topic: &str) -> Refusal {
    Refusal::Unroutable(format!("there is no topic `{topic}`"))
}
