//! NATS JetStream by way of async-nats alone: one connection.

use std::sync::Arc;
use std::time::Instant;

use async_nats::jetstream::consumer::pull;
use async_nats::jetstream::{self, Context};
use async_nats::{ConnectOptions, HeaderMap};
use futures_util::StreamExt;
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use crate::http::Caller;
use crate::{AT_ONCE, BODY, Left, Result, measured};

/// Connects to `nats://USER:PASSWORD@HOST`: the library takes no login from a URL.
async fn open(url: &str) -> Result<Context> {
    let (scheme, rest) = url.split_once("://").ok_or("the URL has no scheme")?;
    let (login, host) = rest.rsplit_once('@').ok_or("the URL has no login")?;
    let (user, password) = login.split_once(':').ok_or("the URL has no password")?;
    let options = ConnectOptions::with_user_and_password(user.to_owned(), password.to_owned());
    Ok(jetstream::new(
        options.connect(format!("{scheme}://{host}")).await?,
    ))
}

#[derive(Clone)]
pub struct Publisher {
    context: Context,
    subject: String,
}

impl Publisher {
    pub async fn open(url: &str, subject: &str) -> Result<Publisher> {
        Ok(Publisher {
            context: open(url).await?,
            subject: subject.to_owned(),
        })
    }

    pub async fn publish(&self, number: usize) -> Result<()> {
        let mut headers = HeaderMap::new();
        // Two runs publish nothing of the same id.
        let run = std::process::id();
        headers.insert("Nats-Msg-Id", format!("bare-{run}-{number}"));
        let body = BODY.to_vec().into();
        let sent = self
            .context
            .publish_with_headers(self.subject.clone(), headers, body);
        sent.await?.await?;
        Ok(())
    }
}

pub async fn consume(url: &str, stream: &str, left: Left, port: u16) -> Result<()> {
    let context = open(url).await?;
    let stream = context.get_stream(stream).await?;
    let config = pull::Config {
        durable_name: Some("bare".to_owned()),
        ..pull::Config::default()
    };
    let consumer = stream.get_or_create_consumer("bare", config).await?;
    let begun = Instant::now();
    let messages = consumer
        .stream()
        .max_messages_per_batch(AT_ONCE)
        .messages()
        .await?;
    let messages = Arc::new(Mutex::new(messages));
    let mut all = JoinSet::new();
    for _ in 0..AT_ONCE {
        let (left, messages) = (left.clone(), messages.clone());
        all.spawn(async move {
            let mut caller = Caller::connect(port, "/").await?;
            while left.take().is_some() {
                let next = messages.lock().await.next().await;
                let message = next.ok_or("the consumer has ended")??;
                caller.post(&message.payload).await?;
                // As the proxy does: it waits until the server has taken it.
                message.double_ack().await?;
            }
            Ok(())
        });
    }
    measured(begun, all).await
}
