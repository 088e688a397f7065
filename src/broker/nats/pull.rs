//! Messages are pulled from one stream by a durable consumer, as many as there is room for.

use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::{Message, Subscriber};
use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::api::{self, Failure};
use super::declare::difference;
use super::heard::Heard;
use super::link::Link;
use super::session::Session;
use super::taken::{Room, Taken};
use super::unreadable::{self, Given};
use super::unsettled::Unsettled;
use crate::net::timer::Deadline;

/// How long the server waits to hear of a message before it gives it out again: it hears of each that is under way three
/// times as often. So what a proxy had that was killed comes again after this time; a server cannot see sooner that whoever
/// pulls is gone. Nor does a step of the ladder come later than this, behind a server that was started anew and has
/// forgotten for how long it was not to give a copy out.
const ACK_WAIT: Duration = Duration::from_secs(10);
/// The shortest that can be kept up with.
const LEAST_ACK_WAIT: Duration = Duration::from_secs(3);
/// How long the server keeps a pull that it has nothing for.
const EXPIRES: Duration = Duration::from_secs(60);
/// How often it says meanwhile that it still does.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// When it has not said so for this long, it has forgotten.
const SILENCE: Duration = Duration::from_secs(3 * HEARTBEAT.as_secs());
/// So long after what cannot be, it is tried again.
const AGAIN: Duration = Duration::from_secs(1);
/// Copies are taken so long before they are due, and held: the server gives them out up to 100 ms later than it was told.
const EARLY: Duration = Duration::from_millis(300);
/// So many are asked for at most that have not come: whoever ends waits for them.
const MOST_COMING: usize = 64;
/// So long at most for what was asked for before the end to come. Where messages flow, they all do.
const COMING: Duration = Duration::from_millis(250);
/// So long at most for what was sent before the end to arrive.
const REST: Duration = Duration::from_secs(1);

/// What pulls from one stream.
pub(super) struct Puller {
    pub link: Arc<Link>,
    pub unsettled: Arc<Unsettled>,
    pub stream: String,
    pub consumer: String,
    /// What to get of the stream. Default: all.
    pub subject: Option<String>,
    /// Stream and subject where what cannot be read is moved.
    pub dead_letters: Option<(String, String)>,
    pub room: Arc<Room>,
    pub out: mpsc::UnboundedSender<Taken>,
    pub trouble: Arc<Trouble>,
    /// What waits for the last moment before it is due.
    pub held: JoinSet<()>,
    /// Set when no more is to be pulled.
    pub ending: watch::Receiver<bool>,
}

/// Why no messages can come now.
#[derive(Default)]
pub(super) struct Trouble(Mutex<Option<String>>);

impl Trouble {
    pub fn new(why: &str) -> Arc<Self> {
        let trouble = Trouble::default();
        trouble.set(Some(why.to_owned()));
        Arc::new(trouble)
    }

    pub fn get(&self) -> Option<String> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub fn set(&self, why: Option<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = why;
    }
}

impl Puller {
    /// Attaches, and again whenever that was lost, until it is to end.
    pub async fn run(mut self) {
        let mut was_lost = false;
        while !*self.ending.borrow() {
            let mut ending = self.ending.clone();
            let session = tokio::select! {
                session = self.link.wait_for_session() => session,
                _ending = ending.wait_for(|ending| *ending) => return,
            };
            let attach = async {
                // What cannot be read ends the connection.
                if was_lost {
                    self.remove_unreadable(&session).await?;
                }
                self.attach(&session).await
            };
            let attached = tokio::select! {
                attached = attach => attached,
                _ending = ending.wait_for(|ending| *ending) => return,
            };
            let why = match attached {
                Ok(progress) => {
                    self.trouble.set(None);
                    let why = self.pull(&session, progress).await;
                    was_lost = session.is_lost();
                    why
                }
                Err(why) => why,
            };
            self.trouble.set(Some(why));
            tokio::select! {
                () = tokio::time::sleep(AGAIN) => {}
                _ending = ending.wait_for(|ending| *ending) => return,
            }
        }
    }

