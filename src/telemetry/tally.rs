//! Numbers to which every worker adds in memory of its own, so that counting costs no more than a plain addition.
//! They are summed when somebody asks. Each belongs to its metric: nothing is lost when a worker ends.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use metrics::{CounterFn, GaugeFn, HistogramFn};

use crate::process;

/// What a histogram is of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scale {
    /// Durations, in seconds.
    #[default]
    Seconds,
    /// Small whole numbers.
    Counts,
}

impl Scale {
    /// The upper bounds of the buckets: from 0.5 ms to 1 h, or from 1 to 21. Those above 30 s are for streams, upgraded
    /// connections and long polls.
    pub fn bounds(self) -> &'static [f64] {
        match self {
            Scale::Seconds => &SECONDS,
            Scale::Counts => &COUNTS,
        }
    }
}

const SECONDS: [f64; 19] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
    60.0, 300.0, 900.0, 3600.0,
];
const COUNTS: [f64; 7] = [1.0, 2.0, 3.0, 5.0, 8.0, 13.0, 21.0];
/// The most buckets: one for each bound, and one for what is above them.
const BUCKETS: usize = SECONDS.len() + 1;

/// One `T` for each worker that has used it, and one that all other threads share.
///
/// A worker's own is allocated by that worker, so the allocator keeps it apart from what other workers write.
struct PerWorker<T> {
    workers: Box<[OnceLock<Box<T>>]>,
    others: T,
}

/// Who else may write to the same place at the same time.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Writers {
    One,
    Many,
}

impl<T: Default> PerWorker<T> {
    fn new(workers: usize) -> Self {
        PerWorker {
            workers: (0..workers).map(|_| OnceLock::new()).collect(),
            others: T::default(),
        }
    }

    #[inline]
    fn mine(&self) -> (&T, Writers) {
        let worker = process::this_worker().and_then(|worker| self.workers.get(worker));
        match worker {
            Some(mine) => (mine.get_or_init(Box::default), Writers::One),
            None => (&self.others, Writers::Many),
        }
    }

    fn all(&self) -> impl Iterator<Item = &T> {
        self.of_workers().chain([&self.others])
    }

    fn of_workers(&self) -> impl Iterator<Item = &T> {
        let used = self.workers.iter().filter_map(OnceLock::get);
        used.map(|worker| &**worker)
    }
}

impl<T: Default> Default for PerWorker<T> {
    fn default() -> Self {
        PerWorker::new(process::keeper_count())
    }
}

#[derive(Default)]
struct IntegerCell(AtomicU64);

impl IntegerCell {
    #[inline]
    fn add(&self, more: u64, writers: Writers) {
        match writers {
            Writers::One => {
                let sum = self.0.load(Relaxed).wrapping_add(more);
                self.0.store(sum, Relaxed);
            }
            Writers::Many => {
                self.0.fetch_add(more, Relaxed);
            }
        }
    }

    fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// The bits of an `f64`.
#[derive(Default)]
struct FloatCell(AtomicU64);

impl FloatCell {
    #[inline]
    fn add(&self, more: f64, writers: Writers) {
        let sum = |bits| (f64::from_bits(bits) + more).to_bits();
        match writers {
            Writers::One => self.0.store(sum(self.0.load(Relaxed)), Relaxed),
            Writers::Many => {
                let _ = (self.0).fetch_update(Relaxed, Relaxed, |bits| Some(sum(bits)));
            }
        }
    }

    fn set(&self, value: f64) {
        self.0.store(value.to_bits(), Relaxed);
    }

    fn get(&self) -> f64 {
        f64::from_bits(self.0.load(Relaxed))
    }
}

/// What only grows.
#[derive(Default)]
pub struct Counter(PerWorker<IntegerCell>);

impl Counter {
    pub fn get(&self) -> u64 {
        self.0.all().map(IntegerCell::get).sum()
    }
}

impl CounterFn for Counter {
    fn increment(&self, value: u64) {
        let (mine, writers) = self.0.mine();
        mine.add(value, writers);
    }

