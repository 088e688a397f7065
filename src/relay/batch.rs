//! Publishing rows that were taken together: each key's one after the other, and keys beside each other.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::{StreamExt, stream};
use tokio::time::{Instant, timeout_at};

use super::message::Messages;
use super::metrics::Metrics;
use super::row::Row;
use super::span;
use crate::broker::{self, Client, Confirmed, Refusal};
use crate::trace::Current;

/// How many messages are under way at once: a broker answers no sooner when there are more.
const AT_ONCE: usize = 256;

/// How rows are published.
pub(super) struct Publisher {
    pub client: Arc<dyn Client>,
    pub messages: Messages,
    pub confirm_timeout: Duration,
    pub metrics: Metrics,
    pub tracer: Arc<Current>,
}

/// What became of rows that were tried. Of the others it is as if they had not been taken.
#[derive(Default)]
pub(super) struct Tried {
    pub published: Vec<Row>,
    /// How many of them the broker says that it had before.
    pub duplicates: u64,
    pub failed: Vec<(Row, Refusal)>,
    /// Why the broker takes nothing now, and what that is called.
    pub down: Option<Refusal>,
}

impl Tried {
    /// How many were tried.
    pub fn count(&self) -> usize {
        self.published.len() + self.failed.len()
    }
}

impl Publisher {
    /// Publishes `rows`, which are in their order, while `goes_on` says so. Behind a row that fails no more of its key are
    /// tried, and none at all behind one for which the broker is not there. None begins later than a confirmation may take,
    /// so that all has ended after twice that.
    pub async fn publish(&self, rows: Vec<Row>, goes_on: &(dyn Fn() -> bool + Sync)) -> Tried {
        let tried = Mutex::new(Tried::default());
        let is_down = AtomicBool::new(false);
        let until = Instant::now() + self.confirm_timeout;
        let one_key = |rows: Vec<Row>| {
            let (tried, is_down) = (&tried, &is_down);
            async move {
                for row in rows {
                    if is_down.load(Ordering::Relaxed) || Instant::now() >= until || !goes_on() {
                        return;
                    }
                    let result = self.send(&row).await;
                    let mut tried = tried.lock().unwrap_or_else(PoisonError::into_inner);
                    match result {
                        Ok(confirmed) => {
                            tried.duplicates += u64::from(confirmed.duplicate);
                            tried.published.push(row);
                        }
                        Err(down @ (Refusal::Unavailable(_) | Refusal::Blocked(_))) => {
                            is_down.store(true, Ordering::Relaxed);
                            tried.down = Some(down);
                            return;
                        }
                        Err(refusal) => {
                            tried.failed.push((row, refusal));
                            return;
                        }
                    }
                }
            }
        };
        let keys = stream::iter(by_key(rows)).map(one_key);
        keys.buffer_unordered(AT_ONCE).collect::<()>().await;
        let tried = tried.into_inner().unwrap_or_else(PoisonError::into_inner);
        self.metrics.relayed(&tried);
        tried
    }

    async fn send(&self, row: &Row) -> Result<Confirmed, Refusal> {
        let (to, mut message) = self.messages.of(row)?;
        let tracer = self.tracer.load_full();
        let address = self.messages.address();
        let mut span = tracer.and_then(|tracer| span::begin(&tracer, address, &mut message));
        if let Some(span) = &mut span {
            broker::span::goes_to(span, &to);
        }
        let until = Instant::now() + self.confirm_timeout;
        let sent = self.client.publish(to, message);
        let result = timeout_at(until, sent).await.unwrap_or_else(|_| {
            Err(Refusal::Unknown(format!(
                "the broker has not confirmed it within {:?}",
                self.confirm_timeout
            )))
        });
        if let Some(span) = &mut span {
            broker::span::end(span, &result);
        }
        result
    }
}

/// The rows of each key in their order, the keys in that of their first rows. One without a key is alone.
fn by_key(rows: Vec<Row>) -> Vec<Vec<Row>> {
    let mut keys: Vec<Vec<Row>> = Vec::new();
    let mut places = std::collections::HashMap::new();
    for row in rows {
        let place = match &row.key {
            None => keys.len(),
            Some(key) => *places.entry(key.clone()).or_insert(keys.len()),
        };
        match keys.get_mut(place) {
            Some(of_key) => of_key.push(row),
            None => keys.push(vec![row]),
        }
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::fake::row;

    #[test]
    fn each_key_is_a_row_of_its_own() {
        let rows = vec![
            row("1", Some("a")),
            row("2", None),
            row("3", Some("b")),
            row("4", Some("a")),
            row("5", None),
        ];
        let ids = |rows: &Vec<Row>| rows.iter().map(|row| row.id.clone()).collect::<Vec<_>>();
        let keys: Vec<_> = by_key(rows).iter().map(ids).collect();
        assert_eq!(keys, [vec!["1", "4"], vec!["2"], vec!["3"], vec!["5"]]);
    }
}
