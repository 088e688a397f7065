use std::future::poll_fn;

use futures_util::FutureExt;
use tokio::sync::oneshot;

use super::*;

/// A book with messages under way, and lapin's part of it.
#[derive(Default)]
struct Channel {
    book: Book,
    confirms: Vec<Option<oneshot::Sender<Confirm>>>,
}

impl Channel {
    fn with(count: u64) -> Channel {
        let mut channel = Channel::default();
        for number in 0..count {
            channel.publish(number);
        }
        channel
    }

    fn publish(&mut self, number: u64) {
        let (tell, told) = oneshot::channel();
        let confirm = told.map(|told| told.unwrap_or_else(|_| ended()));
        assert_eq!(self.book.add(parcel(number), confirm.boxed()), number);
        self.confirms.push(Some(tell));
    }

    fn confirm(&mut self, number: usize, brought: Option<u64>) {
        let confirm = Confirm {
            said: Said::Stored,
            brought: brought.map(parcel),
        };
        let tell = self.confirms[number].take().unwrap();
        assert!(tell.send(confirm).is_ok());
    }

    /// What `number` is told now: None while it waits, and Some(None) while it is in doubt.
    fn look(&mut self, number: u64) -> Option<Option<Said>> {
        poll_fn(|cx| self.book.look(number, cx)).now_or_never()
    }

    fn told(&mut self, number: u64) -> Said {
        self.look(number).flatten().expect("it is certain")
    }
}

fn parcel(number: u64) -> Parcel {
    Parcel {
        exchange: "".into(),
        routing_key: "q".into(),
        properties: BasicProperties::default().with_message_id(number.to_string().into()),
        body: Bytes::new(),
    }
}

fn ended() -> Confirm {
    Confirm {
        said: Said::Ended("gone".to_owned()),
        brought: None,
    }
}

const IN_DOUBT: Option<Option<Said>> = Some(None);

#[test]
fn what_a_confirm_brings_is_told_to_whom_it_belongs() {
    let mut channel = Channel::with(2);
    assert_eq!(channel.look(0), None);
    channel.confirm(1, Some(0));
    channel.confirm(0, None);
    // Whoever asks first.
    assert_eq!(channel.told(0), Said::Returned);
    assert_eq!(channel.told(1), Said::Stored);
    assert!(channel.book.entries.is_empty());
}

#[test]
fn who_brought_a_stranger_is_in_doubt_until_a_later_one_brings_none() {
    let mut channel = Channel::with(4);
    channel.confirm(0, Some(1));
    assert_eq!(channel.look(0), IN_DOUBT);
    channel.confirm(1, Some(2));
    assert_eq!(channel.told(1), Said::Returned);
    assert_eq!(channel.look(0), IN_DOUBT);
    channel.confirm(2, None);
    assert_eq!(channel.told(2), Said::Returned);
    assert_eq!(channel.told(0), Said::Stored);
    assert_eq!(channel.look(3), None);
}

#[test]
fn what_is_in_doubt_may_have_been_returned() {
    let mut channel = Channel::with(3);
    channel.confirm(0, Some(1));
    assert_eq!(channel.look(0), IN_DOUBT);
    channel.confirm(1, Some(0));
    assert_eq!(channel.told(1), Said::Returned);
    assert_eq!(channel.told(0), Said::Returned);
}

/// Which of two that are found together was first is not known.
#[test]
fn one_that_brought_none_tells_nothing_of_those_found_with_it() {
    let mut channel = Channel::with(3);
    channel.confirm(0, Some(1));
    channel.confirm(2, None);
    assert_eq!(channel.look(0), IN_DOUBT);
    assert_eq!(channel.told(2), Said::Stored);
    channel.confirm(1, None);
    assert_eq!(channel.told(0), Said::Stored);
    assert_eq!(channel.told(1), Said::Returned);
}

#[test]
fn the_last_one_is_in_no_doubt() {
    let mut channel = Channel::with(2);
    channel.confirm(0, Some(1));
    channel.confirm(1, Some(0));
    assert_eq!(channel.told(0), Said::Returned);
    let mut channel = Channel::with(1);
    channel.confirm(0, Some(0));
    assert_eq!(channel.told(0), Said::Returned);
}

#[test]
fn what_is_in_doubt_when_the_channel_ends_is_not_known() {
    let mut channel = Channel::with(3);
    channel.confirm(0, Some(1));
    assert_eq!(channel.look(0), IN_DOUBT);
    channel.confirms.clear();
    assert_eq!(channel.told(0), ended().said);
    // That one is known to have been returned.
    assert_eq!(channel.told(1), Said::Returned);
    assert_eq!(channel.told(2), ended().said);
}

#[test]
fn what_nobody_waits_for_still_brings_what_it_has() {
    let mut channel = Channel::with(2);
    assert!(channel.book.leave(0));
    channel.confirm(0, Some(1));
    channel.confirm(1, None);
    assert_eq!(channel.told(1), Said::Returned);
    assert!(!channel.book.leave(0));
    assert!(!channel.book.leave(1));
}

/// As lapin does it: what is returned waits in a queue, and whoever is confirmed takes the first one along.
#[test]
fn each_is_told_its_own_fate_in_whatever_order_they_are_confirmed() {
    let mut random = 1_u64;
    let mut below = |most: usize| {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (random >> 33) as usize % most
    };
    for _ in 0..2000 {
        let count = 1 + below(8);
        let is_returned: Vec<bool> = (0..count).map(|_| below(2) == 0).collect();
        let mut channel = Channel::with(count as u64);
        let mut told = vec![None; count];
        let mut unsaid: Vec<usize> = (0..count).filter(|place| is_returned[*place]).collect();
        let mut unconfirmed: Vec<usize> = (0..count).collect();
        let mut waiting = std::collections::VecDeque::new();
        while !unconfirmed.is_empty() {
            for _ in 0..below(3) {
                if !unsaid.is_empty() {
                    waiting.push_back(unsaid.swap_remove(below(unsaid.len())) as u64);
                }
            }
            let may_be: Vec<usize> = unconfirmed
                .iter()
                .copied()
                .filter(|place| !unsaid.contains(place))
                .collect();
            if !may_be.is_empty() {
                let place = may_be[below(may_be.len())];
                unconfirmed.retain(|other| *other != place);
                channel.confirm(place, waiting.pop_front());
            }
            for _ in 0..below(3) {
                let place = below(count);
                if told[place].is_none() {
                    told[place] = channel.look(place as u64).flatten();
                }
            }
        }
        for (place, is_returned) in is_returned.into_iter().enumerate() {
            let said = match told[place].take() {
                Some(said) => said,
                None => channel.told(place as u64),
            };
            let wanted = if is_returned {
                Said::Returned
            } else {
                Said::Stored
            };
            assert_eq!(said, wanted);
        }
    }
}