    async fn remove_unreadable(&self, session: &Session) -> Result<(), String> {
        let given = Given {
            stream: &self.stream,
            consumer: &self.consumer,
            subject: self.subject.as_deref(),
            dead_letters: self.dead_letters.clone(),
        };
        unreadable::remove(session, &given).await
    }

    /// Creates the consumer where there is none, and looks at how it is. How often it has to be told of what is in
    /// progress.
    ///
    /// # Errors
    /// Why nothing can be pulled, in a sentence.
    async fn attach(&self, session: &Session) -> Result<Duration, String> {
        let (stream, consumer) = (&self.stream, &self.consumer);
        let at = format!("consumers.{stream}.{consumer}");
        let what = format!("stream `{stream}`");
        let info = format!("CONSUMER.INFO.{stream}.{consumer}");
        let found = match api::ask(session, &info, &Value::Null).await {
            Err(Failure::Missing) => {
                let create = format!("CONSUMER.DURABLE.CREATE.{stream}.{consumer}");
                api::ask(session, &create, &self.creation()).await
            }
            found => found,
        };
        let found = found.map_err(|failure| failure.sentence(&what))?;
        let found = &found["config"];
        let ack_wait = found["ack_wait"].as_u64().unwrap_or_default();
        let ack_wait = Duration::from_nanos(ack_wait);
        let mut difference = difference(&self.wanted(), found);
        if difference.is_none() && ack_wait < LEAST_ACK_WAIT {
            difference = Some("`ack_wait` is shorter than 3 s there".to_owned());
        }
        self.link.note(&at, difference.clone());
        match difference {
            None => Ok(ack_wait / 3),
            Some(why) => Err(format!("the consumer `{consumer}` is otherwise: {why}")),
        }
    }

    /// What a consumer must be, whoever has made it: one that hides messages, or is pushed to, is none for us.
    fn wanted(&self) -> Value {
        json!({
            "ack_policy": "explicit",
            "max_deliver": -1,
            "backoff": null,
            "deliver_subject": null,
            "filter_subjects": null,
            "filter_subject": self.subject,
        })
    }

    fn creation(&self) -> Value {
        let mut config = json!({
            "durable_name": self.consumer,
            "deliver_policy": "all",
            "replay_policy": "instant",
            "ack_policy": "explicit",
            "ack_wait": ACK_WAIT.as_nanos() as u64,
            "max_deliver": -1,
            // It is for all who share the consumer: each pulls no more than it has room for.
            "max_ack_pending": -1,
        });
        if let Some(subject) = &self.subject {
            config["filter_subject"] = json!(subject);
        }
        json!({ "stream_name": self.stream, "config": config })
    }

    /// Pulls until the connection or the consumer is gone, or it is to end, and says why.
    async fn pull(&mut self, session: &Session, progress: Duration) -> String {
        let lost = || "the connection was lost".to_owned();
        let Some((inbox, mut arriving)) = session.inbox().await else {
            return lost();
        };
        // Which pull was the last, and how many messages are still to come of all.
        let (mut number, mut coming) = (0_u64, 0);
        let mut silence = Deadline::new();
        let mut ending = self.ending.clone();
        // Made once: each message that comes has all of this looked at.
        let mut is_lost = pin!(session.lost());
        let mut is_to_end = pin!(ending.wait_for(|ending| *ending));
        loop {
            let free = self.room.free().min(MOST_COMING);
            if self.is_worth_pulling(free, coming) {
                let batch = free - coming;
                number += 1;
                let reply = format!("{inbox}.{number}");
                if self.ask(session, &reply, batch).await.is_none() {
                    return lost();
                }
                coming = free;
                silence.set(Instant::now() + SILENCE);
            }
            let received = tokio::select! {
                biased;
                () = &mut is_lost => return lost(),
                _ending = &mut is_to_end => break,
                received = arriving.next() => received,
                () = self.room.freed() => continue,
                () = silence.passed(), if coming > 0 => {
                    // The server has forgotten what was pulled.
                    coming = 0;
                    continue;
                }
            };
            let Some(received) = received else {
                return lost();
            };
            silence.set(Instant::now() + SILENCE);
            match self.hear(session, received, &inbox, progress).await {
                Heard::Message => coming = coming.saturating_sub(1),
                Heard::NotYet => {}
                Heard::Over { rest, is_early } => {
                    coming = coming.saturating_sub(rest);
                    if is_early {
                        tokio::time::sleep(AGAIN / 4).await;
                    }
                }
                Heard::Gone(why) => return why,
            }
        }
        self.take_coming(session, &mut arriving, &inbox, progress, coming)
            .await;
        self.take_rest(session, arriving, &inbox, progress).await;
        "it was closed".to_owned()
    }

