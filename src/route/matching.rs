//! Which route a request belongs to.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::value::{Name, OneOrMany};

/// `match`: every condition given must hold; one left out always does.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct MatchConfig {
    /// Exact, or `*.suffix`. The port is ignored.
    pub host: Option<String>,
    /// Literal segments, `{name}` for one segment, `{*name}` for the rest.
    pub path: Option<String>,
    /// A further condition on the whole path.
    pub path_regex: Option<String>,
    pub methods: Option<Vec<String>>,
    pub headers: BTreeMap<String, ValueMatch>,
    pub query: BTreeMap<String, ValueMatch>,
    /// Only for callers of these listeners.
    pub listener: Option<OneOrMany<Name>>,
}

/// What a header or a query parameter must be.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(untagged)]
pub enum ValueMatch {
    /// The exact value; `"*"`: any, but present.
    Exact(String),
    Regex {
        regex: String,
    },
}
