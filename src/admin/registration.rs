//! What is registered, and what becomes of it.

use axum::body::Bytes;
use http::{HeaderMap, StatusCode, header};
use serde::Serialize;
use serde_json::Value;

/// What can be registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Route,
    Upstream,
}

impl Kind {
    pub const ALL: [Kind; 2] = [Kind::Route, Kind::Upstream];

    /// What one of its kind is called.
    pub const fn word(self) -> &'static str {
        match self {
            Kind::Route => "route",
            Kind::Upstream => "upstream",
        }
    }

    /// The root table in which they stand.
    pub const fn table(self) -> &'static str {
        match self {
            Kind::Route => "routes",
            Kind::Upstream => "upstreams",
        }
    }
}

/// How it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Toml,
    Json,
}

/// Something to be registered, or to be no more.
#[derive(Clone, Debug)]
pub struct Registration {
    pub kind: Kind,
    /// As somebody has written it.
    pub name: String,
    /// None: it goes.
    pub content: Option<(Format, Bytes)>,
    pub condition: Condition,
}

/// What must hold of the entity tag of what is there (RFC 9110, section 13.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    /// `If-Match`.
    pub one_of: Option<Tags>,
    /// `If-None-Match`.
    pub none_of: Option<Tags>,
}

/// Entity tags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tags {
    /// `*`
    Any,
    These(Vec<String>),
}

/// What was done; of several, with the last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Registered {
    /// Generation of the config that serves now.
    pub generation: u64,
    /// Nothing of this name was there before.
    pub created: bool,
    /// Of what is there now; None when that is nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
}

/// Why something was not done. All is as it was before, unless it says otherwise.
#[derive(Clone, Debug, PartialEq)]
pub enum NotRegistered {
    /// The name or the body cannot be read.
    Unreadable(String),
    /// Nothing of this name is registered.
    Nothing(String),
    /// Nothing can be registered here, or this is no matter of registering.
    Conflict(String),
    /// Somebody else has changed it meanwhile; what is there now.
    Changed(Option<String>),
    /// The config would have errors: the report, and each as JSON.
    Wrong(String, Value),
    /// There is no room to write it.
    NoSpace(String),
    /// It cannot be tried now.
    Busy(String),
    /// It could not be written, or did not come to serve.
    Failed(String),
}

impl Tags {
    fn has(&self, etag: Option<&str>) -> bool {
        match (self, etag) {
            (_, None) => false,
            (Tags::Any, Some(_)) => true,
            (Tags::These(tags), Some(etag)) => tags.iter().any(|tag| tag == etag),
        }
    }
}

impl Condition {
    /// Whether it holds of what has this entity tag; None: of what is not there.
    pub fn holds(&self, etag: Option<&str>) -> bool {
        self.one_of.as_ref().is_none_or(|tags| tags.has(etag))
            && self.none_of.as_ref().is_none_or(|tags| !tags.has(etag))
    }

    pub(super) fn of(headers: &HeaderMap) -> Self {
        let tags = |name| {
            let all: Vec<String> = headers
                .get_all(name)
                .iter()
                .flat_map(|value| value.as_bytes().split(|b| *b == b','))
                .map(|tag| String::from_utf8_lossy(tag.trim_ascii()).into_owned())
                .collect();
            match all.as_slice() {
                [] => None,
                tags if tags.iter().any(|tag| tag == "*") => Some(Tags::Any),
                _ => Some(Tags::These(all)),
            }
        };
        Condition {
            one_of: tags(header::IF_MATCH),
            none_of: tags(header::IF_NONE_MATCH),
        }
    }
}

impl NotRegistered {
    /// The status of an answer that says so.
    pub fn status(&self) -> StatusCode {
        match self {
            NotRegistered::Unreadable(_) => StatusCode::BAD_REQUEST,
            NotRegistered::Nothing(_) => StatusCode::NOT_FOUND,
            NotRegistered::Conflict(_) => StatusCode::CONFLICT,
            NotRegistered::Changed(_) => StatusCode::PRECONDITION_FAILED,
            NotRegistered::Wrong(..) => StatusCode::UNPROCESSABLE_ENTITY,
            NotRegistered::NoSpace(_) => StatusCode::INSUFFICIENT_STORAGE,
            NotRegistered::Busy(_) => StatusCode::SERVICE_UNAVAILABLE,
            NotRegistered::Failed(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn condition(fields: &[(&'static str, &str)]) -> Condition {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, value.parse().unwrap());
        }
        Condition::of(&headers)
    }

    #[test]
    fn a_condition_is_about_what_is_there() {
        let none = condition(&[]);
        assert!(none.holds(None) && none.holds(Some("\"a\"")));
        let new = condition(&[("if-none-match", "*")]);
        assert!(new.holds(None) && !new.holds(Some("\"a\"")));
        let any = condition(&[("if-match", "*")]);
        assert!(!any.holds(None) && any.holds(Some("\"a\"")));
        let one = condition(&[("if-match", "\"a\", \"b\""), ("if-match", "\"c\"")]);
        assert!(one.holds(Some("\"c\"")) && one.holds(Some("\"b\"")));
        assert!(!one.holds(Some("\"d\"")) && !one.holds(None));
        // A weak one proves nothing.
        assert!(!condition(&[("if-match", "W/\"a\"")]).holds(Some("\"a\"")));
    }
}
