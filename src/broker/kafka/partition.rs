//! What was taken of a partition, and up to where it can be committed.
//!
//! Kafka does not say whether a record was given out before. So the group is told, in the note that it keeps beside a
//! committed offset, up to where we may give out records, before we do. Whoever has the partition next knows by that which
//! of the records that are not settled may have been seen.

use std::collections::BTreeMap;

/// How the note begins that stands beside a committed offset.
const NOTE: &str = "outrigger:";

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
    /// Those before may have been given out before this term.
    seen: i64,
    /// The group knows that those before may be given out.
    told: i64,
    /// Those before were given out, or stand before one that was.
    given: i64,
    /// Where reading goes on. None until it is known where the group has us begin.
    next: Option<i64>,
}

/// What the group is to know of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    /// Those before are settled.
    pub settled: i64,
    /// Those before may be given out.
    pub given: i64,
}

impl Mark {
    /// What is noted beside the offset.
    pub fn note(self) -> String {
        format!("{NOTE}{}", self.given)
    }
}

/// Up to where records may have been given out, by the note beside a committed offset. None where it is not ours.
pub(super) fn given_by_note(note: &str) -> Option<i64> {
    note.strip_prefix(NOTE)?.parse().ok()
}

impl Partition {
    /// `seen` is up to where records may have been given out before.
    pub fn new(term: u64, seen: i64) -> Self {
        Partition {
            term,
            taken: BTreeMap::new(),
            settled: None,
            committed: None,
            seen,
            told: 0,
            given: 0,
            next: None,
        }
    }

    /// The group has us begin here.
    pub fn start(&mut self, offset: i64) {
        self.next = self.next.or(Some(offset));
    }

    /// Where reading goes on, once that is known.
    pub fn next(&self) -> Option<i64> {
        self.next
    }

    /// Whether a record may have been given out before this term.
    pub fn was_seen(&self, offset: i64) -> bool {
        offset < self.seen
    }

    /// Whether the group knows that this record may be given out.
    pub fn may_give(&self, offset: i64) -> bool {
        offset < self.told
    }

    pub fn give(&mut self, offset: i64) {
        self.given = self.given.max(offset + 1);
    }

    /// A record was taken. Whether it is a new one.
    pub fn take(&mut self, offset: i64) -> bool {
        if self.taken.contains_key(&offset) || self.settled.is_some_and(|settled| offset < settled)
        {
            return false;
        }
        if self.settled.is_none() {
            // Nothing that is kept stands before it.
            self.settled = Some(offset);
            self.committed = Some(offset);
        }
        self.taken.insert(offset, false);
        self.next = self.next.max(Some(offset + 1));
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

    /// What the group is to be told, where it does not know it: also that `ahead` more records may be given out, so that not
    /// each has to wait.
    pub fn to_commit(&self, ahead: i64) -> Option<Mark> {
        let settled = self.settled?;
        let (last, _) = self.taken.last_key_value().unzip();
        let waits = last.is_some_and(|last| !self.may_give(*last));
        let end = last.map_or(settled, |last| last + 1);
        (self.is_behind(settled) || waits).then_some(Mark {
            settled,
            given: end + ahead,
        })
    }

    /// What the group is to be told when nothing more is given out.
    pub fn last_to_commit(&self) -> Option<Mark> {
        let settled = self.settled?;
        let given = self.given.max(self.seen).max(settled);
        let knows = !self.is_behind(settled) && (self.told == 0 || self.told == given);
        (!knows).then_some(Mark { settled, given })
    }

    fn is_behind(&self, settled: i64) -> bool {
        self.committed.is_none_or(|committed| settled > committed)
    }

    pub fn committed(&mut self, mark: Mark) {
        self.committed = self.committed.max(Some(mark.settled));
        self.told = mark.given;
    }

    /// How many records were taken from the first unsettled one on.
    pub fn span(&self) -> usize {
        self.taken.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AHEAD: i64 = 10;

    fn mark(settled: i64, given: i64) -> Option<Mark> {
        Some(Mark { settled, given })
    }

    fn has_been_told(partition: &mut Partition) {
        let mark = partition.to_commit(AHEAD).unwrap();
        partition.committed(mark);
    }

    #[test]
    fn nothing_is_committed_past_what_is_not_settled() {
        let mut partition = Partition::new(1, 0);
        for offset in [5, 6, 9] {
            assert!(partition.take(offset));
        }
        has_been_told(&mut partition);
        partition.settle(9);
        partition.settle(6);
        assert_eq!((partition.to_commit(AHEAD), partition.span()), (None, 3));
        partition.settle(5);
        assert_eq!(
            (partition.to_commit(AHEAD), partition.span()),
            (mark(10, 20), 0)
        );
        assert!(partition.is_settled_to(9) && !partition.is_settled_to(10));
        has_been_told(&mut partition);
        assert_eq!(partition.to_commit(AHEAD), None);
    }

    #[test]
    fn a_record_that_comes_again_is_taken_once() {
        let mut partition = Partition::new(1, 0);
        assert!(partition.take(5) && !partition.take(5));
        partition.settle(5);
        assert!(!partition.take(5) && partition.take(6));
    }

    #[test]
    fn reading_goes_on_behind_what_was_taken() {
        let mut partition = Partition::new(1, 0);
        assert_eq!(partition.next(), None);
        partition.start(5);
        assert_eq!(partition.next(), Some(5));
        // Those between are not kept any more.
        assert!(partition.take(8) && !partition.take(8));
        partition.settle(8);
        partition.start(5);
        assert_eq!(partition.next(), Some(9));
    }

    #[test]
    fn nothing_is_given_out_before_the_group_knows() {
        let mut partition = Partition::new(1, 0);
        assert!(partition.take(5) && !partition.may_give(5));
        assert_eq!(partition.to_commit(AHEAD), mark(5, 16));
        has_been_told(&mut partition);
        // Some more, without asking for each.
        for offset in 6..16 {
            partition.take(offset);
            assert!(partition.may_give(offset));
        }
        assert_eq!(partition.to_commit(AHEAD), None);
        assert!(partition.take(16) && !partition.may_give(16));
        assert_eq!(partition.to_commit(AHEAD), mark(5, 27));
        // At the end, it knows what was given out and no more.
        partition.give(7);
        assert_eq!(partition.last_to_commit(), mark(5, 8));
        partition.committed(mark(5, 8).unwrap());
        assert_eq!(partition.last_to_commit(), None);
    }

    #[test]
    fn what_may_have_been_given_out_before_is_known_by_the_note() {
        let note = mark(5, 8).unwrap().note();
        let seen = given_by_note(&note).unwrap();
        let partition = Partition::new(2, seen);
        assert!(partition.was_seen(7) && !partition.was_seen(8));
        assert_eq!(given_by_note("of somebody else"), None);
        assert_eq!(given_by_note(""), None);
    }
}
