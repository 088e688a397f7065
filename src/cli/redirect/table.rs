//! What `iptables -t nat -S` shows of our chains.

use super::rule::Rule;

/// Which way connections go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Outbound,
    Inbound,
}

impl Direction {
    pub const BOTH: [Direction; 2] = [Direction::Outbound, Direction::Inbound];

    /// Our chain.
    pub fn chain(self) -> &'static str {
        match self {
            Direction::Outbound => "OUTRIGGER_OUTBOUND",
            Direction::Inbound => "OUTRIGGER_INBOUND",
        }
    }

    /// The kernel's chain.
    pub fn hook(self) -> &'static str {
        match self {
            Direction::Outbound => "OUTPUT",
            Direction::Inbound => "PREROUTING",
        }
    }

    /// The rule that leads from the kernel's chain to ours.
    pub fn jump(self) -> String {
        format!("{} -p tcp -j {}", self.hook(), self.chain())
    }
}

/// What is there of ours, in one family and flavour.
#[derive(Debug, Default)]
pub(super) struct Table {
    lines: Vec<String>,
}

/// A rule of one of our chains.
pub(super) enum Seen<'t> {
    Ours(Rule),
    /// Somebody else has put it there.
    Foreign(&'t str),
}

impl Table {
    /// `text` is what iptables printed.
    pub fn new(text: &str) -> Self {
        let ours = |line: &&str| Direction::BOTH.iter().any(|d| line.contains(d.chain()));
        Table {
            lines: text
                .lines()
                .map(str::trim)
                .filter(ours)
                .map(str::to_owned)
                .collect(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Whether the chain is there.
    pub fn has(&self, direction: Direction) -> bool {
        let made = format!("-N {}", direction.chain());
        self.lines.contains(&made)
    }

    /// How many times the kernel's chain leads to ours.
    pub fn jumps(&self, direction: Direction) -> usize {
        let jump = format!("-A {}", direction.jump());
        self.lines.iter().filter(|line| **line == jump).count()
    }

    /// What is in the chain.
    pub fn rules(&self, direction: Direction) -> Vec<Seen<'_>> {
        let start = format!("-A {} ", direction.chain());
        let texts = self
            .lines
            .iter()
            .filter_map(|line| line.strip_prefix(&start));
        let seen = texts.map(|text| Rule::parse(text).map_or(Seen::Foreign(text), Seen::Ours));
        seen.collect()
    }
}