    /// A pull for each place that becomes free would cost as much as the messages, and one at a time would wait for its
    /// last message before the next.
    fn is_worth_pulling(&self, free: usize, coming: usize) -> bool {
        free > coming
            && (coming == 0 || free - coming >= self.room.most().min(MOST_COMING).div_ceil(4))
    }

    async fn ask(&self, session: &Session, reply: &str, batch: usize) -> Option<()> {
        let subject = format!(
            "$JS.API.CONSUMER.MSG.NEXT.{}.{}",
            self.stream, self.consumer
        );
        let (expires, heartbeat) = (EXPIRES.as_nanos(), HEARTBEAT.as_nanos());
        let pull =
            format!(r#"{{"batch":{batch},"expires":{expires},"idle_heartbeat":{heartbeat}}}"#);
        let sent = session.send(subject.into(), Some(reply.into()), None, pull.into());
        sent.await.ok()
    }

    /// Hands on what has arrived, or lets the server keep it until it is due.
    async fn take(&mut self, session: &Session, received: Message, progress: Duration) {
        let taken = Taken::new(
            received,
            &self.stream,
            &self.unsettled,
            progress,
            &self.room,
        );
        let Some(mut taken) = taken else {
            return;
        };
        let wait = taken.wait();
        let out = self.out.clone();
        match wait {
            Some(wait) if wait > 2 * EARLY => {
                taken.hold.end();
                let later = format!("-NAK {{\"delay\":{}}}", (wait - EARLY).as_nanos());
                let ack = taken.hold.ack.clone();
                // Unsent, it comes again as what the server hears nothing of.
                let _sent = session.send(ack, None, None, later.into()).await;
            }
            Some(wait) => {
                while self.held.try_join_next().is_some() {}
                self.held.spawn(async move {
                    tokio::time::sleep(wait).await;
                    let _closed = out.send(taken);
                });
            }
            None => {
                // Whoever closed it does not listen: dropped, the message goes back.
                let _closed = out.send(taken);
            }
        }
    }

    /// Whoever stops to listen while the server gives out loses what it has in hand: it looks first whether somebody
    /// listens, and sends later. Those messages would come again only after [`ACK_WAIT`].
    async fn take_coming(
        &mut self,
        session: &Session,
        arriving: &mut Subscriber,
        inbox: &str,
        progress: Duration,
        mut coming: usize,
    ) {
        let end = Instant::now() + COMING;
        while coming > 0 {
            let Ok(Some(received)) = tokio::time::timeout_at(end, arriving.next()).await else {
                return;
            };
            coming -= match self.hear(session, received, inbox, progress).await {
                Heard::Message => 1,
                Heard::NotYet => 0,
                Heard::Over { rest, .. } => rest.min(coming),
                Heard::Gone(_) => return,
            };
        }
    }

    /// What was on its way when it ended goes back.
    async fn take_rest(
        &mut self,
        session: &Session,
        mut arriving: Subscriber,
        inbox: &str,
        progress: Duration,
    ) {
        let rest = async {
            if arriving.drain().await.is_ok() {
                while let Some(received) = arriving.next().await {
                    self.hear(session, received, inbox, progress).await;
                }
            }
        };
        let _late = tokio::time::timeout(REST, rest).await;
    }

    /// Hands on a message that has arrived.
    async fn hear(
        &mut self,
        session: &Session,
        received: Message,
        inbox: &str,
        progress: Duration,
    ) -> Heard {
        match Heard::of(&received, inbox) {
            Some(said) => said,
            None => {
                self.take(session, received, progress).await;
                Heard::Message
            }
        }
    }
}
