//! Lines of the log that may come in floods. The first of those that are like each other pass; the others of each second
//! are summed up in one line.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// What is withheld is told so often.
const TERM: Duration = Duration::from_secs(1);

/// How many different lines are told apart; beyond that all of a kind are like each other.
const MOST: usize = 512;

static ALL: Floods = Floods::new();
/// Something may be withheld from now on.
static BEGUN: Notify = Notify::const_new();

/// A place in the program from which lines come.
#[derive(Debug)]
pub struct Kind {
    pub message: &'static str,
    pub severe: bool,
    /// So many pass before a flood is one.
    pub first: u32,
}

/// Lines of a kind with the same of all these are like each other.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Group {
    pub listener: Option<Arc<str>>,
    pub route: Option<Arc<str>>,
    pub upstream: Option<Arc<str>>,
    pub endpoint: Option<Arc<str>>,
    pub reason: Option<&'static str>,
    /// What exactly went wrong, where `reason` does not say it.
    pub cause: Option<Arc<str>>,
}

/// Whether a line may be written. One that may not is counted, and is part of the next sum.
pub fn passes(kind: &'static Kind, group: Group) -> bool {
    let (passes, sum) = ALL.admit(kind, group, Instant::now());
    BEGUN.notify_one();
    if let Some(sum) = sum {
        sum.tell();
    }
    passes
}

/// Tells in time what was withheld. It never ends.
pub async fn sum_up_in_time() {
    loop {
        BEGUN.notified().await;
        while !ALL.is_empty() {
            tokio::time::sleep(TERM).await;
            ALL.due(Instant::now()).iter().for_each(Sum::tell);
        }
    }
}

/// Tells all that was withheld, at the end of the program.
pub fn sum_up_all() {
    ALL.due(Instant::now() + TERM).iter().for_each(Sum::tell);
}

