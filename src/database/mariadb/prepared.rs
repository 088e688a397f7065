//! The statements that a connection has prepared.

use std::sync::Arc;

use crate::database::server::Kept;
use crate::database::{Kind, scan};

/// The most that one connection keeps: a server has room for some 16,000 of all its connections.
const MOST: usize = 128;

/// Statements by their key.
pub(super) type Prepared = Kept<Ready>;

/// A statement that can be executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ready {
    /// By which the server knows it.
    pub id: u32,
    /// Which of the parameters, from 0, stands at each placeholder.
    pub order: Arc<[usize]>,
}

/// None yet.
pub(super) fn none() -> Prepared {
    Kept::new(MOST)
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
    fn a_parameter_may_stand_in_several_places() {
        let (text, order) = rewritten("select '$1', $2, $1, `$3` from t where a = $2 -- $4");
        assert_eq!(text, "select '$1', ?, ?, `$3` from t where a = ? -- $4");
        assert_eq!(*order, [1, 0, 1]);
        let (text, order) = rewritten("select ?, ?");
        assert_eq!((text.as_str(), &*order), ("select ?, ?", &[0, 1][..]));
    }
}
