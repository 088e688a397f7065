//! The statements that a connection has prepared.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::database::{Kind, scan};

/// The most that one connection keeps: a server has room for some 16,000 of all its connections.
const MOST: usize = 128;

/// Statements by their key.
#[derive(Default)]
pub(super) struct Prepared {
    known: HashMap<Arc<str>, Ready>,
    order: VecDeque<Arc<str>>,
}

/// A statement that can be executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ready {
    /// By which the server knows it.
    pub id: u32,
    /// Which of the parameters, from 0, stands at each placeholder.
    pub order: Arc<[usize]>,
}

impl Prepared {
    pub fn find(&self, key: &Arc<str>) -> Option<Ready> {
        self.known.get(key).cloned()
    }

    /// Keeps one. Gives the number of one that has to go for it.
    pub fn keep(&mut self, key: &Arc<str>, ready: Ready) -> Option<u32> {
        let oldest = (self.known.len() >= MOST)
            .then(|| self.order.pop_front())
            .flatten();
        let gone = oldest.and_then(|key| self.known.remove(&key));
        self.known.insert(key.clone(), ready);
        self.order.push_back(key.clone());
        gone.map(|ready| ready.id)
    }

    /// It does not fit any more.
    pub fn forget(&mut self, key: &Arc<str>) {
        self.known.remove(key);
        self.order.retain(|other| other != key);
    }

    pub fn clear(&mut self) {
        self.known.clear();
        self.order.clear();
    }
}

/// The statement with `?` for each placeholder, and which parameter, from 0, stands at each.
pub(super) fn rewritten(text: &str) -> (String, Arc<[usize]>) {
    let found = scan(text, Kind::MySql);
    let mut written = String::with_capacity(text.len());
    let mut from = 0;
    for (place, _) in &found.placeholders {
        written.push_str(&text[from..place.start]);
        written.push('?');
        from = place.end;
    }
    written.push_str(&text[from..]);
    let order = found.placeholders.iter();
    (
        written,
        order.map(|(_, number)| number.saturating_sub(1)).collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_goes_when_there_are_too_many() {
        let mut prepared = Prepared::default();
        let key = |number: u32| Arc::<str>::from(format!("select {number}"));
        let ready = |id| Ready {
            id,
            order: Arc::new([]),
        };
        for number in 0..MOST as u32 {
            assert_eq!(prepared.keep(&key(number), ready(number)), None);
        }
        assert_eq!(prepared.keep(&key(1000), ready(1000)), Some(0));
        assert_eq!(prepared.find(&key(0)), None);
        assert_eq!(prepared.find(&key(1)), Some(ready(1)));
        prepared.forget(&key(5));
        assert_eq!(prepared.keep(&key(5), ready(2000)), None);
    }

    #[test]
    fn a_parameter_may_stand_in_several_places() {
        let (text, order) = rewritten("select '$1', $2, $1, `$3` from t where a = $2 -- $4");
        assert_eq!(text, "select '$1', ?, ?, `$3` from t where a = ? -- $4");
        assert_eq!(*order, [1, 0, 1]);
        let (text, order) = rewritten("select ?, ?");
        assert_eq!((text.as_str(), &*order), ("select ?, ?", &[0, 1][..]));
    }
}
