//! Rows that the broker has, and of which the table does not say so, as the database failed in between. Whoever knows of them
//! does not publish them again: only another process does, or this one when it has been started anew.

use std::collections::HashSet;

use super::row::Row;

/// So many are remembered. Behind more, they are published again: nothing is lost by that.
const MOST: usize = 10_000;

#[derive(Default)]
pub(super) struct Unsettled(HashSet<String>);

impl Unsettled {
    /// Rows of which is not known whether the table says that they are published.
    pub fn remember(&mut self, ids: impl Iterator<Item = String>) {
        if self.0.len() >= MOST {
            self.0.clear();
        }
        self.0.extend(ids);
    }

    /// The rows that are remembered, and the others, both in their order.
    pub fn split(&self, rows: Vec<Row>) -> (Vec<Row>, Vec<Row>) {
        if self.0.is_empty() {
            return (Vec::new(), rows);
        }
        rows.into_iter().partition(|row| self.0.contains(&row.id))
    }

    /// The table says it now.
    pub fn forget(&mut self, row: &Row) {
        self.0.remove(&row.id);
    }

    /// Those that are not among all the rows that there are were settled after all. What somebody else has locked, or is held
    /// back, is not among them either.
    pub fn keep(&mut self, taken: &[Row], is_held: impl Fn(&str) -> bool) {
        if !self.0.is_empty() {
            let there: HashSet<&str> = taken.iter().map(|row| &*row.id).collect();
            self.0.retain(|id| there.contains(&**id) || is_held(id));
        }
    }
}
