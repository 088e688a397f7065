//! A RabbitMQ broker as the rest of the house sees it.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::super::{
    Client, Confirmed, Consumer, DeadLetter, Destination, Ladder, Message, Refusal, Source, State,
};
use super::consumer::QueueConsumer;
use super::letters;
use super::link::{Connector, Link};
use super::properties;
use super::shared::Shared;
use super::supervisor;
use crate::broker::Checked;

/// The longest that messages under way may take at the end.
const LAST_CONFIRMS: Duration = Duration::from_secs(5);

/// Begins to connect, on `runtime`.
pub(in crate::broker) fn connect(
    name: &str,
    checked: &Checked,
    runtime: &Handle,
) -> Arc<dyn Client> {
    let (dropped, returning) = mpsc::unbounded_channel();
    let shared = Arc::new(Shared::new(name, &checked.config, dropped));
    let mut tasks = vec![runtime.spawn(supervisor::hand_back(returning))];
    if let Some(connector) = Connector::new(name, checked, runtime) {
        tasks.push(runtime.spawn(supervisor::supervise(shared.clone(), connector)));
    }
    Arc::new(RabbitMq { shared, tasks })
}

struct RabbitMq {
    shared: Arc<Shared>,
    tasks: Vec<JoinHandle<()>>,
}

impl RabbitMq {
    fn end(&self) -> Option<Arc<Link>> {
        for task in &self.tasks {
            task.abort();
        }
        self.shared.close()
    }
}

impl Drop for RabbitMq {
    fn drop(&mut self) {
        drop(self.end());
    }
}

impl Client for RabbitMq {
    fn publish(
        &self,
        to: Destination,
        message: Message,
    ) -> BoxFuture<'_, Result<Confirmed, Refusal>> {
        Box::pin(async move {
            let Destination::Exchange {
                exchange,
                routing_key,
            } = to
            else {
                return Err(Refusal::Unfit("RabbitMQ has exchanges".to_owned()));
            };
            let properties = properties::of(&message)?;
            let publishing =
                self.shared
                    .publish(&exchange, &routing_key, &properties, &message.body);
            publishing.await?;
            Ok(Confirmed { duplicate: false })
        })
    }

    fn consume(&self, from: &Source, prefetch: u16) -> Box<dyn Consumer> {
        Box::new(QueueConsumer::new(
            self.shared.clone(),
            from.name(),
            prefetch,
        ))
    }

    fn ladder(&self, from: &Source) -> Ladder {
        self.shared.ladder(from.name())
    }

    fn keeps_dead_letters(&self, from: &Source) -> bool {
        self.shared.keeps_dead_letters(from.name())
    }

    fn waiting(&self, from: &Source) -> BoxFuture<'_, Option<u64>> {
        let queue = from.name().to_owned();
        Box::pin(async move { letters::waiting(&self.shared, &queue).await })
    }

    fn dead_letters(
        &self,
        from: &Source,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<DeadLetter>, String>> {
        let queue = from.name().to_owned();
        Box::pin(async move { letters::look(&self.shared, &queue, limit).await })
    }

    fn replay(&self, from: &Source, limit: usize) -> BoxFuture<'_, Result<usize, String>> {
        let queue = from.name().to_owned();
        Box::pin(async move { letters::replay(&self.shared, &queue, limit).await })
    }

    fn discard(&self, from: &Source, limit: usize) -> BoxFuture<'_, Result<usize, String>> {
        let queue = from.name().to_owned();
        Box::pin(async move { letters::discard(&self.shared, &queue, limit).await })
    }

    fn state(&self) -> State {
        self.shared.state().clone()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let Some(link) = self.end() else {
                return;
            };
            let _late = timeout(LAST_CONFIRMS, link.rest()).await;
            link.close().await;
        })
    }
}
