//! Whether two regular expressions can match one and the same text: both are walked through at once, byte by byte.

use std::cell::RefCell;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use regex_automata::Anchored;
use regex_automata::hybrid::LazyStateID;
use regex_automata::hybrid::dfa::{Cache, DFA};
use regex_automata::util::start;

use super::matching::Pattern;

/// So many pairs of states are looked at before it is given up.
const MOST_PAIRS: usize = 20_000;
/// Room for the states of one expression, in bytes.
const ROOM: usize = 4 << 20;
/// The longest beginning that is looked for.
const LONGEST_PREFIX: usize = 64;

/// What the texts are.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Texts {
    /// Paths in their one form: they begin with a slash, and all of their bytes can be seen.
    Paths,
    Values,
}

#[derive(Debug, PartialEq)]
pub(super) enum Overlap {
    /// No text matches both.
    None,
    /// This one does.
    At(String),
    /// It takes too long to find out.
    Unknown,
}

/// The expressions that were looked at, so that each is built once.
#[derive(Default)]
pub(super) struct Overlaps(HashMap<String, Option<Rc<RefCell<Machine>>>>);

impl Overlaps {
    pub(super) fn of(&mut self, a: &Pattern, b: &Pattern, texts: Texts) -> Overlap {
        if a == b {
            let pair = Machine::new(a.as_str()).zip(Machine::new(b.as_str()));
            let walked = pair.map(|(mut a, mut b)| walk(&mut a, &mut b, texts));
            return walked.and_then(Result::ok).unwrap_or(Overlap::Unknown);
        }
        let (Some(a), Some(b)) = (self.machine(a), self.machine(b)) else {
            return Overlap::Unknown;
        };
        let (mut a, mut b) = (a.borrow_mut(), b.borrow_mut());
        if texts == Texts::Paths && a.begins_unlike(&mut b) {
            return Overlap::None;
        }
        walk(&mut a, &mut b, texts).unwrap_or(Overlap::Unknown)
    }

    fn machine(&mut self, pattern: &Pattern) -> Option<Rc<RefCell<Machine>>> {
        match self.0.entry(pattern.as_str().to_owned()) {
            Entry::Occupied(known) => known.get().clone(),
            Entry::Vacant(new) => {
                let machine = Machine::new(pattern.as_str());
                new.insert(machine.map(RefCell::new).map(Rc::new)).clone()
            }
        }
    }
}

/// One expression, ready to be walked through.
struct Machine {
    dfa: DFA,
    cache: Cache,
    /// With what every path begins that it matches.
    prefix: Option<Vec<u8>>,
}

/// Where one expression stands.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum State {
    /// It matches whatever follows.
    Matched,
    Open(LazyStateID),
}

/// There is no telling: the states need too much room, or depend on more than bytes.
struct GivenUp;

impl Machine {
    fn new(pattern: &str) -> Option<Self> {
        let config = DFA::config()
            .unicode_word_boundary(true)
            .cache_capacity(ROOM)
            // States must stay what they are.
            .minimum_cache_clear_count(Some(0));
        let dfa = DFA::builder().configure(config).build(pattern).ok()?;
        Some(Machine {
            cache: dfa.create_cache(),
            dfa,
            prefix: None,
        })
    }

    fn start(&mut self) -> Result<State, GivenUp> {
        let anywhere = start::Config::new().anchored(Anchored::No);
        let state = self.dfa.start_state(&mut self.cache, &anywhere);
        state.map(State::Open).map_err(|_| GivenUp)
    }

    /// The state behind `byte`; none: it cannot match any more.
    fn next(&mut self, state: State, byte: u8) -> Result<Option<State>, GivenUp> {
        let State::Open(state) = state else {
            return Ok(Some(state));
        };
        let next = self.dfa.next_state(&mut self.cache, state, byte);
        match next.map_err(|_| GivenUp)? {
            dead if dead.is_dead() => Ok(None),
            quit if quit.is_quit() => Err(GivenUp),
            matched if matched.is_match() => Ok(Some(State::Matched)),
            open => Ok(Some(State::Open(open))),
        }
    }

    fn matches_here(&mut self, state: State) -> Result<bool, GivenUp> {
        let State::Open(state) = state else {
            return Ok(true);
        };
        let end = self.dfa.next_eoi_state(&mut self.cache, state);
        Ok(end.map_err(|_| GivenUp)?.is_match())
    }

    /// Most expressions begin with different words, which is soon seen.
    fn begins_unlike(&mut self, other: &mut Machine) -> bool {
        let (a, b) = (self.prefix(), other.prefix());
        let common = a.len().min(b.len());
        a[..common] != b[..common]
    }

    fn prefix(&mut self) -> Vec<u8> {
        if let Some(known) = &self.prefix {
            return known.clone();
        }
        let prefix = self.find_prefix().unwrap_or_default();
        self.prefix.insert(prefix).clone()
    }

    fn find_prefix(&mut self) -> Result<Vec<u8>, GivenUp> {
        let mut prefix = Vec::new();
        let mut state = self.start()?;
        while prefix.len() < LONGEST_PREFIX && !self.matches_here(state)? {
            let mut only = None;
            for byte in alphabet(Texts::Paths) {
                let Some(next) = self.next(state, byte)? else {
                    continue;
                };
                if only.replace((byte, next)).is_some() {
                    return Ok(prefix);
                }
            }
            let Some((byte, next)) = only else { break };
            prefix.push(byte);
            state = next;
        }
        Ok(prefix)
    }
}

