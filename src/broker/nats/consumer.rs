//! Takes the messages of one source: those of its stream, and the copies on its ladder that are due.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;

use super::link::Link;
use super::names::Place;
use super::pull::{Puller, Trouble};
use super::settle::Settling;
use super::taken::{Left, Room, Taken};
use super::unsettled::{BACK, Unsettled};
use crate::broker::{Consumer, Delivery, Ladder, Source};

/// The longest that handing back may take.
const CLOSING: Duration = Duration::from_secs(3);

/// What takes messages of one source.
pub(super) struct Taker {
    link: Arc<Link>,
    place: Arc<Place>,
    ladder: Ladder,
    keeps_dead_letters: bool,
    /// Copies that are due, and messages from the stream.
    due: mpsc::UnboundedReceiver<Taken>,
    new: mpsc::UnboundedReceiver<Taken>,
    troubles: Vec<Arc<Trouble>>,
    left: Arc<Left>,
    /// As many as may be given out.
    room: Arc<Semaphore>,
    ending: watch::Sender<bool>,
    pullers: JoinSet<()>,
}

/// What nothing comes from: why.
pub(super) struct Nothing(pub String);

/// Begins to take the messages of `source`, on the runtime that this is called in.
pub(super) fn begin(
    link: &Arc<Link>,
    unsettled: &Arc<Unsettled>,
    source: &Source,
    prefetch: u16,
) -> Box<dyn Consumer> {
    let place = match Place::new(source) {
        Ok(place) => Arc::new(place),
        Err(why) => return Box::new(Nothing(why)),
    };
    let block = link.streams.get(&place.stream);
    let ladder = block.map(|block| block.retry.clone()).unwrap_or_default();
    let keeps_dead_letters = block.is_some_and(|block| block.dead_letter);
    let most = usize::from(prefetch.max(1));
    let dead_letters = keeps_dead_letters.then(|| (place.dead_stream(), place.dead_letters()));
    let ending = watch::Sender::new(false);
    let mut pullers = JoinSet::new();
    let mut troubles = Vec::new();
    let mut pull = |stream: String, subject: Option<String>| {
        let (out, taken) = mpsc::unbounded_channel();
        let trouble = Trouble::new("it is not attached yet");
        troubles.push(trouble.clone());
        let puller = Puller {
            link: link.clone(),
            unsettled: unsettled.clone(),
            stream,
            consumer: place.consumer.clone(),
            subject,
            dead_letters: dead_letters.clone(),
            room: Room::new(most),
            out,
            trouble,
            held: JoinSet::new(),
            ending: ending.subscribe(),
        };
        pullers.spawn(puller.run());
        taken
    };
    let new = pull(place.stream.clone(), place.subject.clone());
    let due = if keeps_dead_letters || !ladder.delays.is_empty() {
        pull(place.retry_stream(), Some(place.steps()))
    } else {
        mpsc::unbounded_channel().1
    };
    Box::new(Taker {
        link: link.clone(),
        place,
        ladder,
        keeps_dead_letters,
        due,
        new,
        troubles,
        left: Arc::default(),
        room: Arc::new(Semaphore::new(most)),
        ending,
        pullers,
    })
}

impl Taker {
    async fn take(&mut self) -> Delivery {
        // Before the message: nothing is lost when this future is dropped.
        let Ok(given) = self.room.clone().acquire_owned().await else {
            return std::future::pending().await;
        };
        // What waited is older.
        let (taken, is_copy) = tokio::select! {
            biased;
            Some(taken) = self.due.recv() => (taken, true),
            Some(taken) = self.new.recv() => (taken, false),
            else => return std::future::pending().await,
        };
        // Only copies are ours: whatever else has such headers has them from a stranger.
        let (attempt, subject) = if is_copy {
            let notes = &taken.notes;
            let subject = notes.subject.clone();
            (notes.attempt.unwrap_or(1), subject.unwrap_or_default())
        } else {
            (1, taken.subject.clone())
        };
        // A copy is given out once more than it waits.
        let first = if is_copy { 2 } else { 1 };
        Delivery {
            message: taken.message.clone(),
            attempt,
            redelivered: taken.delivery.delivered > first,
            key: Some(subject.clone()),
            settle: Box::new(Settling {
                link: self.link.clone(),
                place: self.place.clone(),
                ladder: self.ladder.clone(),
                keeps_dead_letters: self.keeps_dead_letters,
                attempt,
                subject,
                taken,
                left: self.left.clone(),
                _given: given,
            }),
        }
    }

    async fn hand_back(mut self) {
        self.ending.send_replace(true);
        while self.pullers.join_next().await.is_some() {}
        let Some(session) = self.link.session() else {
            return;
        };
        // What comes back is given out before what is new, in the order in which it does.
        let mut back = self.left.take();
        for waiting in [&mut self.due, &mut self.new] {
            while let Ok(taken) = waiting.try_recv() {
                back.push(taken);
            }
        }
        for mut taken in back {
            let ack = taken.hold.ack.clone();
            if session.send(ack, None, None, BACK).await.is_err() {
                return;
            }
            taken.hold.end();
        }
        session.flush().await;
    }
}

impl Consumer for Taker {
    fn next(&mut self) -> BoxFuture<'_, Delivery> {
        self.take().boxed()
    }

    fn trouble(&self) -> Option<String> {
        if self.link.session().is_none() {
            return Some(self.link.why_down());
        }
        self.troubles.iter().find_map(|trouble| trouble.get())
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        async move {
            // Late, the server finds out by itself.
            let _late = tokio::time::timeout(CLOSING, self.hand_back()).await;
        }
        .boxed()
    }
}

impl Consumer for Nothing {
    fn next(&mut self) -> BoxFuture<'_, Delivery> {
        std::future::pending().boxed()
    }

    fn trouble(&self) -> Option<String> {
        Some(self.0.clone())
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        std::future::ready(()).boxed()
    }
}
