//! Path patterns by segment, so that a lookup costs the depth of a path and not the number of routes.

use std::collections::HashMap;

use super::pattern::{PathPattern, Segment, Tail, next_segment};

/// A node to each prefix of segments. Values are indices of routes, and keep the order of insertion.
pub(super) struct Trie {
    nodes: Vec<Node>,
}

#[derive(Default)]
struct Node {
    literals: Children,
    /// The node behind `{name}`.
    capture: Option<usize>,
    /// Patterns that end here.
    ends: Vec<usize>,
    /// Patterns that take whatever follows.
    rests: Vec<usize>,
}

impl Default for Trie {
    fn default() -> Self {
        Trie {
            nodes: vec![Node::default()],
        }
    }
}

impl Trie {
    pub(super) fn insert(&mut self, pattern: &PathPattern, route: usize) {
        let mut node = 0;
        for segment in &pattern.segments {
            let fresh = self.nodes.len();
            node = match segment {
                Segment::Literal(text) => self.nodes[node].literals.get_or_insert(text, fresh),
                Segment::Capture(_) => *self.nodes[node].capture.get_or_insert(fresh),
            };
            if node == fresh {
                self.nodes.push(Node::default());
            }
        }
        match pattern.tail {
            Tail::End => self.nodes[node].ends.push(route),
            Tail::Rest(_) => self.nodes[node].rests.push(route),
        }
    }

    /// Shows `visit` the routes whose pattern takes `path`, the most specific first, until it returns true;
    /// says whether it did.
    pub(super) fn visit(&self, path: &str, visit: &mut impl FnMut(usize) -> bool) -> bool {
        self.descend(&self.nodes[0], path.strip_prefix('/'), visit)
    }

    /// Each node is met at most once, at its own depth, and the depth is that of the longest pattern.
    fn descend(
        &self,
        node: &Node,
        rest: Option<&str>,
        visit: &mut impl FnMut(usize) -> bool,
    ) -> bool {
        match rest {
            None => {
                if node.ends.iter().any(|route| visit(*route)) {
                    return true;
                }
            }
            Some(rest) if node.has_children() => {
                let (segment, after) = next_segment(rest);
                if let Some(child) = node.literals.get(segment)
                    && self.descend(&self.nodes[child], after, visit)
                {
                    return true;
                }
                if let Some(child) = node.capture
                    && !segment.is_empty()
                    && self.descend(&self.nodes[child], after, visit)
                {
                    return true;
                }
            }
            Some(_) => {}
        }
        node.rests.iter().any(|route| visit(*route))
    }
}

impl Node {
    fn has_children(&self) -> bool {
        self.capture.is_some() || !self.literals.is_empty()
    }
}

/// Children by literal segment: a few are searched in order, many are hashed.
enum Children {
    Few(Vec<(Box<str>, usize)>),
    Many(HashMap<Box<str>, usize>),
}

/// Above this, hashing a segment costs less than comparing it.
const FEW: usize = 8;

impl Default for Children {
    fn default() -> Self {
        Children::Few(Vec::new())
    }
}

impl Children {
    fn is_empty(&self) -> bool {
        matches!(self, Children::Few(few) if few.is_empty())
    }

    fn get(&self, segment: &str) -> Option<usize> {
        match self {
            Children::Few(few) => few
                .iter()
                .find(|(text, _)| **text == *segment)
                .map(|(_, child)| *child),
            Children::Many(many) => many.get(segment).copied(),
        }
    }

    fn get_or_insert(&mut self, segment: &str, fresh: usize) -> usize {
        if let Some(child) = self.get(segment) {
            return child;
        }
        match self {
            Children::Few(few) if few.len() < FEW => few.push((segment.into(), fresh)),
            Children::Few(few) => {
                let mut many: HashMap<_, _> = few.drain(..).collect();
                many.insert(segment.into(), fresh);
                *self = Children::Many(many);
            }
            Children::Many(many) => {
                many.insert(segment.into(), fresh);
            }
        }
        fresh
    }
}
