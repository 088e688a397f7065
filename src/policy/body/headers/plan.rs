//! The changes of one message, compiled once: what goes is found in one pass, and what is the same for all requests is
//! a line already.

use std::collections::BTreeMap;

use http::HeaderName;

use super::changes::Changes;
use crate::http::headers::{Line, NameSet};
use crate::value::FieldName;
use crate::value::template::HeaderTemplate;

/// The changes in the order in which they are made.
pub struct Plan {
    /// What is removed, and what is set: that goes first in any case.
    pub(super) gone: NameSet,
    /// What is set, and what is added, behind all that is left.
    pub(super) put: Box<[Put]>,
    /// How many of them are not the same for all requests.
    pub(super) made: usize,
}

/// A header that is written.
pub(super) enum Put {
    Constant(Line),
    Made(HeaderName, HeaderTemplate),
}

impl Plan {
    pub fn new(changes: Changes) -> Self {
        let Changes { set, add, remove } = changes;
        let gone = remove.iter().chain(set.keys()).map(FieldName::name);
        let gone = gone.collect();
        let put: Box<[Put]> = puts(set).chain(puts(add)).collect();
        Plan {
            gone,
            made: put
                .iter()
                .filter(|put| matches!(put, Put::Made(..)))
                .count(),
            put,
        }
    }
}

fn puts(templates: BTreeMap<FieldName, HeaderTemplate>) -> impl Iterator<Item = Put> {
    templates.into_iter().map(|(name, value)| {
        let name = name.name();
        match value.constant() {
            Some(constant) => Put::Constant(Line::new(name, constant)),
            None => Put::Made(name.clone(), value),
        }
    })
}
