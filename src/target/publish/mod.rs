//! `publish`: the request becomes a message, and its answer says whether the broker has it.
//!
//! What of a request goes into its message is in [`message`], where it goes in [`address`], and what its caller is told in
//! [`answer`].

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::{Instant, timeout_at};

use super::block::{Block, Build, Named, Options};
use super::rehearsal::{End, Rehearsing, Told};
use crate::broker::{
    self, Address, AddressKeys, Client, Confirmed, Destination, Kind, Message, Refusal,
};
use crate::http::asking::Asking;
use crate::http::boxed::pinned;
use crate::http::error::Error;
use crate::http::exchange::Exchange;
use crate::http::handler::{Answer, Handler};
use crate::http::message::{Request, Response};
use crate::http::trail::Asked;
use crate::value::problem::Problems;
use crate::value::template::{FieldName, HeaderTemplate};
use crate::value::{self, ByteSize};

mod address;
mod answer;
mod cloud_event;
mod message;
mod metrics;
mod span;
#[cfg(test)]
mod tests;

pub use metrics::{DURATION, PUBLISHED};

use answer::Sent;
use cloud_event::CloudEventConfig;
use metrics::RouteMetrics;

/// How many messages of one batch are published at once.
const AT_ONCE: usize = 64;

/// `publish`
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The name of the broker.
    pub broker: String,
    /// RabbitMQ: the exchange; empty is the one that leads to the queue named by `routing_key`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exchange: Option<HeaderTemplate>,
    /// RabbitMQ: by what the exchange chooses among its queues.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub routing_key: Option<HeaderTemplate>,
    /// NATS: the subject, which a stream must keep.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<HeaderTemplate>,
    /// Kafka: the topic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<HeaderTemplate>,
    /// Kafka: messages with one key stay in order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<HeaderTemplate>,
    /// How long the broker may take to confirm.
    #[serde(default = "confirm_timeout")]
    pub confirm_timeout: value::Duration,
    /// Headers of the message, beside what it has of its own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<FieldName, HeaderTemplate>,
    /// Makes a request that is no event itself one (CloudEvents).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cloud_event: Option<CloudEventConfig>,
    /// The largest body of a request.
    #[serde(default = "max_body")]
    pub max_body: ByteSize,
}

impl Block for Config {
    fn check(&self, known: &[&str], problems: &mut Problems) {
        address::check(&self.keys(), known, problems);
        message::check_headers(&self.headers, known, problems);
        if let Some(event) = &self.cloud_event {
            problems.within(&["cloud_event"], |problems| event.check(known, problems));
        }
        if self.confirm_timeout.0.is_zero() {
            problems.error(&["confirm_timeout"], "no broker confirms in no time");
        }
    }

    fn build(&self, build: &Build<'_>, _: Options<'_>) -> Option<Box<dyn Handler>> {
        Some(Box::new(Publish {
            client: build.broker(&self.broker)?,
            broker: self.broker.as_str().into(),
            address: self.keys().address()?,
            headers: self.headers.clone(),
            cloud_event: self.cloud_event.clone(),
            confirm_timeout: self.confirm_timeout.0,
            max_body: usize::try_from(self.max_body.0).unwrap_or(usize::MAX),
            was_tried: AtomicBool::new(false),
            metrics: RouteMetrics::new(build.route.as_str()),
        }))
    }

    fn rehearse(&self, rehearsing: &Rehearsing<'_>, _: Options<'_>) -> Option<Box<dyn Handler>> {
        let (broker, address) = (self.broker.clone(), self.keys().address()?);
        Some(Box::new(Told {
            rehearsal: rehearsing.rehearsal.clone(),
            end_of: move |request: &mut Request| {
                fit(request)?;
                let place = address::of(&address, request);
                let id = request.context.request_id.as_str();
                let place = place.map_err(|refusal| answer::refused(refusal, id))?;
                Ok(End::Broker {
                    name: broker.clone(),
                    place: place.to_string(),
                })
            },
        }))
    }

    fn brokers(&self) -> Vec<Named<'_>> {
        vec![(&self.broker, vec!["broker".to_owned()])]
    }

    fn publishes(&self) -> Option<(&str, Address<HeaderTemplate>)> {
        Some((&self.broker, self.keys().address()?))
    }

    fn check_broker(&self, kind: Kind, problems: &mut Problems) {
        self.keys().check_kind(kind, &self.broker, problems);
        kind.check_largest(self.max_body, problems);
    }
}

