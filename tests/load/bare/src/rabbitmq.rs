//! RabbitMQ by way of lapin alone: one connection, and one channel.

use std::sync::Arc;
use std::time::Instant;

use futures_util::StreamExt;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions,
    ConfirmSelectOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Confirmation, Connection, ConnectionProperties};
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use crate::http::Caller;
use crate::{AT_ONCE, BODY, Left, Result, measured};

async fn open(url: &str) -> Result<(Connection, Channel)> {
    let connection = Connection::connect(url, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    Ok((connection, channel))
}

#[derive(Clone)]
pub struct Publisher {
    // Its end would end the channel.
    _connection: Arc<Connection>,
    channel: Channel,
    queue: String,
}

impl Publisher {
    pub async fn open(url: &str, queue: &str) -> Result<Publisher> {
        let (connection, channel) = open(url).await?;
        let options = ConfirmSelectOptions::default();
        channel.confirm_select(options).await?;
        Ok(Publisher {
            _connection: Arc::new(connection),
            channel,
            queue: queue.to_owned(),
        })
    }

    pub async fn publish(&self, number: usize) -> Result<()> {
        let options = BasicPublishOptions {
            mandatory: true,
            ..BasicPublishOptions::default()
        };
        let properties = BasicProperties::default()
            .with_delivery_mode(2)
            .with_message_id(format!("bare-{number}").into());
        let queue = self.queue.as_str().into();
        let sent = self
            .channel
            .basic_publish("".into(), queue, options, &BODY, properties);
        match sent.await?.await? {
            Confirmation::Ack(None) => Ok(()),
            other => Err(format!("{other:?}").into()),
        }
    }
}

pub async fn consume(url: &str, queue: &str, left: Left, port: u16) -> Result<()> {
    let (_connection, channel) = open(url).await?;
    channel
        .basic_qos(AT_ONCE as u16, BasicQosOptions::default())
        .await?;
    let options = BasicConsumeOptions::default();
    let begun = Instant::now();
    let consumer = channel
        .basic_consume(queue.into(), "".into(), options, FieldTable::default())
        .await?;
    let consumer = Arc::new(Mutex::new(consumer));
    let mut all = JoinSet::new();
    for _ in 0..AT_ONCE {
        let (left, consumer) = (left.clone(), consumer.clone());
        all.spawn(async move {
            let mut caller = Caller::connect(port, "/").await?;
            while left.take().is_some() {
                let next = consumer.lock().await.next().await;
                let delivery = next.ok_or("the consumer has ended")??;
                caller.post(&delivery.data).await?;
                delivery.ack(BasicAckOptions::default()).await?;
            }
            Ok(())
        });
    }
    measured(begun, all).await
}
