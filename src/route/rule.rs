//! One route as the table sees it, and what two routes are to each other.

use std::collections::HashMap;

use super::Config;
use super::conditions::Conditions;
use super::host::HostPattern;
use super::pattern::{PathPattern, Segment, Tail};
use crate::problem::Problems;
use crate::value::Name;

/// What a route's config says of the requests that it takes.
pub(super) struct Rule {
    pub name: Name,
    pub host: Option<HostPattern>,
    pub path: PathPattern,
    pub conditions: Conditions,
    pub allow_encoded_slashes: bool,
    /// Whether its config has a `match`, where problems can be shown.
    has_match: bool,
}

impl Rule {
    pub(super) fn new(name: Name, config: &Config) -> Self {
        let matches = &config.matches;
        Rule {
            name,
            host: matches.host.clone(),
            path: matches.path.clone().unwrap_or_else(PathPattern::everything),
            conditions: Conditions::new(matches, config.listeners()),
            allow_encoded_slashes: config.allow_encoded_slashes,
            has_match: *matches != Default::default(),
        }
    }

    fn place(&self) -> Vec<&str> {
        let mut place = vec!["routes", self.name.as_str()];
        place.extend(self.has_match.then_some("match"));
        place
    }

    /// Host and path without the names of captures. Routes that share it meet the same hosts and paths, and of
    /// routes that do not, either precedence decides or neither holds all that the other does.
    fn shape(&self) -> (Option<&HostPattern>, Vec<Option<&str>>, bool) {
        let segments = self.path.segments.iter().map(|segment| match segment {
            Segment::Literal(text) => Some(text.as_str()),
            Segment::Capture(_) => None,
        });
        let open = matches!(self.path.tail, Tail::Rest(_));
        (self.host.as_ref(), segments.collect(), open)
    }

    /// Precedence has nothing to tell them apart, and a request may meet both.
    fn ties_with(&self, other: &Rule) -> bool {
        self.conditions.count() == other.conditions.count()
            && !self.conditions.disjoint(&other.conditions)
    }

    /// It stands before `other`, and takes all that `other` would.
    fn shadows(&self, other: &Rule) -> bool {
        self.conditions.count() > other.conditions.count()
            && self
                .conditions
                .cover(&other.conditions, self.path.only_path().as_deref())
    }
}

/// Reports routes that tie (errors) and routes that can never match (warnings).
pub(super) fn check_together(rules: &[Rule], problems: &mut Problems) {
    let mut alike: HashMap<_, Vec<&Rule>> = HashMap::new();
    for rule in rules {
        let others = alike.entry(rule.shape()).or_default();
        if let Some(other) = others.iter().find(|other| rule.ties_with(other)) {
            report_tie(other, rule, problems);
        }
        for other in &*others {
            if other.shadows(rule) {
                report_shadow(other, rule, problems);
            } else if rule.shadows(other) {
                report_shadow(rule, other, problems);
            }
        }
        others.push(rule);
    }
}

fn report_tie(first: &Rule, second: &Rule, problems: &mut Problems) {
    problems
        .error(
            &second.place(),
            format!(
                "routes `{}` and `{}` can match the same request, and neither takes precedence",
                first.name, second.name
            ),
        )
        .help("give one of them a further condition, or make its host or path more specific")
        .related(&first.place(), "the other route");
}

fn report_shadow(front: &Rule, back: &Rule, problems: &mut Problems) {
    problems
        .warning(
            &back.place(),
            format!(
                "route `{}` can never match: route `{}` stands before it and takes all its requests",
                back.name, front.name
            ),
        )
        .related(&front.place(), "the route in front");
}
