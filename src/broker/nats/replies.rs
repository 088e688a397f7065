//! Answers to requests are told apart. The library does the same, and keeps the requests that are never answered for as
//! long as its connection lasts.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_nats::{Client, Message, Subject, Subscriber};
use futures_util::StreamExt;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

/// Why there was no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unanswered {
    /// It is larger than the server takes.
    TooLarge,
    /// Who logged in may not send to this subject.
    Forbidden,
    /// Nothing was sent.
    Unsent,
    /// It was sent, or may have been, and the connection was lost.
    Lost,
}

/// The requests that are not answered yet; None once the connection is lost, over which answers would come.
#[derive(Clone)]
pub(super) struct Waiting(Arc<Mutex<Option<HashMap<u64, Waiter>>>>);

struct Waiter {
    subject: Subject,
    sender: oneshot::Sender<Result<Message, Unanswered>>,
}

impl Waiting {
    /// Ends what waits for an answer from `subject`, to which nothing may be sent.
    pub fn forbid(&self, subject: &str) {
        let mut locked = self.locked();
        let Some(waiters) = &mut *locked else {
            return;
        };
        for (_, waiter) in waiters.extract_if(|_, waiter| &*waiter.subject == subject) {
            // Whoever waited may have gone.
            let _unwanted = waiter.sender.send(Err(Unanswered::Forbidden));
        }
    }

    /// Ends all that waits, and whatever will: no answer comes any more.
    pub fn lose(&self) {
        let waiters = self.locked().take();
        drop(waiters);
    }

    fn insert(&self, number: u64, waiter: Waiter) {
        if let Some(waiters) = &mut *self.locked() {
            waiters.insert(number, waiter);
        }
    }

    fn remove(&self, number: u64) -> Option<Waiter> {
        self.locked().as_mut()?.remove(&number)
    }

    fn locked(&self) -> MutexGuard<'_, Option<HashMap<u64, Waiter>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Waiting {
    fn default() -> Self {
        Waiting(Arc::new(Mutex::new(Some(HashMap::new()))))
    }
}

/// The inbox for all answers.
pub(super) struct Replies {
    inbox: String,
    waiting: Waiting,
    next: AtomicU64,
    task: AbortHandle,
}

/// An answer that is waited for, until this is dropped.
pub(super) struct Expected {
    /// Where it is to be sent.
    pub reply: Subject,
    number: u64,
    waiting: Waiting,
}

impl Replies {
    /// None when the connection is lost.
    pub async fn start(client: &Client, waiting: Waiting) -> Option<Self> {
        let inbox = client.new_inbox();
        let subscriber = client.subscribe(format!("{inbox}.*")).await.ok()?;
        let hand_out = hand_out(subscriber, inbox.len() + 1, waiting.clone());
        Some(Replies {
            inbox,
            waiting,
            next: AtomicU64::new(0),
            task: tokio::spawn(hand_out).abort_handle(),
        })
    }

    /// Prepares for the answer to what is sent to `subject`. No sender is left when there will be none.
    pub fn expect(
        &self,
        subject: Subject,
    ) -> (Expected, oneshot::Receiver<Result<Message, Unanswered>>) {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = oneshot::channel();
        let waiter = Waiter { subject, sender };
        self.waiting.insert(number, waiter);
        let expected = Expected {
            reply: format!("{}.{number}", self.inbox).into(),
            number,
            waiting: self.waiting.clone(),
        };
        (expected, receiver)
    }
}

impl Drop for Replies {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Drop for Expected {
    fn drop(&mut self) {
        self.waiting.remove(self.number);
    }
}

async fn hand_out(mut subscriber: Subscriber, prefix: usize, waiting: Waiting) {
    while let Some(message) = subscriber.next().await {
        let number = message.subject.get(prefix..).and_then(|n| n.parse().ok());
        let waiter = number.and_then(|number: u64| waiting.remove(number));
        if let Some(waiter) = waiter {
            // Whoever waited may have gone.
            let _unwanted = waiter.sender.send(Ok(message));
        }
    }
    waiting.lose();
}
