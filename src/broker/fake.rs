//! A broker for unit tests: it remembers what it is given, and gives out what a test puts in.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::{
    Client, Confirmed, Consumer, DeadLetter, Delivery, Destination, Ladder, Link, Lost, Message,
    Refusal, Settle, Source, State, Verdict,
};
use crate::value;

/// What a test sees and sets.
#[derive(Default)]
pub(crate) struct Fake {
    pub published: Mutex<Vec<(Destination, Message)>>,
    /// What is said of the next messages; they are confirmed when there is nothing. `None` is never an answer.
    pub says: Mutex<VecDeque<Option<Result<Confirmed, Refusal>>>>,
    pub settled: Arc<Mutex<Vec<(String, Verdict)>>>,
    pub ladder: Ladder,
    pub keeps_dead_letters: bool,
    /// When its first try to connect ends.
    pub connects_at: Option<Instant>,
    /// How long its consumers take to close.
    closing: Duration,
    waiting: Arc<Waiting>,
    /// Consumers that were begun, and that were ended.
    pub consumers: Arc<Mutex<(usize, usize)>>,
}

#[derive(Default)]
struct Waiting {
    messages: Mutex<VecDeque<(Message, u32, Option<String>)>>,
    more: Notify,
}

impl Fake {
    pub fn with_ladder(seconds: &[u64]) -> Self {
        let delay = |seconds: &u64| value::Duration(Duration::from_secs(*seconds));
        Fake {
            ladder: Ladder {
                delays: seconds.iter().map(delay).collect(),
            },
            keeps_dead_letters: true,
            ..Fake::default()
        }
    }

    pub fn connecting_until(at: Instant) -> Self {
        Fake {
            connects_at: Some(at),
            ..Fake::default()
        }
    }

    pub fn closing_for(closing: Duration) -> Self {
        Fake {
            closing,
            ..Fake::default()
        }
    }

    /// Puts in a message that is delivered for the `attempt`th time.
    pub fn put(&self, id: &str, attempt: u32, key: Option<&str>) {
        self.put_message(message(id), attempt, key);
    }

    /// Puts in a message with these headers.
    pub fn put_with(&self, id: &str, headers: Vec<(String, String)>) {
        let message = Message {
            headers,
            ..message(id)
        };
        self.put_message(message, 1, None);
    }

    fn put_message(&self, message: Message, attempt: u32, key: Option<&str>) {
        let mut messages = self.waiting.messages.lock().unwrap();
        messages.push_back((message, attempt, key.map(str::to_owned)));
        self.waiting.more.notify_one();
    }

    /// What was settled so far.
    pub fn settled(&self) -> Vec<(String, Verdict)> {
        self.settled.lock().unwrap().clone()
    }
}

pub(crate) fn message(id: &str) -> Message {
    Message {
        id: id.to_owned(),
        content_type: Some("text/plain".to_owned()),
        headers: vec![("ce-type".to_owned(), "made".to_owned())],
        body: Bytes::from(format!("body of {id}")),
    }
}

impl Client for Fake {
    fn publish(
        &self,
        to: Destination,
        message: Message,
    ) -> BoxFuture<'_, Result<Confirmed, Refusal>> {
        self.published.lock().unwrap().push((to, message));
        let says = self.says.lock().unwrap().pop_front();
        match says {
            None => futures_util::future::ready(Ok(Confirmed { duplicate: false })).boxed(),
            Some(Some(result)) => futures_util::future::ready(result).boxed(),
            Some(None) => futures_util::future::pending().boxed(),
        }
    }

    fn consume(&self, _: &Source, _: u16) -> Box<dyn Consumer> {
        self.consumers.lock().unwrap().0 += 1;
        Box::new(FakeConsumer {
            waiting: self.waiting.clone(),
            settled: self.settled.clone(),
            consumers: self.consumers.clone(),
            closing: self.closing,
        })
    }

    fn ladder(&self, _: &Source) -> Ladder {
        self.ladder.clone()
    }

    fn keeps_dead_letters(&self, _: &Source) -> bool {
        self.keeps_dead_letters
    }

    fn waiting(&self, _: &Source) -> BoxFuture<'_, Option<u64>> {
        let waiting = self.waiting.messages.lock().unwrap().len() as u64;
        futures_util::future::ready(Some(waiting)).boxed()
    }

    fn dead_letters(&self, _: &Source, _: usize) -> BoxFuture<'_, Result<Vec<DeadLetter>, String>> {
        let letter = DeadLetter {
            message: message("dead"),
            reason: "status_400".to_owned(),
            attempts: 1,
            since: Some(SystemTime::UNIX_EPOCH),
        };
        futures_util::future::ready(Ok(vec![letter])).boxed()
    }

    fn replay(&self, _: &Source, limit: usize) -> BoxFuture<'_, Result<usize, String>> {
        futures_util::future::ready(Ok(limit.min(1))).boxed()
    }

    fn discard(&self, _: &Source, _: usize) -> BoxFuture<'_, Result<usize, String>> {
        futures_util::future::ready(Err("there is no connection".to_owned())).boxed()
    }

    fn state(&self) -> State {
        let since = SystemTime::UNIX_EPOCH;
        State {
            link: match self.connects_at {
                Some(at) if Instant::now() < at => Link::Down { since, error: None },
                _ => Link::Connected { since },
            },
            blocked: None,
            mismatches: Vec::new(),
        }
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        futures_util::future::ready(()).boxed()
    }
}

struct FakeConsumer {
    waiting: Arc<Waiting>,
    settled: Arc<Mutex<Vec<(String, Verdict)>>>,
    consumers: Arc<Mutex<(usize, usize)>>,
    closing: Duration,
}

impl Consumer for FakeConsumer {
    fn next(&mut self) -> BoxFuture<'_, Delivery> {
        async move {
            loop {
                let next = self.waiting.messages.lock().unwrap().pop_front();
                match next {
                    None => self.waiting.more.notified().await,
                    Some((message, attempt, key)) => {
                        let settle = Box::new(FakeSettle(message.id.clone(), self.settled.clone()));
                        return Delivery {
                            message,
                            attempt,
                            redelivered: false,
                            key,
                            settle,
                        };
                    }
                }
            }
        }
        .boxed()
    }

    fn trouble(&self) -> Option<String> {
        None
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        async move {
            tokio::time::sleep(self.closing).await;
            self.consumers.lock().unwrap().1 += 1;
        }
        .boxed()
    }
}

struct FakeSettle(String, Arc<Mutex<Vec<(String, Verdict)>>>);

impl Settle for FakeSettle {
    fn settle(self: Box<Self>, verdict: Verdict) -> BoxFuture<'static, Result<(), Lost>> {
        self.1.lock().unwrap().push((self.0.clone(), verdict));
        futures_util::future::ready(Ok(())).boxed()
    }
}
