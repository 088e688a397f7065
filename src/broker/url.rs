//! What is wrong with the URL of a broker, beyond its scheme.

use super::Kind;
#[cfg(feature = "kafka")]
use super::kafka;
#[cfg(feature = "nats")]
use super::nats;
#[cfg(feature = "rabbitmq")]
use super::rabbitmq;
use crate::value::Wrong;

/// Judges a URL of this kind. Nothing of it is told: it is a secret.
pub(super) fn check(kind: Kind, url: &str) -> Result<(), Wrong> {
    match kind {
        #[cfg(feature = "rabbitmq")]
        Kind::RabbitMq => rabbitmq::check_url(url),
        #[cfg(feature = "nats")]
        Kind::Nats => nats::check_url(url),
        #[cfg(feature = "kafka")]
        Kind::Kafka => kafka::check_url(url),
        #[cfg(not(all(feature = "rabbitmq", feature = "nats", feature = "kafka")))]
        _ => Kind::of_url(url).map(drop),
    }
}
