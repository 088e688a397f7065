//! What would become of a request, and why: the question, the answer, and that in words.
//!
//! [`Explanation`] is the body of `POST /explain` and what `outrigger explain --json` prints. Keys may be added to it; those that
//! are there keep their names and meanings.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::value::OneOrMany;

mod style;
mod words;

pub use style::Style;

/// The request that is asked about.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// Default: GET.
    #[serde(default = "get")]
    pub method: String,
    /// `http://host/path?query`, or what stands in a request line, such as `/path`.
    pub url: String,
    /// By name, one value or a list of them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, OneOrMany<String>>,
    /// The listener that accepts it. Default: the one with the port of the URL, or the first by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listener: Option<String>,
    /// The caller's address. Default: 127.0.0.1, and none on a unix socket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// What the caller's certificate proves: `spiffe://…`, or `dns:NAME`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
    /// Where a redirected connection was to go: an address with its port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original: Option<String>,
    /// Default: an empty one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
}

fn get() -> String {
    "GET".to_owned()
}

/// The answer. What is secret in it is struck out.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
pub struct Explanation {
    /// The request as it is matched.
    pub request: Seen,
    /// The route that takes it; none: it is refused before it has one, or answered by the listener.
    pub route: Option<Chosen>,
    /// The routes that do not take it.
    pub passed_over: Vec<PassedOver>,
    /// What applies to it, in the order in which it is met.
    pub policies: Vec<Policy>,
    pub target: Option<Target>,
    /// What the target is given; none: it does not get that far.
    pub sends: Option<Sent>,
    pub outcome: Outcome,
    /// What cannot be known here, or is worth knowing beside it.
    pub notes: Vec<String>,
    /// Of a running proxy: the generation of the config that serves. None: the files alone were asked.
    pub generation: Option<u64>,
}

impl Explanation {
    /// Whether a route takes it, and lets it get to its target.
    pub fn is_served(&self) -> bool {
        self.route.is_some() && self.outcome.kind != OutcomeKind::Refused
    }
}

/// A request as it is matched, its path in the one form.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
pub struct Seen {
    pub method: String,
    pub host: Option<String>,
    pub path: String,
    pub query: Option<String>,
    pub listener: String,
    /// The address by which it is counted.
    pub client: Option<String>,
}

/// The route that takes a request.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
pub struct Chosen {
    pub name: String,
    /// Where it stands, as `file:line`.
    pub place: Option<String>,
    /// What its path captures.
    pub captures: BTreeMap<String, String>,
    /// It takes a preflight (CORS) for the request that this announces.
    pub preflight: bool,
}

/// A route that does not take the request.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
pub struct PassedOver {
    pub route: String,
    /// The key of the first condition that does not hold; none where another route takes precedence.
    pub condition: Option<String>,
    /// In words: what the route wants, and what the request has.
    pub why: String,
}

/// A policy of the route.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
pub struct Policy {
    pub key: String,
    /// What holds, defaults filled in; `false`: it is turned off.
    pub value: Value,
    pub set: Set,
    /// Keys of the value that nobody has set.
    pub defaults: Vec<String>,
    /// How it is now, of a running proxy.
    pub state: Option<Value>,
}

/// Who has set a value.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
pub struct Set {
    pub by: SetBy,
    /// As `file:line`; none for a default, and where the files are not those that serve.
    pub place: Option<String>,
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum SetBy {
    Route,
    /// `[defaults]`
    Defaults,
    /// Nobody.
    Default,
    /// The files cannot tell.
    Unknown,
}

/// Where the requests of a route go.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
pub struct Target {
    /// Its key: `"upstream"`, `"split"`, `"respond"` and so on.
    pub kind: String,
    pub value: Value,
    pub place: Option<String>,
    /// `rewrite`, `mirror` and `sticky` of the route, as far as they are set.
    pub options: BTreeMap<String, Value>,
    /// How what it needs is doing, of a running proxy: as `parts` of `GET /routes/{name}/health`.
    pub state: Option<Value>,
}

/// A request as its target is given it.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
pub struct Sent {
    pub method: String,
    pub host: Option<String>,
    pub path: String,
    pub headers: Vec<Field>,
}

/// A header field.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
pub struct Field {
    pub name: String,
    pub value: String,
}

/// What would happen.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
pub struct Outcome {
    pub kind: OutcomeKind,
    /// In words, such as "refused: 429 rate_limited".
    pub summary: String,
    /// Of an answer that is made here, a refusal among them.
    pub status: Option<u16>,
    /// Of a refusal: its name in metrics and in `outrigger-reason`.
    pub reason: Option<String>,
    /// Of a refusal: what its caller is told.
    pub detail: Option<String>,
    /// Headers of an answer that is made here.
    pub headers: Vec<Field>,
    pub upstream: Option<String>,
    /// The endpoint that the balancer leans to now, if it leans to one.
    pub endpoint: Option<String>,
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum OutcomeKind {
    /// To an upstream.
    Forward,
    /// Made here.
    Answer,
    Publish,
    Sql,
    /// A file would be written or deleted.
    Write,
    Refused,
    /// What it depends on cannot be known here: `summary` says what.
    Unknown,
}
