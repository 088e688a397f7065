//! A client of a changed config that has not connected yet: the one before does its work until it has.
//!
//! So a new URL with a wrong password in it ends nothing.

use std::mem;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::time::{Instant, timeout_at};

use super::{
    Client, Confirmed, Consumer, DeadLetter, Delivery, Destination, Ladder, Link, Lost, Message,
    Refusal, Settle, Source, State, Verdict,
};

/// How often a consumer looks whether the new client has connected.
const LOOK: Duration = Duration::from_millis(100);
/// For so long a consumer waits for the new client, before it begins with the old one: a group of Kafka is divided anew for
/// each that comes and goes.
const SOON: Duration = Duration::from_secs(1);

/// `new`, and `old` for as long as that has not connected.
pub fn succeed(old: &Arc<dyn Client>, new: Arc<dyn Client>) -> Arc<dyn Client> {
    let old = old.stand_in().unwrap_or_else(|| old.clone());
    if !old.state().is_connected() {
        return new;
    }
    let shared = Shared {
        new,
        old: Mutex::new(Some(old)),
    };
    Arc::new(Successor(Arc::new(shared)))
}

struct Successor(Arc<Shared>);

struct Shared {
    new: Arc<dyn Client>,
    old: Mutex<Option<Arc<dyn Client>>>,
}

impl Shared {
    /// The one before, while it is needed.
    fn old(&self) -> Option<Arc<dyn Client>> {
        let mut old = self.old.lock().unwrap_or_else(PoisonError::into_inner);
        if old.is_some() && self.new.state().is_connected() {
            // What it has under way holds it.
            *old = None;
        }
        old.clone()
    }

    fn current(&self) -> Arc<dyn Client> {
        self.old().unwrap_or_else(|| self.new.clone())
    }
}

impl Client for Successor {
    fn publish(
        &self,
        to: Destination,
        message: Message,
    ) -> BoxFuture<'_, Result<Confirmed, Refusal>> {
        let client = self.0.current();
        async move { client.publish(to, message).await }.boxed()
    }

    fn consume(&self, from: &Source, prefetch: u16) -> Box<dyn Consumer> {
        if self.0.old().is_none() {
            return self.0.new.consume(from, prefetch);
        }
        Box::new(Succeeding {
            shared: self.0.clone(),
            from: from.clone(),
            prefetch,
            taking: Taking::Waiting(Instant::now() + SOON),
        })
    }

    fn ladder(&self, from: &Source) -> Ladder {
        self.0.new.ladder(from)
    }

    fn keeps_dead_letters(&self, from: &Source) -> bool {
        self.0.new.keeps_dead_letters(from)
    }

    fn waiting(&self, from: &Source) -> BoxFuture<'_, Option<u64>> {
        let (client, from) = (self.0.current(), from.clone());
        async move { client.waiting(&from).await }.boxed()
    }

    fn dead_letters(
        &self,
        from: &Source,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<DeadLetter>, String>> {
        let (client, from) = (self.0.current(), from.clone());
        async move { client.dead_letters(&from, limit).await }.boxed()
    }

    fn replay(&self, from: &Source, limit: usize) -> BoxFuture<'_, Result<usize, String>> {
        let (client, from) = (self.0.current(), from.clone());
        async move { client.replay(&from, limit).await }.boxed()
    }

    fn discard(&self, from: &Source, limit: usize) -> BoxFuture<'_, Result<usize, String>> {
        let (client, from) = (self.0.current(), from.clone());
        async move { client.discard(&from, limit).await }.boxed()
    }

    /// That of the one that does the work. Why the new one does not is among what the broker has otherwise.
    fn state(&self) -> State {
        let Some(old) = self.0.old() else {
            return self.0.new.state();
        };
        let mut state = old.state();
        if let Link::Down {
            error: Some(error), ..
        } = self.0.new.state().link
        {
            let why =
                format!("the one before is kept, as this one cannot be connected to: {error}");
            state.mismatches.push(("url".to_owned(), why));
        }
        state
    }

    fn stand_in(&self) -> Option<Arc<dyn Client>> {
        self.0.old()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        let old = self.0.old();
        async move {
            if let Some(old) = old {
                old.close().await;
            }
            self.0.new.close().await;
        }
        .boxed()
    }
}

