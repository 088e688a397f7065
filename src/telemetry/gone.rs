//! Series of routes, upstreams and listeners that the config has no more: how long they stay.
//!
//! Handles are held by what counts, so a series that nobody holds belongs to something that is gone, or to something
//! that counts too seldom to hold it. The latter's name is held by other series.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

/// A series stays so long after its name is gone: a config that brings the name back goes on counting, and a scraper
/// sees the last counts.
const STAY: Duration = Duration::from_secs(5 * 60);
/// It stays until it was read so often since, or until [`LONGEST_STAY`], for who reads seldom.
const READINGS: u32 = 2;
const LONGEST_STAY: Duration = Duration::from_secs(60 * 60);

/// The labels whose values are names from the config.
const NAMES: [&str; 3] = ["route", "upstream", "listener"];

/// What is gone and has not been dropped yet.
#[derive(Default)]
pub struct Gone(HashMap<(String, String), Stale>);

struct Stale {
    since: Instant,
    readings: u32,
}

impl Gone {
    /// All series were read.
    pub fn were_read(&mut self) {
        for stale in self.0.values_mut() {
            stale.readings += 1;
        }
    }

    /// Which of `all` are to be dropped by now. `all` has a name, labels as they are written, and whether somebody
    /// holds a handle.
    pub fn ripe<'a, All>(&mut self, all: impl Fn() -> All, now: Instant) -> Vec<(String, String)>
    where
        All: Iterator<Item = (&'a str, &'a str, bool)>,
    {
        let mut free = all()
            .filter(|(_, labels, held)| !held && names(labels).next().is_some())
            .peekable();
        if free.peek().is_none() {
            self.0.clear();
            return Vec::new();
        }
        let held: HashSet<&str> = all()
            .filter(|(_, _, held)| *held)
            .flat_map(|(_, labels, _)| names(labels))
            .collect();
        let mut before = std::mem::take(&mut self.0);
        let mut ripe = Vec::new();
        for (name, labels, _) in free {
            if names(labels).all(|name| held.contains(name)) {
                continue;
            }
            let series = (name.to_owned(), labels.to_owned());
            let stale = before.remove(&series).unwrap_or(Stale {
                since: now,
                readings: 0,
            });
            let age = now.saturating_duration_since(stale.since);
            if age >= LONGEST_STAY || (age >= STAY && stale.readings >= READINGS) {
                ripe.push(series);
            } else {
                self.0.insert(series, stale);
            }
        }
        ripe
    }
}

/// The labels that name something of the config, each as it is written. Such a name has no quotes and commas in it.
fn names(labels: &str) -> impl Iterator<Item = &str> + Clone {
    labels.split(',').filter(|label| {
        let key = label.split_once('=').map(|(key, _)| key);
        key.is_some_and(|key| NAMES.contains(&key))
    })
}

#[cfg(test)]
mod tests {
    use super::super::recorder::Registry;
    use super::*;
    use metrics::{Counter, counter, gauge, with_local_recorder};

    struct World {
        registry: Registry,
        now: Instant,
    }

    impl World {
        fn new() -> Self {
            World {
                registry: Registry::default(),
                now: Instant::now(),
            }
        }

        fn counter(&self, name: &'static str, label: &'static str, value: &'static str) -> Counter {
            with_local_recorder(&self.registry, || counter!(name, label => value))
        }

        fn pass(&mut self, time: Duration) {
            self.now += time;
            self.registry.drop_gone(self.now);
        }

        fn text(&self) -> String {
            self.registry.render()
        }
    }

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn a_series_leaves_after_its_name_and_two_readings() {
        let mut world = World::new();
        let (old, kept) = (
            world.counter("a_total", "route", "old"),
            world.counter("a_total", "route", "kept"),
        );
        old.increment(3);
        world.pass(60 * MINUTE);
        drop(old);
        world.pass(MINUTE);
        world.pass(10 * MINUTE);
        assert!(world.text().contains("a_total{route=\"old\"} 3"));
        world.pass(MINUTE);
        assert!(world.text().contains("old"), "it was read only once");
        world.pass(MINUTE);
        assert!(!world.text().contains("old"));
        assert!(world.text().contains("kept"));
        drop(kept);
        world.pass(MINUTE);
        world.pass(60 * MINUTE);
        assert_eq!(world.text(), "", "nobody read it for an hour");
    }

    #[test]
    fn a_name_that_comes_back_in_time_goes_on_counting() {
        let mut world = World::new();
        world.counter("a_total", "upstream", "app").increment(3);
        world.pass(MINUTE);
        (0..2).for_each(|_| drop(world.text()));
        world.pass(4 * MINUTE);
        let back = world.counter("a_total", "upstream", "app");
        world.pass(MINUTE);
        drop(back);
        world.pass(MINUTE);
        world.pass(4 * MINUTE);
        (0..2).for_each(|_| drop(world.text()));
        assert!(world.text().contains("} 3"), "its time began anew");
        world.pass(MINUTE);
        assert_eq!(world.text(), "");
    }

    #[test]
    fn what_counts_without_holding_stays_while_its_name_does() {
        let mut world = World::new();
        world
            .counter("reloads_total", "result", "applied")
            .increment(1);
        let _held = with_local_recorder(&world.registry, || gauge!("b", "listener" => "in"));
        world.counter("a_total", "listener", "in").increment(1);
        for _ in 0..10 {
            world.pass(60 * MINUTE);
        }
        let text = world.text();
        assert!(text.contains("a_total{listener=\"in\"} 1"), "{text}");
        assert!(
            text.contains("reloads_total{result=\"applied\"} 1"),
            "{text}"
        );
    }

    #[test]
    fn a_series_of_two_names_leaves_with_either() {
        let mut world = World::new();
        let _in = world.counter("b_total", "listener", "in");
        let route = world.counter("b_total", "route", "pay");
        with_local_recorder(&world.registry, || {
            counter!("a_total", "listener" => "in", "route" => "pay", "code" => "200").increment(1);
        });
        world.pass(60 * MINUTE);
        assert!(world.text().contains("a_total{"));
        drop(route);
        world.pass(MINUTE);
        world.pass(60 * MINUTE);
        assert!(!world.text().contains("a_total{"));
    }
}
