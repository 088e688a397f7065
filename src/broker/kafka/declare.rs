//! Creates the topics of the config, with their retries and dead letters.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use krafka::KrafkaError;
use krafka::admin::{
    AdminClient, CreateTopicsOptions, DescribeTopicsOptions, NewTopic, TopicDescription,
};
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
    /// None where any number is right.
    replicas: Option<i16>,
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
                let why = differences(&found, wanted);
                mismatches.extend(why.into_iter().map(|why| (place(&name, wanted), why)));
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

/// What a topic has otherwise, each in a sentence.
fn differences(found: &TopicDescription, wanted: &Wanted) -> Vec<String> {
    let mut differences = Vec::new();
    let mut compare = |what: &str, there: usize, wanted: Option<usize>| {
        if let Some(wanted) = wanted.filter(|wanted| *wanted != there) {
            differences.push(format!(
                "it has {there} {what}, and the config says {wanted}"
            ));
        }
    };
    let number = |wanted: i32| usize::try_from(wanted).ok();
    compare(
        "partitions",
        found.partitions.len(),
        wanted.partitions.and_then(number),
    );
    let replicas = found
        .partitions
        .iter()
        .map(|partition| partition.replicas.len());
    if let Some(fewest) = replicas.min() {
        compare(
            "replicas",
            fewest,
            wanted.replicas.and_then(|wanted| number(wanted.into())),
        );
    }
    differences
}

async fn create(
    admin: &AdminClient,
    missing: Vec<(String, &Wanted)>,
    limit: Duration,
) -> Vec<(String, String)> {
    let told = |name: &str, wanted: &Wanted, error: KrafkaError| {
        let why = format!("it is missing, and cannot be created: {error}");
        (place(name, wanted), why)
    };
    let mut mismatches = Vec::new();
    let mut topics = Vec::new();
    for (name, wanted) in &missing {
        match new_topic(name, wanted) {
            Ok(topic) => topics.push(topic),
            Err(error) => mismatches.push(told(name, wanted, error)),
        }
    }
    if topics.is_empty() {
        return mismatches;
    }
    let options = CreateTopicsOptions::default().timeout(limit);
    let created = Box::pin(admin.create_topics(topics, options)).await;
    let (mut created, failed) = match created {
        Ok(created) => (created, None),
        Err(error) => (HashMap::new(), Some(error.to_string())),
    };
    for (name, wanted) in &missing {
        match (created.remove(name), &failed) {
            (Some(Err(error)), _) if !is_there(&error) => {
                mismatches.push(told(name, wanted, error));
            }
            (None, Some(why)) => {
                let why = format!("it is missing, and cannot be created: {why}");
                mismatches.push((place(name, wanted), why));
            }
            _ => {}
        }
    }
    mismatches
}

fn new_topic(name: &str, wanted: &Wanted) -> Result<NewTopic, KrafkaError> {
    let partitions = wanted.partitions.unwrap_or(BY_THE_BROKER.into());
    let replicas = wanted.replicas.unwrap_or(BY_THE_BROKER);
    let topic = NewTopic::new(name, partitions, replicas)?;
    if !wanted.keeps {
        return Ok(topic);
    }
    Ok(topic
        .with_config("cleanup.policy", "delete")
        .with_config("retention.ms", "-1")
        .with_config("retention.bytes", "-1"))
}

/// Whether somebody else was faster.
fn is_there(error: &KrafkaError) -> bool {
    matches!(error, KrafkaError::Broker { code, .. } if *code == ErrorCode::TopicAlreadyExists)
}

/// The topics that are to be there, by name.
fn wanted(topics: &BTreeMap<String, TopicConfig>) -> BTreeMap<String, Wanted> {
    let mut all = BTreeMap::new();
    for (topic, config) in topics {
        let partitions = config.partitions.map(i32::from);
        let replicas = config.replicas.map(i16::from);
        for name in names::read(topic, Some(config)) {
            let of = topic.clone();
            // A key keeps its partition only where there are as many; what waits is right with any number.
            let wanted = Wanted {
                of,
                partitions,
                replicas,
                keeps: false,
            };
            all.insert(name, wanted);
        }
        if config.dead_letter {
            let wanted = Wanted {
                of: topic.clone(),
                partitions: None,
                replicas,
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