    /// Of a count that somebody else keeps.
    fn absolute(&self, value: u64) {
        self.0.others.0.fetch_max(value, Relaxed);
    }
}

/// What goes up and down.
#[derive(Default)]
pub struct Gauge(PerWorker<FloatCell>);

impl Gauge {
    pub fn get(&self) -> f64 {
        self.0.all().map(FloatCell::get).sum()
    }
}

impl GaugeFn for Gauge {
    fn increment(&self, value: f64) {
        let (mine, writers) = self.0.mine();
        mine.add(value, writers);
    }

    fn decrement(&self, value: f64) {
        self.increment(-value);
    }

    /// Of a level that nobody counts meanwhile.
    fn set(&self, value: f64) {
        let counted: f64 = self.0.of_workers().map(FloatCell::get).sum();
        self.0.others.set(value - counted);
    }
}

/// How many of what was recorded lie within which bounds.
#[derive(Default)]
pub struct Histogram {
    scale: Scale,
    spread: PerWorker<Buckets>,
}

#[derive(Default)]
struct Buckets {
    /// The one behind those of the bounds is for what is above every bound.
    counts: [IntegerCell; BUCKETS],
    sum: FloatCell,
}

impl Histogram {
    pub fn of(scale: Scale) -> Self {
        Histogram {
            scale,
            ..Histogram::default()
        }
    }

    pub fn bounds(&self) -> &'static [f64] {
        self.scale.bounds()
    }

    /// How many lie in each bucket, the last being that above every bound; and the sum of all.
    pub fn get(&self) -> (Vec<u64>, f64) {
        let mut counts = vec![0; self.bounds().len() + 1];
        let mut sum = 0.0;
        for buckets in self.spread.all() {
            for (count, more) in counts.iter_mut().zip(&buckets.counts) {
                *count += more.get();
            }
            sum += buckets.sum.get();
        }
        (counts, sum)
    }
}

impl HistogramFn for Histogram {
    fn record(&self, value: f64) {
        let bounds = self.bounds();
        let within = bounds.iter().position(|bound| value <= *bound);
        let (mine, writers) = self.spread.mine();
        mine.counts[within.unwrap_or(bounds.len())].add(1, writers);
        mine.sum.add(value, writers);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    /// Threads of which the first two are workers.
    fn on_threads(add: impl Fn() + Send + Sync + 'static) {
        let add = Arc::new(add);
        let threads: Vec<_> = (0..4)
            .map(|index| {
                let add = add.clone();
                std::thread::spawn(move || {
                    if index < 2 {
                        process::become_worker(index);
                    }
                    (0..1000).for_each(|_| add());
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
    }

    #[test]
    fn nothing_is_lost_when_threads_end() {
        let counter = Arc::new(Counter(PerWorker::new(2)));
        let gauge = Arc::new(Gauge(PerWorker::new(2)));
        let histogram = Arc::new(Histogram {
            scale: Scale::Seconds,
            spread: PerWorker::new(2),
        });
        let (c, l, s) = (counter.clone(), gauge.clone(), histogram.clone());
        on_threads(move || {
            c.increment(2);
            l.increment(2.0);
            l.decrement(1.0);
            s.record(0.25);
        });
        assert_eq!(counter.get(), 8000);
        assert_eq!(gauge.get(), 4000.0);
        let (counts, sum) = histogram.get();
        assert_eq!((counts[8], counts.iter().sum(), sum), (4000, 4000, 1000.0));
    }

    #[test]
    fn a_level_is_what_it_was_set_to() {
        let gauge = Gauge::default();
        gauge.set(5.0);
        gauge.set(3.0);
        assert_eq!(gauge.get(), 3.0);
        gauge.increment(1.0);
        assert_eq!(gauge.get(), 4.0);
    }

    #[test]
    fn a_count_kept_elsewhere_never_falls() {
        let counter = Counter::default();
        counter.absolute(5);
        counter.absolute(3);
        assert_eq!(counter.get(), 5);
    }

    #[test]
    fn a_bound_belongs_to_its_bucket() {
        let histogram = Histogram::default();
        for seconds in [0.0, 0.0005, 0.000_501, 30.0, 30.1, 3600.1, f64::NAN] {
            histogram.record(seconds);
        }
        let (counts, _) = histogram.get();
        assert_eq!((counts[0], counts[1], counts[14]), (2, 1, 1));
        assert_eq!((counts[15], counts[18], counts[19]), (1, 0, 2));
    }
}
