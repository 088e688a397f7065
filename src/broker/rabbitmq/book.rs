//! What is under way on a channel, and what its confirms mean: see [`lane`](super::lane).

use std::collections::BTreeMap;
use std::mem;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use lapin::BasicProperties;
use lapin::types::ShortString;

/// A message on its way out. Two that are equal are returned or stored alike.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Parcel {
    pub exchange: ShortString,
    pub routing_key: ShortString,
    pub properties: BasicProperties,
    pub body: Bytes,
}

/// What became of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Said {
    Stored,
    /// It leads to no queue.
    Returned,
    /// A queue did not take it.
    Refused,
    /// The channel has ended: whether for this message or another, and whether this one was stored, is not known.
    Ended(String),
}

/// What lapin says of a message, and a message that was returned: this one, or another.
pub(super) struct Confirm {
    pub said: Said,
    pub brought: Option<Parcel>,
}

#[derive(Default)]
pub(super) struct Book {
    entries: BTreeMap<u64, Entry>,
    next: u64,
    /// Why the channel has ended.
    ended: Option<String>,
}

/// A message, from its way out to when somebody was told what became of it.
struct Entry {
    parcel: Parcel,
    state: State,
    is_returned: bool,
    /// Of whoever waits for it.
    waker: Waker,
}

enum State {
    UnderWay(BoxFuture<'static, Confirm>),
    /// It was confirmed, and may have been returned nevertheless.
    Doubtful {
        said: Said,
        brought_none: bool,
        is_new: bool,
    },
    Certain(Said),
}

impl Book {
    pub fn add(&mut self, parcel: Parcel, confirm: BoxFuture<'static, Confirm>) -> u64 {
        let number = self.next;
        self.next += 1;
        let entry = Entry {
            parcel,
            state: State::UnderWay(confirm),
            is_returned: false,
            waker: Waker::noop().clone(),
        };
        self.entries.insert(number, entry);
        number
    }

    /// What became of a message. None while it is confirmed and in doubt: then this is to be asked again before long.
    pub fn look(&mut self, number: u64, cx: &mut Context<'_>) -> Poll<Option<Said>> {
        let Some(entry) = self.entries.get_mut(&number) else {
            return Poll::Pending;
        };
        entry.waker.clone_from(cx.waker());
        if let State::Certain(said) = &mut entry.state {
            let said = mem::replace(said, Said::Stored);
            self.entries.remove(&number);
            return Poll::Ready(Some(said));
        }
        let mut found = Found::default();
        if entry.is_under_way() && !entry.poll(&mut found) {
            return Poll::Pending;
        }
        self.sweep(found);
        match self.entries.get(&number).map(|entry| &entry.state) {
            Some(State::Certain(said)) => {
                let said = said.clone();
                self.entries.remove(&number);
                Poll::Ready(Some(said))
            }
            _ => Poll::Ready(None),
        }
    }

    /// Nobody waits for a message any more. Tells whether it is under way still.
    pub fn leave(&mut self, number: u64) -> bool {
        match self.entries.get_mut(&number) {
            None => false,
            Some(entry) if matches!(entry.state, State::Certain(_)) => {
                self.entries.remove(&number);
                false
            }
            Some(entry) => {
                entry.waker.clone_from(Waker::noop());
                true
            }
        }
    }

    /// Marks the message that has come back as returned. The broker may have been told to add headers to it.
    fn returned(&mut self, back: &Parcel) -> bool {
        let same_id = |parcel: &Parcel| {
            parcel.exchange == back.exchange
                && parcel.routing_key == back.routing_key
                && parcel.properties.message_id() == back.properties.message_id()
        };
        for is_it in [
            &|parcel: &Parcel| parcel == back,
            &same_id as &dyn Fn(&Parcel) -> bool,
        ] {
            let mut entries = self.entries.values_mut();
            let found = entries.find(|entry| !entry.is_returned && is_it(&entry.parcel));
            if let Some(entry) = found {
                entry.is_returned = true;
                return true;
            }
        }
        false
    }

    /// Takes all confirms that are there, and decides what they mean. Some were `found` already.
    fn sweep(&mut self, mut found: Found) {
        // What comes while others are looked at may have come later than one of those. When a whole round finds none, none
        // is missed that came before those that were found.
        let mut count = usize::MAX;
        while mem::replace(&mut count, found.count) != found.count {
            for entry in self.entries.values_mut() {
                entry.poll(&mut found);
            }
        }
        for parcel in &found.brought {
            if !self.returned(parcel) {
                let why = "the broker returned a message that was not sent";
                found.ended = Some(why.to_owned());
            }
        }
        self.ended = self.ended.take().or(found.ended);
        let is_last = !self.entries.values().any(Entry::is_under_way);
        for entry in self.entries.values_mut() {
            entry.decide(found.brought_none, is_last, self.ended.as_ref());
        }
    }
}

/// What a sweep has found.
#[derive(Default)]
struct Found {
    /// How many confirms.
    count: usize,
    brought: Vec<Parcel>,
    /// A confirm brought no message.
    brought_none: bool,
    ended: Option<String>,
}

impl Entry {
    fn is_under_way(&self) -> bool {
        matches!(self.state, State::UnderWay(_))
    }

    /// Takes the confirm, if it is there.
    fn poll(&mut self, found: &mut Found) -> bool {
        let State::UnderWay(confirm) = &mut self.state else {
            return false;
        };
        let mut cx = Context::from_waker(&self.waker);
        let Poll::Ready(Confirm { said, brought }) = confirm.as_mut().poll(&mut cx) else {
            return false;
        };
        found.count += 1;
        let mut brought_none = brought.is_none();
        if let Said::Ended(why) = &said {
            // Nobody has looked for a message that was returned.
            brought_none = false;
            found.ended = Some(why.clone());
        }
        found.brought_none |= brought_none;
        found.brought.extend(brought);
        self.state = State::Doubtful {
            said,
            brought_none,
            is_new: true,
        };
        true
    }

    /// `later_brought_none`: a confirm that was found now did so. `is_last`: no other is under way.
    fn decide(&mut self, later_brought_none: bool, is_last: bool, ended: Option<&String>) {
        let State::Doubtful {
            said,
            brought_none,
            is_new,
        } = &mut self.state
        else {
            return;
        };
        let is_known = *brought_none || (later_brought_none && !*is_new);
        let certain = match ended {
            _ if self.is_returned => Some(Said::Returned),
            _ if is_known => Some(said.clone()),
            Some(why) => Some(Said::Ended(why.clone())),
            None if is_last => Some(said.clone()),
            None => None,
        };
        *is_new = false;
        if let Some(said) = certain {
            self.state = State::Certain(said);
            self.waker.wake_by_ref();
        }
    }
}

#[cfg(test)]
mod tests;
