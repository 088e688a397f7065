//! Creates the topics of the config, with their retries and dead letters.

use std::collections::BTreeMap;
use std::time::Duration;

use krafka::KrafkaError;
use krafka::admin::{AdminClient, CreateTopicsOptions, DescribeTopicsOptions, NewTopic};
use krafka::error::ErrorCode;

use super::{TopicConfig, names};

/// What the broker chooses: partitions, replicas.
const BY_THE_BROKER: i16 = -1;

/// A topic that is to be there.
struct Wanted {
    /// The topic of the config that it belongs to.
    of: String,
    /// None where any number is right.
    partitions: Option<i32>,
    /// Nothing of it may be deleted because of its age.
    keeps: bool,
}

/// Creates what is missing, and tells what is otherwise than the config has it, and why.
///
/// # Errors
/// Why nobody could be asked, in a sentence.
pub(super) async fn declare(
    admin: &AdminClient,
    topics: &BTreeMap<String, TopicConfig>,
    limit: Duration,
) -> Result<Vec<(String, String)>, String> {
    let wanted = wanted(topics);
    // Without topics, this only shows that somebody answers: there is none of this name.
    let names = if wanted.is_empty() {
        vec!["outrigger".to_owned()]
    } else {
        wanted.keys().cloned().collect()
    };
    let options = DescribeTopicsOptions::default().timeout(limit);
    let described = admin.describe_topics(names, options).await;
    let described = described.map_err(|error| error.to_string())?;
    let mut mismatches = Vec::new();
    let mut missing = Vec::new();
    for (name, found) in described {
        let wanted = wanted.get(&name);
        match (found, wanted) {
            (Ok(found), Some(wanted)) => {
                let there = i32::try_from(found.partitions.len()).unwrap_or(i32::MAX);
                if let Some(partitions) = wanted.partitions.filter(|wanted| *wanted != there) {
                    mismatches.push((
                        place(&name, wanted),
                        format!("it has {there} partitions, and the config says {partitions}"),
                    ));
                }
            }
            (Err(error), Some(wanted)) if is_missing(&error) => missing.push((name, wanted)),
            (Err(error), Some(wanted)) if is_told(&error) => {
                mismatches.push((place(&name, wanted), error.to_string()));
            }
            (Err(error), _) if !is_missing(&error) && !is_told(&error) => {
                return Err(error.to_string());
            }
            _ => {}
        }
    }
    mismatches.extend(create(admin, missing, limit).await);
    mismatches.sort();
    Ok(mismatches)
}

async fn create(
    admin: &AdminClient,
    missing: Vec<(String, &Wanted)>,
    limit: Duration,
) -> Vec<(String, String)> {
    let mut mismatches = Vec::new();
    for (name, wanted) in missing {
        let created = create_one(admin, &name, wanted, limit).await;
        if let Err(error) = created {
            mismatches.push((
                place(&name, wanted),
                format!("it is missing, and cannot be created: {error}"),
            ));
        }
    }
    mismatches
}

async fn create_one(
    admin: &AdminClient,
    name: &str,
    wanted: &Wanted,
    limit: Duration,
) -> Result<(), KrafkaError> {
    let partitions = wanted.partitions.unwrap_or(BY_THE_BROKER.into());
    let mut topic = NewTopic::new(name, partitions, BY_THE_BROKER)?;
    if wanted.keeps {
        topic = topic
            .with_config("cleanup.policy", "delete")
            .with_config("retention.ms", "-1")
            .with_config("retention.bytes", "-1");
    }
    let options = CreateTopicsOptions::default().timeout(limit);
    let created = admin.create_topics([topic], options).await?;
    match created.into_values().next() {
        // Somebody else was faster.
        Some(Err(KrafkaError::Broker {
            code: ErrorCode::TopicAlreadyExists,
            ..
        })) => Ok(()),
        Some(Err(error)) => Err(error),
        Some(Ok(())) | None => Ok(()),
    }
}

/// The topics that are to be there, by name.
fn wanted(topics: &BTreeMap<String, TopicConfig>) -> BTreeMap<String, Wanted> {
    let mut all = BTreeMap::new();
    for (topic, config) in topics {
        let partitions = config.partitions.map(i32::from);
        for name in names::read(topic, Some(config)) {
            let of = topic.clone();
            // A key keeps its partition only where there are as many; what waits is right with any number.
            let wanted = Wanted {
                of,
                partitions,
                keeps: false,
            };
            all.insert(name, wanted);
        }
        if config.dead_letter {
            let wanted = Wanted {
                of: topic.clone(),
                partitions: None,
                keeps: true,
            };
            all.insert(names::dead(topic), wanted);
        }
    }
    all
}

/// How a mismatch is called.
fn place(name: &str, wanted: &Wanted) -> String {
    if name == wanted.of {
        format!("topics.{name}")
    } else {
        format!("topics.{}: {name}", wanted.of)
    }
}

fn is_missing(error: &KrafkaError) -> bool {
    matches!(error, KrafkaError::UnknownTopic { .. })
        || matches!(error, KrafkaError::Broker { code, .. } if *code == ErrorCode::UnknownTopicOrPartition)
}

/// Whether a broker has said something about this topic, rather than that nobody was reached.
fn is_told(error: &KrafkaError) -> bool {
    matches!(error, KrafkaError::Broker { .. }) && !error.is_retriable()
}
