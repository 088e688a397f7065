//! One route as the table sees it, and what two routes are to each other.

use std::collections::HashMap;

use http::Method;

use super::Config;
use super::conditions::Conditions;
use super::host::HostPattern;
use super::overlap::{Overlap, Overlaps};
use super::pattern::{PathPattern, Segment, Tail};
use crate::value::Name;
use crate::value::problem::Problems;

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
    fn ties_with(&self, other: &Rule, overlaps: &mut Overlaps) -> bool {
        self.conditions.count() == other.conditions.count()
            && !self.conditions.disjoint(&other.conditions, overlaps)
    }

    /// It stands before `other`, and takes all that `other` would of this listener and this method; none: of any.
    fn is_in_front_of(&self, other: &Rule, listener: &Name, method: Option<&Method>) -> bool {
        self.conditions.count() > other.conditions.count()
            && self.conditions.admits(listener, method)
            && self
                .conditions
                .cover(&other.conditions, self.path.only_path().as_deref())
    }
}

/// The rules, those that meet the same hosts and paths together.
fn alike(rules: &[Rule]) -> Vec<Vec<&Rule>> {
    let mut places = HashMap::new();
    let mut groups: Vec<Vec<&Rule>> = Vec::new();
    for rule in rules {
        let place = *places.entry(rule.shape()).or_insert(groups.len());
        match groups.get_mut(place) {
            Some(group) => group.push(rule),
            None => groups.push(vec![rule]),
        }
    }
    groups
}

/// Reports routes that tie.
pub(super) fn check_together(rules: &[Rule], problems: &mut Problems) {
    let mut overlaps = Overlaps::default();
    for group in alike(rules) {
        for (index, rule) in group.iter().enumerate() {
            let mut others = group[..index].iter();
            if let Some(other) = others.find(|other| rule.ties_with(other, &mut overlaps)) {
                report_tie(other, rule, &mut overlaps, problems);
            }
        }
    }
}

/// Warns of routes that can never match, because others stand before them and take all of their requests between
/// them. `listeners` are all that there are.
pub(super) fn check_shadows(rules: &[Rule], listeners: &[Name], problems: &mut Problems) {
    for group in alike(rules) {
        for rule in &group {
            if let Some(front) = those_in_front(rule, &group, listeners) {
                report_shadow(&front, rule, problems);
            }
        }
    }
}

/// Rules that take all requests of `rule` between them: of each listener and each method that it names, one takes
/// them all.
fn those_in_front<'r>(
    rule: &Rule,
    group: &[&'r Rule],
    listeners: &[Name],
) -> Option<Vec<&'r Rule>> {
    let methods: Vec<Option<&Method>> = match rule.conditions.methods() {
        Some(methods) => methods.iter().map(Some).collect(),
        None => vec![None],
    };
    let mut front: Vec<&Rule> = Vec::new();
    for listener in rule.conditions.listeners(listeners) {
        for method in &methods {
            let takes = |other: &&&Rule| other.is_in_front_of(rule, listener, *method);
            let known = front.iter().any(|other| takes(&other));
            if !known {
                front.push(group.iter().find(takes)?);
            }
        }
    }
    (!front.is_empty()).then_some(front)
}

fn report_tie(first: &Rule, second: &Rule, overlaps: &mut Overlaps, problems: &mut Problems) {
    let help = match first.conditions.common_path(&second.conditions, overlaps) {
        Some(Overlap::At(path)) => format!(
            "`{path}` matches both `path_regex`: narrow one, or put a `path` beside it, such as \"/v1/{{*rest}}\""
        ),
        Some(_) => "whether a path can match both `path_regex` is not known: put a `path` beside one of them, such as \
                    \"/v1/{*rest}\""
            .to_owned(),
        None => "give one of them a further condition, or make its host or path more specific".to_owned(),
    };
    problems
        .error(
            &second.place(),
            format!(
                "routes `{}` and `{}` can match the same request, and neither takes precedence",
                first.name, second.name
            ),
        )
        .help(help)
        .related(&first.place(), "the other route");
}

fn report_shadow(front: &[&Rule], back: &Rule, problems: &mut Problems) {
    let names: Vec<String> = front
        .iter()
        .map(|rule| format!("`{}`", rule.name))
        .collect();
    let message = match names.as_slice() {
        [one] => format!(
            "route `{}` can never match: route {one} stands before it and takes all its requests",
            back.name
        ),
        several => format!(
            "route `{}` can never match: routes {} stand before it and take all its requests between them",
            back.name,
            several.join(", ")
        ),
    };
    let problem = problems.warning(&back.place(), message);
    for rule in front {
        problem.related(&rule.place(), "a route in front");
    }
}
