//! What was taken of a partition, and up to where it can be committed.

use std::collections::BTreeMap;

/// What was taken of one partition, from when the group gave it to us until it takes it away.
#[derive(Debug)]
pub(super) struct Partition {
    /// Tells it from the same partition, given to us at another time.
    pub term: u64,
    /// The offsets that were taken from the first unsettled one on, and whether each is settled.
    taken: BTreeMap<i64, bool>,
    /// Everything before is settled. None until something was taken.
    settled: Option<i64>,
    /// Up to where the group knows it.
    committed: Option<i64>,
}

impl Partition {
    pub fn new(term: u64) -> Self {
        Partition {
            term,
            taken: BTreeMap::new(),
            settled: None,
            committed: None,
        }
    }

    /// A record was taken. Whether it is a new one.
    pub fn take(&mut self, offset: i64) -> bool {
        if self.taken.contains_key(&offset) || self.settled.is_some_and(|settled| offset < settled)
        {
            return false;
        }
        if self.settled.is_none() {
            // The group has us begin here.
            self.settled = Some(offset);
            self.committed = Some(offset);
        }
        self.taken.insert(offset, false);
        true
    }

    /// A record is settled.
    pub fn settle(&mut self, offset: i64) {
        if let Some(settled) = self.taken.get_mut(&offset) {
            *settled = true;
        }
        while let Some(first) = self.taken.first_entry().filter(|first| *first.get()) {
            self.settled = Some(*first.key() + 1);
            first.remove();
        }
    }

    /// Whether everything up to and with this record is settled.
    pub fn is_settled_to(&self, offset: i64) -> bool {
        self.settled.is_some_and(|settled| settled > offset)
    }

    /// What is to be committed, when the group does not know it yet.
    pub fn to_commit(&self) -> Option<i64> {
        let offset = self.settled?;
        self.committed
            .is_none_or(|committed| offset > committed)
            .then_some(offset)
    }

    pub fn committed(&mut self, offset: i64) {
        self.committed = self.committed.max(Some(offset));
    }

    /// How many records were taken from the first unsettled one on.
    pub fn span(&self) -> usize {
        self.taken.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_committed_past_what_is_not_settled() {
        let mut partition = Partition::new(1);
        for offset in [5, 6, 9] {
            assert!(partition.take(offset));
        }
        assert_eq!(partition.to_commit(), None);
        partition.settle(9);
        partition.settle(6);
        assert_eq!((partition.to_commit(), partition.span()), (None, 3));
        partition.settle(5);
        assert_eq!((partition.to_commit(), partition.span()), (Some(10), 0));
        assert!(partition.is_settled_to(9) && !partition.is_settled_to(10));
        partition.committed(10);
        assert_eq!(partition.to_commit(), None);
    }

    #[test]
    fn a_record_that_comes_again_is_taken_once() {
        let mut partition = Partition::new(1);
        assert!(partition.take(5) && !partition.take(5));
        partition.settle(5);
        assert!(!partition.take(5) && partition.take(6));
    }
}