struct Floods(Mutex<BTreeMap<(&'static str, Group), Flood>>);

/// Lines that are like each other, in one term.
struct Flood {
    kind: &'static Kind,
    began: Instant,
    passed: u32,
    withheld: u64,
}

/// What is told of lines that were withheld.
#[derive(Debug)]
struct Sum {
    kind: &'static Kind,
    group: Group,
    withheld: u64,
    within: Duration,
}

impl Floods {
    const fn new() -> Self {
        Floods(Mutex::new(BTreeMap::new()))
    }

    fn is_empty(&self) -> bool {
        let floods = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        floods.is_empty()
    }

    fn admit(&self, kind: &'static Kind, group: Group, now: Instant) -> (bool, Option<Sum>) {
        let mut floods = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut key = (kind.message, group);
        if floods.len() >= MOST && !floods.contains_key(&key) {
            key.1 = Group::default();
        }
        let flood = floods.entry(key.clone()).or_insert_with(|| Flood {
            kind,
            began: now,
            passed: 0,
            withheld: 0,
        });
        let sum = if now.saturating_duration_since(flood.began) >= TERM {
            flood.next_term(&key.1, now)
        } else {
            None
        };
        let passes = flood.passed < kind.first;
        if passes {
            flood.passed += 1;
        } else {
            flood.withheld += 1;
        }
        (passes, sum)
    }

    /// The sums of all terms that are over. Floods that are over are forgotten.
    fn due(&self, now: Instant) -> Vec<Sum> {
        let mut sums = Vec::new();
        let mut floods = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        floods.retain(|(_, group), flood| {
            if now.saturating_duration_since(flood.began) < TERM {
                return true;
            }
            let sum = flood.next_term(group, now);
            let goes_on = sum.is_some();
            sums.extend(sum);
            goes_on
        });
        sums
    }
}

impl Flood {
    fn next_term(&mut self, group: &Group, now: Instant) -> Option<Sum> {
        let within = now.saturating_duration_since(self.began);
        let withheld = std::mem::take(&mut self.withheld);
        self.began = now;
        // While it goes on, one line a term shows what it is about.
        self.passed = match withheld {
            0 => 0,
            _ => self.kind.first.saturating_sub(1),
        };
        (withheld > 0).then(|| Sum {
            kind: self.kind,
            group: group.clone(),
            withheld,
            within,
        })
    }
}

impl Sum {
    fn tell(&self) {
        let Group {
            listener,
            route,
            upstream,
            endpoint,
            reason,
            cause,
        } = &self.group;
        let (listener, route) = (listener.as_deref(), route.as_deref());
        let (upstream, endpoint) = (upstream.as_deref(), endpoint.as_deref());
        let (reason, cause, withheld) = (*reason, cause.as_deref(), self.withheld);
        let text = self.text();
        if self.kind.severe {
            tracing::warn!(
                listener, route, upstream, endpoint, reason, cause, withheld, "{text}"
            );
        } else {
            tracing::info!(
                listener, route, upstream, endpoint, reason, cause, withheld, "{text}"
            );
        }
    }

    fn text(&self) -> String {
        let seconds = self.within.as_secs_f64().round().max(1.0);
        let more = grouped(self.withheld);
        format!(
            "{}: and {more} more like it in {seconds} s",
            self.kind.message
        )
    }
}

/// A number with a comma before every three digits.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    static KIND: Kind = Kind {
        message: "a request failed",
        severe: true,
        first: 3,
    };

    fn of(route: &str) -> Group {
        Group {
            route: Some(route.into()),
            ..Group::default()
        }
    }

    fn pass(floods: &Floods, route: &str, times: usize, now: Instant) -> usize {
        let passes = |_: &usize| floods.admit(&KIND, of(route), now).0;
        (0..times).filter(passes).count()
    }

    #[test]
    fn the_first_lines_pass_and_the_others_are_summed_up() {
        let (floods, start) = (Floods::new(), Instant::now());
        assert_eq!(pass(&floods, "a", 48_215, start), 3);
        assert_eq!(pass(&floods, "b", 2, start), 2, "another route");
        assert!(floods.due(start + TERM / 2).is_empty());
        let sums = floods.due(start + TERM);
        let texts: Vec<String> = sums.iter().map(Sum::text).collect();
        assert_eq!(texts, ["a request failed: and 48,212 more like it in 1 s"]);
        assert_eq!(sums[0].group, of("a"));
    }

    #[test]
    fn a_flood_that_goes_on_shows_one_line_a_term_and_then_it_is_over() {
        let (floods, start) = (Floods::new(), Instant::now());
        pass(&floods, "a", 10, start);
        assert_eq!(floods.due(start + TERM)[0].withheld, 7);
        assert_eq!(pass(&floods, "a", 10, start + TERM), 1);
        assert_eq!(floods.due(start + 2 * TERM)[0].withheld, 9);
        assert!(floods.due(start + 3 * TERM).is_empty());
        assert_eq!(pass(&floods, "a", 10, start + 3 * TERM), 3);
    }

    #[test]
    fn nothing_is_lost_when_nobody_sums_up_in_time() {
        let (floods, start) = (Floods::new(), Instant::now());
        pass(&floods, "a", 10, start);
        let (passes, sum) = floods.admit(&KIND, of("a"), start + 5 * TERM);
        assert!(passes);
        let text = sum.unwrap().text();
        assert!(text.ends_with("and 7 more like it in 5 s"), "{text}");
    }

    #[test]
    fn there_are_only_so_many() {
        let (floods, start) = (Floods::new(), Instant::now());
        for route in 0..2 * MOST {
            pass(&floods, &route.to_string(), 1, start);
        }
        assert!(floods.0.lock().unwrap().len() <= MOST + 1);
        assert_eq!(pass(&floods, "new", 1, start), 0);
        assert!(floods.due(start + TERM).len() == 1);
        assert_eq!(pass(&floods, "new", 1, start + TERM), 1);
    }

    #[test]
    fn digits_are_grouped() {
        for (number, text) in [(7, "7"), (999, "999"), (1000, "1,000"), (48212, "48,212")] {
            assert_eq!(grouped(number), text);
        }
        assert_eq!(grouped(1_234_567), "1,234,567");
    }
}
