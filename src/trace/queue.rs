//! Ended spans that wait to be sent.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use metrics::{Counter, counter};
use tokio::sync::Notify;

use super::protobuf::Writer;
use crate::value::exposition::Metric;

pub const DROPPED: Metric = Metric::counter(
    "outrigger_spans_dropped_total",
    "Spans that were not sent, by why.",
);

/// Spans in `ScopeSpans`.
const SPANS: u32 = 2;
/// What a span may have on average before there is no more room: nearly all have a quarter of it.
const LARGE: usize = 2 << 10;

/// How many spans wait, how many are sent together, and how large one may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub queued: usize,
    pub batch: usize,
    /// The most attributes of a span.
    pub attributes: u32,
    /// The longest text of an attribute, in bytes.
    pub longest: usize,
}

impl Default for Limits {
    /// Those of OpenTelemetry, and for texts one of our own: a path may have thousands of bytes.
    fn default() -> Self {
        Limits {
            queued: 2048,
            batch: 512,
            attributes: 128,
            longest: 1 << 10,
        }
    }
}

/// Spans as fields of `ScopeSpans`, one behind the other.
#[derive(Debug, Default)]
pub struct Batch {
    pub fields: Vec<u8>,
    pub spans: usize,
}

/// Ended spans. What no longer fits is dropped, and counted: whoever ends a span never waits.
pub struct Queue {
    limits: Limits,
    waiting: Mutex<Waiting>,
    /// A whole batch waits.
    filled: Notify,
    dropped: Counter,
}

#[derive(Default)]
struct Waiting {
    batches: VecDeque<Batch>,
    spans: usize,
    bytes: usize,
}

impl Queue {
    pub fn new(limits: Limits) -> Self {
        Queue {
            limits,
            waiting: Mutex::default(),
            filled: Notify::new(),
            dropped: counter!(DROPPED.name, "reason" => "queue_full"),
        }
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(super) fn push(&self, span: &Writer) {
        let size = span.as_ref().len();
        let is_filled = {
            let mut waiting = self.waiting();
            let full = waiting.spans >= self.limits.queued
                || waiting.bytes + size > self.limits.queued * LARGE;
            if full {
                drop(waiting);
                self.dropped.increment(1);
                return;
            }
            waiting.add(span, self.limits.batch);
            waiting.spans.is_multiple_of(self.limits.batch)
        };
        if is_filled {
            self.filled.notify_one();
        }
    }

    /// The batch that waits longest; None when nothing waits.
    pub fn take(&self) -> Option<Batch> {
        let mut waiting = self.waiting();
        let batch = waiting.batches.pop_front()?;
        waiting.spans -= batch.spans;
        waiting.bytes -= batch.fields.len();
        Some(batch)
    }

    pub fn is_empty(&self) -> bool {
        self.waiting().spans == 0
    }

    /// Whether there is enough for a whole batch.
    pub fn has_batch(&self) -> bool {
        self.waiting().spans >= self.limits.batch
    }

    /// Completes when a batch has become full since.
    pub async fn filled(&self) {
        self.filled.notified().await;
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn add(&mut self, span: &Writer, most: usize) {
        if self.batches.back().is_none_or(|last| last.spans >= most) {
            self.batches.push_back(Batch::default());
        }
        if let Some(last) = self.batches.back_mut() {
            let before = last.fields.len();
            let mut fields = Writer::from(std::mem::take(&mut last.fields));
            fields.bytes(SPANS, span);
            last.fields = fields.into_bytes();
            last.spans += 1;
            self.spans += 1;
            self.bytes += last.fields.len() - before;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(size: usize) -> Writer {
        Writer::from(vec![0; size])
    }

    #[test]
    fn spans_wait_in_batches_up_to_a_limit() {
        let queue = Queue::new(Limits {
            queued: 5,
            batch: 2,
            ..Limits::default()
        });
        assert!(queue.take().is_none());
        for _ in 0..9 {
            queue.push(&span(10));
        }
        let sizes: Vec<usize> = std::iter::from_fn(|| queue.take())
            .map(|batch| {
                assert_eq!(batch.fields.len(), batch.spans * 12);
                batch.spans
            })
            .collect();
        assert_eq!(sizes, [2, 2, 1]);
        assert!(queue.is_empty() && queue.waiting().bytes == 0);
        queue.push(&span(10));
        assert!(!queue.is_empty() && !queue.has_batch());
    }

    #[test]
    fn large_spans_are_fewer() {
        let queue = Queue::new(Limits {
            queued: 4,
            batch: 4,
            ..Limits::default()
        });
        for _ in 0..4 {
            queue.push(&span(3 << 10));
        }
        assert_eq!(queue.take().map(|batch| batch.spans), Some(2));
    }

    #[tokio::test]
    async fn a_whole_batch_is_told() {
        let queue = Queue::new(Limits {
            queued: 8,
            batch: 2,
            ..Limits::default()
        });
        queue.push(&span(1));
        let mut filled = Box::pin(queue.filled());
        assert!(futures_util::poll!(filled.as_mut()).is_pending());
        queue.push(&span(1));
        filled.await;
        assert!(queue.has_batch());
    }
}
