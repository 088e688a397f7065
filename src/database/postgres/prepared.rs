//! The statements that a connection has prepared.

use std::sync::Arc;

use super::row::Columns;
use crate::database::server::Kept;

/// The most that one connection keeps: each costs the server some memory.
const MOST: usize = 256;

/// Statements by their key, each with the number in its name.
pub(super) struct Prepared {
    known: Kept<Entry>,
    next: u32,
}

struct Entry {
    number: u32,
    /// None until it was run once; then whether it has rows, and which.
    columns: Option<Option<Arc<Columns>>>,
}

/// What is known of a statement that is to be run.
pub(super) struct Found {
    pub name: String,
    pub is_new: bool,
    pub columns: Option<Option<Arc<Columns>>>,
}

impl Default for Prepared {
    fn default() -> Self {
        Prepared {
            known: Kept::new(MOST),
            next: 0,
        }
    }
}

impl Prepared {
    /// The statement, which is noted as known. The second is the name of one that has to go for it.
    pub fn find(&mut self, key: &Arc<str>) -> (Found, Option<String>) {
        if let Some(entry) = self.known.get(key) {
            let found = Found {
                name: name(entry.number),
                is_new: false,
                columns: entry.columns.clone(),
            };
            return (found, None);
        }
        self.next += 1;
        let entry = Entry {
            number: self.next,
            columns: None,
        };
        let gone = self.known.keep(key, entry);
        let found = Found {
            name: name(self.next),
            is_new: true,
            columns: None,
        };
        (found, gone.map(|entry| name(entry.number)))
    }

    /// Notes the columns of a statement that was run.
    pub fn note(&mut self, key: &Arc<str>, columns: Option<Arc<Columns>>) {
        if let Some(entry) = self.known.get_mut(key) {
            entry.columns = Some(columns);
        }
    }

    /// It was not prepared after all, or does not fit any more. Its name is not used again.
    pub fn forget(&mut self, key: &Arc<str>) {
        self.known.forget(key);
    }

    pub fn clear(&mut self) {
        self.known.clear();
    }
}

fn name(number: u32) -> String {
    format!("o{number}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_goes_when_there_are_too_many() {
        let mut prepared = Prepared::default();
        let key = |number: usize| Arc::<str>::from(format!("select {number}"));
        for number in 0..MOST {
            let (found, gone) = prepared.find(&key(number));
            assert!(found.is_new && gone.is_none());
        }
        let (found, gone) = prepared.find(&key(0));
        assert!(!found.is_new && gone.is_none());
        assert_eq!(prepared.find(&key(MOST)).1, Some("o1".to_owned()));
        prepared.forget(&key(5));
        let (found, gone) = prepared.find(&key(5));
        assert!(found.is_new && gone.is_none() && found.name != "o6");
    }
}
