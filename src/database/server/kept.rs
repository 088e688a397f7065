//! What a connection keeps of statements: of so many, the oldest goes first.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// Something for each of some statements, by their keys.
pub(in crate::database) struct Kept<T> {
    /// At least 1.
    most: usize,
    known: HashMap<Arc<str>, T>,
    /// The oldest first.
    order: VecDeque<Arc<str>>,
}

impl<T> Kept<T> {
    pub fn new(most: usize) -> Self {
        Kept {
            most,
            known: HashMap::new(),
            order: VecDeque::new(),
        }
    }

    pub fn get(&self, key: &str) -> Option<&T> {
        self.known.get(key)
    }

    #[cfg(feature = "postgres")]
    pub fn get_mut(&mut self, key: &str) -> Option<&mut T> {
        self.known.get_mut(key)
    }

    /// Keeps one that is not there. Gives what has to go for it.
    pub fn keep(&mut self, key: &Arc<str>, what: T) -> Option<T> {
        let oldest = (self.known.len() >= self.most)
            .then(|| self.order.pop_front())
            .flatten();
        let gone = oldest.and_then(|key| self.known.remove(&key));
        self.known.insert(key.clone(), what);
        self.order.push_back(key.clone());
        gone
    }

    pub fn forget(&mut self, key: &str) {
        if self.known.remove(key).is_some() {
            self.order.retain(|other| &**other != key);
        }
    }

    pub fn clear(&mut self) {
        self.known.clear();
        self.order.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_goes_when_there_are_too_many() {
        let mut kept = Kept::new(3);
        let key = |number: u32| Arc::<str>::from(format!("select {number}"));
        for number in 0..3 {
            assert_eq!(kept.keep(&key(number), number), None);
        }
        assert_eq!(kept.keep(&key(3), 3), Some(0));
        assert_eq!((kept.get(&key(0)), kept.get(&key(1))), (None, Some(&1)));
        kept.forget(&key(2));
        kept.forget(&key(2));
        assert_eq!(kept.keep(&key(2), 4), None);
        assert_eq!(kept.keep(&key(5), 5), Some(1));
        kept.clear();
        assert_eq!(kept.get(&key(5)), None);
        assert_eq!(kept.keep(&key(5), 6), None);
    }
}
