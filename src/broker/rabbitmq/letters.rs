//! Looking at dead letters, putting them back and deleting them.
//!
//! They are taken one by one and given back by the end of the channel, which keeps their order. In a quorum queue that
//! costs a life each time, as [`settle`](super::settle) says; a letter that was looked at often is put at the end anew.

use bytes::Bytes;
use lapin::message::Delivery as Taken;
use lapin::options::{BasicAckOptions, BasicGetOptions};
use lapin::{BasicProperties, Channel};
use tokio::sync::SemaphorePermit;
use tokio::time::timeout;

use super::super::{DeadLetter, Refusal};
use super::failure::{ANSWER, answer};
use super::headers::{self, ATTEMPT, KEY, REASON, SINCE};
use super::names::{letters, short};
use super::properties;
use super::ready;
use super::shared::Shared;

/// From so many looks on a letter is put anew rather than handed back.
const MANY_LOOKS: u64 = 5;
/// No more is taken to be looked at when their bodies have so many bytes.
const MOST_BYTES: usize = 16 << 20;

/// The first `limit`, which stay; fewer when they are large.
pub(super) async fn look(
    shared: &Shared,
    queue: &str,
    limit: usize,
) -> Result<Vec<DeadLetter>, String> {
    let mut letters = Letters::of(shared, queue, limit).await?;
    let before = ready::count(&letters.channel, &letters.queue).await?;
    let mut taken: Vec<Taken> = Vec::new();
    let mut bytes = 0;
    while bytes < MOST_BYTES
        && let Some(letter) = letters.take(false).await?
    {
        bytes += letter.data.len();
        taken.push(letter);
    }
    let mut found = Vec::new();
    for letter in taken {
        let looks = headers::get(letter.properties.headers().as_ref(), "x-delivery-count");
        let is_worn = looks.and_then(|looks| looks.parse().ok()).unwrap_or(0) >= MANY_LOOKS;
        if is_worn {
            // While the broker takes none, it is handed back once more.
            let _blocked = anew(shared, &letters.queue, &letter).await;
        }
        found.push(dead_letter(letter));
    }
    letters.close().await?;
    ready::until(&open(shared).await?, &letters.queue, before).await;
    Ok(found)
}

/// Puts the first `limit` back to where they were to be delivered from.
pub(super) async fn replay(shared: &Shared, queue: &str, limit: usize) -> Result<usize, String> {
    let mut letters = Letters::of(shared, queue, limit).await?;
    let mut done = 0;
    let replaying = async {
        while let Some(letter) = letters.take(false).await? {
            let copy = as_new(&letter);
            let message = properties::read(&copy, Bytes::from(letter.data));
            shared.given.forget(queue, &message);
            put(shared, queue, &copy, &message.body).await?;
            answer(letter.acker.ack(BasicAckOptions::default())).await?;
            done += 1;
        }
        letters.close().await
    };
    let ended = replaying.await;
    ended.map_err(|why| format!("{done} were put back, and then: {why}"))?;
    Ok(done)
}

/// Deletes the first `limit`.
pub(super) async fn discard(shared: &Shared, queue: &str, limit: usize) -> Result<usize, String> {
    let mut letters = Letters::of(shared, queue, limit).await?;
    let mut done = 0;
    loop {
        match letters.take(true).await {
            Ok(Some(_)) => done += 1,
            Ok(None) => return Ok(done),
            Err(why) => return Err(format!("{done} were deleted, and then: {why}")),
        }
    }
}

/// The first dead letters of a queue, as many as are wanted and there at the beginning: what comes meanwhile, as what is
/// replayed and fails again, is not among them.
struct Letters<'a> {
    channel: Channel,
    queue: String,
    left: usize,
    _alone: SemaphorePermit<'a>,
}

impl<'a> Letters<'a> {
    async fn of(shared: &'a Shared, queue: &str, limit: usize) -> Result<Self, String> {
        if !shared.keeps_dead_letters(queue) {
            return Err(format!("no dead letters of `{queue}` are kept"));
        }
        let alone = timeout(ANSWER, shared.letters.acquire()).await;
        let alone = alone.ok().and_then(Result::ok);
        Ok(Letters {
            channel: open(shared).await?,
            queue: letters(queue),
            left: limit,
            _alone: alone.ok_or_else(|| "somebody else looks at dead letters".to_owned())?,
        })
    }

    async fn take(&mut self, no_ack: bool) -> Result<Option<Taken>, String> {
        if self.left == 0 {
            return Ok(None);
        }
        let options = BasicGetOptions { no_ack };
        let got = answer(self.channel.basic_get(short(&self.queue)?, options)).await?;
        Ok(got.map(|got| {
            let others = usize::try_from(got.message_count).unwrap_or(usize::MAX);
            self.left = (self.left - 1).min(others);
            got.delivery
        }))
    }

    /// Gives back what is still taken.
    async fn close(&self) -> Result<(), String> {
        answer(self.channel.close(200, "done".into())).await
    }
}

/// How many messages are ready in a queue.
pub(super) async fn waiting(shared: &Shared, queue: &str) -> Option<u64> {
    let channel = open(shared).await.ok()?;
    ready::count(&channel, queue).await.ok()
}

async fn open(shared: &Shared) -> Result<Channel, String> {
    let link = shared.link()?;
    answer(link.other.connection.create_channel()).await
}

async fn put(
    shared: &Shared,
    queue: &str,
    properties: &BasicProperties,
    body: &Bytes,
) -> Result<(), String> {
    let late = || Err(Refusal::Unknown("the broker did not confirm".to_owned()));
    let put = timeout(ANSWER, shared.publish("", queue, properties, body)).await;
    put.unwrap_or_else(|_| late())
        .map_err(|refusal| refusal.why().to_owned())
}

/// Puts a letter at the end of its queue, as it is.
async fn anew(shared: &Shared, letters: &str, letter: &Taken) -> Result<(), String> {
    let table = letter.properties.headers().as_ref();
    let kept = [ATTEMPT, REASON, SINCE].into_iter();
    let kept: Vec<_> = kept
        .filter_map(|name| Some((name, headers::get(table, name)?)))
        .collect();
    let copy = properties::copied(&letter.properties, &kept);
    let body = Bytes::copy_from_slice(&letter.data);
    put(shared, letters, &copy, &body).await?;
    answer(letter.acker.ack(BasicAckOptions::default()))
        .await
        .map(drop)
}

/// As it was before it failed: the broker believes what a message says of where it was dead-lettered before.
fn as_new(letter: &Taken) -> BasicProperties {
    let table = letter.properties.headers().as_ref();
    let key = headers::get(table, KEY).unwrap_or_else(|| letter.routing_key.to_string());
    properties::copied(&letter.properties, &[(KEY, key)])
}

fn dead_letter(letter: Taken) -> DeadLetter {
    let table = letter.properties.headers().as_ref();
    let get = |name| headers::get(table, name);
    // The broker's own words, where it was the broker that gave the message up.
    let reason = get(REASON).or_else(|| get("x-first-death-reason"));
    let attempts = get(ATTEMPT).and_then(|attempts| attempts.parse().ok());
    let since = get(SINCE).and_then(|since| humantime::parse_rfc3339(&since).ok());
    DeadLetter {
        reason: reason.unwrap_or_else(|| "unknown".to_owned()),
        attempts: attempts.unwrap_or(0),
        since,
        message: properties::read(&letter.properties, Bytes::from(letter.data)),
    }
}
