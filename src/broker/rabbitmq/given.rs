//! What was given out lately: a broker that ends may double a message, and take both for new.
//!
//! RabbitMQ moves what has waited on a step to its queue by publishing it there, and forgets it on the step afterwards. It
//! also takes acknowledgements without an answer, so one may be lost with the broker. After such an end a message comes that
//! was dealt with, and the broker does not say that it came before; here that is known.

use std::collections::HashSet;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::super::Message;

/// So many messages are known at least, and twice as many at most. A table of 32,768 places takes no more; both together
/// take some 600 KiB, once so many were given out.
const MOST: usize = 28_672;
/// How much of a body is looked at: an id may be used again for another message.
const LOOKED_AT: usize = 4096;

/// The messages that were given out lately.
#[derive(Default)]
pub(super) struct Given {
    by: RandomState,
    lately: Mutex<Lately>,
}

#[derive(Default)]
struct Lately {
    young: HashSet<u64>,
    old: HashSet<u64>,
}

impl Given {
    /// Notes that an attempt to deliver a message of `queue` begins, and tells whether that very attempt was noted before.
    /// Of a message without an id nothing is known.
    pub fn again(&self, queue: &str, attempt: u32, message: &Message) -> bool {
        if message.id.is_empty() {
            return false;
        }
        let digest = self.digest(queue, attempt, message);
        let mut lately = self.lately();
        let again = lately.old.contains(&digest) || lately.young.contains(&digest);
        if lately.young.len() >= MOST {
            lately.old = mem::take(&mut lately.young);
        }
        lately.young.insert(digest);
        again
    }

    /// The first attempt to deliver that message is one that nobody has seen.
    pub fn forget(&self, queue: &str, message: &Message) {
        let digest = self.digest(queue, 1, message);
        let mut lately = self.lately();
        lately.young.remove(&digest);
        lately.old.remove(&digest);
    }

    fn digest(&self, queue: &str, attempt: u32, message: &Message) -> u64 {
        let Message {
            id,
            content_type,
            headers,
            body,
        } = message;
        let mut hasher = self.by.build_hasher();
        (queue, attempt, id, content_type, headers).hash(&mut hasher);
        body.len().hash(&mut hasher);
        hasher.write(&body[..body.len().min(LOOKED_AT)]);
        hasher.finish()
    }

    fn lately(&self) -> MutexGuard<'_, Lately> {
        self.lately.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn message(id: &str, body: &'static str) -> Message {
        Message {
            id: id.to_owned(),
            content_type: None,
            headers: Vec::new(),
            body: Bytes::from_static(body.as_bytes()),
        }
    }

    #[test]
    fn the_same_attempt_of_the_same_message_is_known_again() {
        let given = Given::default();
        let one = message("1", "a");
        assert!(!given.again("q", 1, &one));
        assert!(given.again("q", 1, &one));
        assert!(!given.again("q", 2, &one));
        assert!(!given.again("p", 1, &one));
        assert!(!given.again("q", 1, &message("1", "b")));
        assert!(!given.again("q", 1, &message("2", "a")));
        given.forget("q", &one);
        assert!(!given.again("q", 1, &one));
        assert!(given.again("q", 2, &one));
    }

    #[test]
    fn of_a_message_without_an_id_nothing_is_known() {
        let given = Given::default();
        for _ in 0..2 {
            assert!(!given.again("q", 1, &message("", "a")));
        }
    }

    #[test]
    fn so_many_are_known_and_no_more() {
        let given = Given::default();
        let nth = |number: usize| message(&number.to_string(), "");
        for number in 0..=3 * MOST {
            assert!(!given.again("q", 1, &nth(number)));
        }
        assert!(given.again("q", 1, &nth(2 * MOST)));
        assert!(!given.again("q", 1, &nth(0)));
        let lately = given.lately();
        assert!(lately.old.len() <= MOST && lately.young.len() <= MOST);
        assert!(lately.old.capacity() <= MOST);
    }
}
