//! From a checked block to a client that connects.

use std::sync::Arc;

use tokio::runtime::Handle;

#[cfg(any(feature = "rabbitmq", feature = "nats", feature = "kafka"))]
use super::Kind;
#[cfg(feature = "kafka")]
use super::kafka;
#[cfg(feature = "nats")]
use super::nats;
#[cfg(feature = "rabbitmq")]
use super::rabbitmq;
use super::{Checked, Client};

/// A client that connects on `runtime`, in the background. `name` is the broker's in the config. None for a kind that this
/// program was built without, which no config has that was checked.
#[cfg_attr(
    not(any(feature = "rabbitmq", feature = "nats", feature = "kafka")),
    expect(
        unused_variables,
        reason = "no kind is built in that would look at them"
    )
)]
pub fn connect(name: &str, config: &Checked, runtime: &Handle) -> Option<Arc<dyn Client>> {
    match config.kind() {
        #[cfg(feature = "rabbitmq")]
        Kind::RabbitMq => Some(rabbitmq::connect(name, config, runtime)),
        #[cfg(feature = "nats")]
        Kind::Nats => Some(nats::connect(name, config, runtime)),
        #[cfg(feature = "kafka")]
        Kind::Kafka => Some(kafka::connect(name, config, runtime)),
        #[cfg(not(all(feature = "rabbitmq", feature = "nats", feature = "kafka")))]
        _ => None,
    }
}