impl Config {
    fn keys(&self) -> AddressKeys<'_, HeaderTemplate> {
        AddressKeys {
            exchange: self.exchange.as_ref(),
            routing_key: self.routing_key.as_ref(),
            subject: self.subject.as_ref(),
            topic: self.topic.as_ref(),
            key: self.key.as_ref(),
        }
    }
}

/// The target of a route with `publish`.
struct Publish {
    client: Arc<dyn Client>,
    broker: Arc<str>,
    address: Address<HeaderTemplate>,
    headers: BTreeMap<FieldName, HeaderTemplate>,
    cloud_event: Option<CloudEventConfig>,
    confirm_timeout: Duration,
    max_body: usize,
    /// The first try to connect has ended.
    was_tried: AtomicBool,
    metrics: RouteMetrics,
}

impl Handler for Publish {
    fn call<'a>(&'a self, request: Box<Request>, exchange: &'a Exchange<'a>) -> Answer<'a> {
        pinned(|| self.publish(request, exchange))
    }
}

impl Publish {
    async fn publish(
        &self,
        mut request: Box<Request>,
        exchange: &Exchange<'_>,
    ) -> Result<Box<Response>, Error> {
        fit(&request)?;
        let body = message::read(&mut request, self.max_body).await?;
        let asked = || Asked::Broker((*self.broker).into());
        if message::is_batch(&request) {
            let messages = message::batch(&request, &body, &self.headers)?;
            let asking = Asking::new(exchange, asked, None);
            let response = self.publish_all(&request, messages).await;
            asking.end(Ok(&response));
            return Ok(Box::new(response));
        }
        let mut message = message::of(&request, body, &self.headers)?;
        if let Some(event) = self
            .cloud_event
            .as_ref()
            .filter(|_| !message::is_event(&request))
        {
            message::wrap(&mut message, event, &request);
        }
        let id = message.id.clone();
        let asking = Asking::new(exchange, asked, None);
        let result = match self.send(&request, message).await {
            Ok(confirmed) => Ok(Box::new(answer::confirmed(&self.broker, &id, confirmed))),
            Err(refusal) => Err(answer::refused(refusal, &id)),
        };
        asking.end(result.as_deref());
        result
    }

    /// Publishes each, and answers for each, in their order.
    async fn publish_all(&self, request: &Request, messages: Vec<Message>) -> Response {
        use futures_util::{StreamExt, stream};
        let results = stream::iter(messages).map(|message| async {
            let id = message.id.clone();
            let result = self.send(request, message).await;
            Sent { id, result }
        });
        let results: Vec<Sent> = results.buffered(AT_ONCE).collect().await;
        answer::of_batch(&self.broker, &results)
    }

    async fn send(&self, request: &Request, mut message: Message) -> Result<Confirmed, Refusal> {
        let timer = self.metrics.start();
        let mut span = span::begin(request, &self.address, &mut message);
        let result = match address::of(&self.address, request) {
            Err(refusal) => Err(refusal),
            Ok(to) => {
                if let Some(span) = &mut span {
                    broker::span::goes_to(span, &to);
                }
                self.send_to(to, message).await
            }
        };
        self.metrics.end(timer, &result);
        if let Some(span) = &mut span {
            broker::span::end(span, &result);
        }
        result
    }

    async fn send_to(&self, to: Destination, message: Message) -> Result<Confirmed, Refusal> {
        let until = Instant::now() + self.confirm_timeout;
        if !self.was_tried.load(Ordering::Relaxed) {
            // Behind a start, or a broker that is new in the config.
            if timeout_at(until, self.client.tried()).await.is_err() {
                let why = "there is no connection yet".to_owned();
                return Err(Refusal::Unavailable(why));
            }
            self.was_tried.store(true, Ordering::Relaxed);
        }
        let sent = self.client.publish(to, message);
        timeout_at(until, sent).await.unwrap_or_else(|_| {
            Err(Refusal::Unknown(format!(
                "the broker has not confirmed it within {:?}",
                self.confirm_timeout
            )))
        })
    }
}

/// Refuses a request of which no message can be made, whatever its body is.
fn fit(request: &Request) -> Result<(), Error> {
    if request.method.is_safe() {
        return Err(answer::not_allowed(&request.method));
    }
    if request.dialect().is_grpc() {
        return Err(message::of_grpc());
    }
    Ok(())
}

fn confirm_timeout() -> value::Duration {
    value::Duration(Duration::from_secs(5))
}

fn max_body() -> ByteSize {
    ByteSize(1 << 20)
}