/// Takes messages by the old client until the new one has connected.
struct Succeeding {
    shared: Arc<Shared>,
    from: Source,
    prefetch: u16,
    taking: Taking,
}

/// By whom messages are taken.
enum Taking {
    /// By nobody until then, as the new client may connect before.
    Waiting(Instant),
    Old(Box<dyn Consumer>, Arc<dyn Client>),
    /// By nobody: what the old client has taken is handed back first, and comes before what the new one takes. This is held
    /// here, so that whoever drops the future of `next` does not cut it short.
    HandingBack(BoxFuture<'static, ()>),
    New(Box<dyn Consumer>),
}

impl Succeeding {
    async fn take(&mut self) -> Delivery {
        loop {
            match &mut self.taking {
                Taking::Waiting(until) => {
                    let _connected = timeout_at(*until, connected(&self.shared)).await;
                }
                Taking::Old(consumer, old) => {
                    tokio::select! {
                        biased;
                        () = connected(&self.shared) => {}
                        delivery = consumer.next() => return kept_by(old.clone(), delivery),
                    }
                }
                Taking::HandingBack(handing_back) => handing_back.await,
                Taking::New(consumer) => return consumer.next().await,
            }
            self.move_on();
        }
    }

    fn move_on(&mut self) {
        let nothing = Taking::HandingBack(std::future::ready(()).boxed());
        self.taking = match mem::replace(&mut self.taking, nothing) {
            Taking::Waiting(_) => match self.shared.old() {
                Some(old) => Taking::Old(old.consume(&self.from, self.prefetch), old),
                None => Taking::New(self.shared.new.consume(&self.from, self.prefetch)),
            },
            Taking::Old(consumer, old) => Taking::HandingBack(close(consumer, old)),
            Taking::HandingBack(_) => {
                Taking::New(self.shared.new.consume(&self.from, self.prefetch))
            }
            new @ Taking::New(_) => new,
        };
    }
}

impl Consumer for Succeeding {
    fn next(&mut self) -> BoxFuture<'_, Delivery> {
        self.take().boxed()
    }

    fn trouble(&self) -> Option<String> {
        match &self.taking {
            Taking::Old(consumer, _) | Taking::New(consumer) => consumer.trouble(),
            Taking::Waiting(_) | Taking::HandingBack(_) => None,
        }
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        match self.taking {
            Taking::Waiting(_) => std::future::ready(()).boxed(),
            Taking::Old(consumer, old) => close(consumer, old),
            Taking::HandingBack(handing_back) => handing_back,
            Taking::New(consumer) => consumer.close(),
        }
    }
}

/// The client lives until its consumer has closed.
fn close(consumer: Box<dyn Consumer>, client: Arc<dyn Client>) -> BoxFuture<'static, ()> {
    async move {
        consumer.close().await;
        drop(client);
    }
    .boxed()
}

async fn connected(shared: &Shared) {
    while shared.old().is_some() {
        tokio::time::sleep(LOOK).await;
    }
}

/// A delivery can be settled for as long as its client lives.
fn kept_by(client: Arc<dyn Client>, delivery: Delivery) -> Delivery {
    let settle = Box::new(Kept {
        settle: delivery.settle,
        client,
    });
    Delivery { settle, ..delivery }
}

struct Kept {
    settle: Box<dyn Settle>,
    client: Arc<dyn Client>,
}

impl Settle for Kept {
    fn settle(self: Box<Self>, verdict: Verdict) -> BoxFuture<'static, Result<(), Lost>> {
        async move {
            let settled = self.settle.settle(verdict).await;
            drop(self.client);
            settled
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests;