/// Letters and digits first, so that what is found reads well.
fn alphabet(texts: Texts) -> impl Iterator<Item = u8> {
    let plain = (b'a'..=b'z').chain(b'0'..=b'9');
    let rest = match texts {
        Texts::Paths => 0x21..=0x7e,
        Texts::Values => 0x00..=0xff,
    };
    plain.chain(rest.filter(|byte: &u8| !matches!(byte, b'a'..=b'z' | b'0'..=b'9')))
}

/// A pair of states, and how it was come by.
struct Step {
    states: (State, State),
    from: usize,
    byte: u8,
}

fn walk(a: &mut Machine, b: &mut Machine, texts: Texts) -> Result<Overlap, GivenUp> {
    let mut start = (a.start()?, b.start()?);
    if texts == Texts::Paths {
        let (Some(next_a), Some(next_b)) = (a.next(start.0, b'/')?, b.next(start.1, b'/')?) else {
            return Ok(Overlap::None);
        };
        start = (next_a, next_b);
    }
    let mut steps = vec![Step {
        states: start,
        from: 0,
        byte: 0,
    }];
    let mut seen = HashSet::from([start]);
    let mut at = 0;
    while let Some(Step { states, .. }) = steps.get(at) {
        let (here_a, here_b) = *states;
        if a.matches_here(here_a)? && b.matches_here(here_b)? {
            return Ok(Overlap::At(text(&steps, at, texts)));
        }
        for byte in alphabet(texts) {
            let Some(next_a) = a.next(here_a, byte)? else {
                continue;
            };
            let Some(next_b) = b.next(here_b, byte)? else {
                continue;
            };
            if seen.insert((next_a, next_b)) {
                steps.push(Step {
                    states: (next_a, next_b),
                    from: at,
                    byte,
                });
            }
        }
        if steps.len() > MOST_PAIRS {
            return Err(GivenUp);
        }
        at += 1;
    }
    Ok(Overlap::None)
}

/// The text that leads to the step `at`.
fn text(steps: &[Step], mut at: usize, texts: Texts) -> String {
    let mut bytes = Vec::new();
    while let Some(step) = steps.get(at).filter(|_| at > 0) {
        bytes.push(step.byte);
        at = step.from;
    }
    bytes.extend((texts == Texts::Paths).then_some(b'/'));
    bytes.reverse();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pattern(text: &str) -> Pattern {
        text.to_owned().try_into().unwrap()
    }

    fn overlap(a: &str, b: &str) -> Overlap {
        Overlaps::default().of(&pattern(a), &pattern(b), Texts::Paths)
    }

    #[test]
    fn what_no_path_matches_both_is_told_apart() {
        for (a, b) in [
            ("^/v1/[0-9]+$", "^/v2/[a-z]+$"),
            ("^/v1/[0-9]+$", "^/v1/[a-z]+$"),
            ("^/a/", "^/ab"),
            ("\\.json$", "\\.xml$"),
            ("^/[^/]+$", "^/[^/]+/[^/]+$"),
            ("^/(?:users|orders)/", "^/(?:items|carts)/"),
            ("^(/a|/b)$", "^/[c-z]"),
            ("^b", "^/"),
            ("(?i)^/A$", "^/b$"),
            ("^/\\w+\\b-x", "^/[0-9]+$"),
        ] {
            assert_eq!(overlap(a, b), Overlap::None, "{a} {b}");
            assert_eq!(overlap(b, a), Overlap::None, "{b} {a}");
        }
    }

    #[test]
    fn what_both_match_is_shown() {
        for (a, b) in [
            ("^/v1/", "^/v[0-9]/x$"),
            ("json$", "^/a"),
            ("", "^/a"),
            ("x", "y"),
            ("^/a/.*$", "^/a$|^/a/b$"),
            ("^/[0-9]+$", "^/1{30}$"),
            ("^/a", "^/a"),
        ] {
            let Overlap::At(path) = overlap(a, b) else {
                panic!("{a} and {b}");
            };
            assert!(path.starts_with('/'), "{path}");
            assert!(
                pattern(a).is_match(&path) && pattern(b).is_match(&path),
                "{path}"
            );
        }
    }

    #[test]
    fn what_takes_too_long_is_not_decided() {
        let long = |end: &str| format!("[ab].{{14}}{end}$");
        assert_eq!(overlap(&long("a"), &long("b")), Overlap::Unknown);
    }

    proptest! {
        #[test]
        fn nothing_that_both_match_is_overlooked(
            a in "\\^?/?[ab]{0,2}[.]?\\$?",
            b in "\\^?/?[ab]{0,2}(\\[ab\\][*+])?\\$?",
            path in "/[ab]{0,3}",
        ) {
            if overlap(&a, &b) == Overlap::None {
                let both = pattern(&a).is_match(&path) && pattern(&b).is_match(&path);
                prop_assert!(!both, "{} {} {}", a, b, path);
            }
        }
    }
}
