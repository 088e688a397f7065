//! `request` and `response`: headers set, added and removed. What they do to bodies is in `body_transform`.

use std::collections::{BTreeMap, HashMap};

use http::{HeaderName, header};
use serde::{Deserialize, Serialize};

use super::body_transform::step::{self, Step};
use super::stack::{Glance, Outcome};
use super::validate;
use crate::error::Error;
use crate::headers::{Headers, Line};
use crate::message::Request;
use crate::problem::Problems;
use crate::template::{FieldName, HeaderTemplate};
use crate::value::ByteSize;

/// `request`
///
/// Values are made from the request as it came; then headers are removed, set and added, in that order.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct RequestConfig {
    /// In place of all values under that name.
    pub set_headers: BTreeMap<FieldName, HeaderTemplate>,
    /// Beside the values that are there.
    pub add_headers: BTreeMap<FieldName, HeaderTemplate>,
    pub remove_headers: Vec<FieldName>,
    /// A schema for JSON bodies, as they come.
    pub validate: Option<validate::Config>,
    /// Changes of JSON bodies, in order.
    pub body: Vec<Step>,
    /// Bytes that a body may have, after decompression. Default: 1 MiB for a body that is read whole, because
    /// something here looks at it; no limit for one that streams through.
    pub max_body: Option<ByteSize>,
    /// Whether a body that is not JSON by its content type is refused, rather than passed unchanged.
    pub require_json: bool,
}

/// `response`
///
/// Variables stand for facts of the request, as it was before `request` changed it. Answers that the proxy
/// makes out of a failure are not touched.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct ResponseConfig {
    /// In place of all values under that name.
    pub set_headers: BTreeMap<FieldName, HeaderTemplate>,
    /// Beside the values that are there.
    pub add_headers: BTreeMap<FieldName, HeaderTemplate>,
    pub remove_headers: Vec<FieldName>,
    /// A schema for the JSON bodies of successes, as the upstream sends them.
    pub validate: Option<validate::Config>,
    /// Changes of JSON bodies, in order.
    pub body: Vec<Step>,
    /// Bytes that a body may have that is read whole, after decompression. Default: 1 MiB.
    pub max_body: Option<ByteSize>,
    /// Whether a body that is not JSON by its content type is refused, rather than passed unchanged.
    pub require_json: bool,
    /// Whether every answer is put into one shape; see [`super::body_transform::envelope`].
    pub envelope: bool,
}

impl RequestConfig {
    pub(super) fn captures(&self) -> Vec<Capture> {
        self.changes().captures()
    }

    pub(super) fn names_upstream(&self) -> bool {
        self.changes().names_upstream()
    }

    pub(super) fn check(&self, problems: &mut Problems) {
        step::check(&self.body, problems);
        let changes = self.changes();
        changes.check(problems);
        for (place, name) in changes.names() {
            if *name.name() == header::HOST {
                problems
                    .error(
                        &[place[0].as_str(), place[1].as_str()],
                        "`Host` is not a header to change here",
                    )
                    .help("set `rewrite.host` on the route");
            }
        }
    }

    fn changes(&self) -> Changes {
        let RequestConfig {
            set_headers,
            add_headers,
            remove_headers,
            validate: _,
            body: _,
            max_body: _,
            require_json: _,
        } = self.clone();
        Changes {
            set: set_headers,
            add: add_headers,
            remove: remove_headers,
        }
    }
}

impl ResponseConfig {
    pub(super) fn captures(&self) -> Vec<Capture> {
        self.changes().captures()
    }

    pub(super) fn names_upstream(&self) -> bool {
        self.changes().names_upstream()
    }

    pub(super) fn check(&self, problems: &mut Problems) {
        step::check(&self.body, problems);
        self.changes().check(problems);
        let reads = self.validate.is_some() || !self.body.is_empty() || self.envelope;
        if self.max_body.is_some() && !reads {
            problems
                .warning(
                    &["max_body"],
                    "no body is read here, so that none is too large",
                )
                .help("it is the limit of `validate`, `body` and `envelope`");
        }
    }

    fn changes(&self) -> Changes {
        let ResponseConfig {
            set_headers,
            add_headers,
            remove_headers,
            validate: _,
            body: _,
            max_body: _,
            require_json: _,
            envelope: _,
        } = self.clone();
        Changes {
            set: set_headers,
            add: add_headers,
            remove: remove_headers,
        }
    }
}

/// A capture of the path that a value uses: the key and the header of the value, and the capture's name.
type Capture = ([String; 2], String);

/// Changes headers on the way in and on the way back.
pub(super) struct ChangeHeaders {
    request: Plan,
    response: Plan,
}

impl ChangeHeaders {
    /// None when nothing is to be changed.
    pub(super) fn new(
        request: Option<&RequestConfig>,
        response: Option<&ResponseConfig>,
    ) -> Option<Self> {
        let request = request.map(RequestConfig::changes).unwrap_or_default();
        let response = response.map(ResponseConfig::changes).unwrap_or_default();
        let any = !request.is_empty() || !response.is_empty();
        any.then(|| ChangeHeaders {
            request: Plan::new(request),
            response: Plan::new(response),
        })
    }
}

impl Glance for ChangeHeaders {
    /// The values for the answer, which speak of the request as it came.
    type Seen<'a> = Rendered;

    fn enter(&self, request: &mut Request) -> Result<Rendered, Error> {
        let on_the_way_back = self.response.render(request);
        let on_the_way_in = self.request.render(request);
        self.request.apply(&on_the_way_in, &mut request.headers);
        Ok(on_the_way_back)
    }

    fn leave(&self, rendered: Rendered, outcome: Outcome) -> Outcome {
        let mut response = outcome?;
        self.response.apply(&rendered, &mut response.headers);
        Ok(response)
    }
}

#[derive(Default)]
struct Changes {
    set: BTreeMap<FieldName, HeaderTemplate>,
    add: BTreeMap<FieldName, HeaderTemplate>,
    remove: Vec<FieldName>,
}

/// The changes of one message in the order in which they are made.
struct Plan {
    remove: Box<[HeaderName]>,
    put: Box<[Put]>,
}

/// A header that is written.
struct Put {
    name: HeaderName,
    value: Value,
    /// In place of all that are there, and not beside them.
    alone: bool,
}

enum Value {
    Constant(Line),
    Made(HeaderTemplate),
}

/// The values of a message that are not the same for all, one behind the other.
#[derive(Default)]
pub(super) struct Rendered {
    text: Vec<u8>,
    /// Where each of them ends.
    ends: Vec<usize>,
}

impl Plan {
    fn new(changes: Changes) -> Self {
        let Changes { set, add, remove } = changes;
        let puts = |templates: BTreeMap<FieldName, HeaderTemplate>, alone| {
            templates.into_iter().map(move |(name, value)| Put {
                name: name.name().clone(),
                value: match value.constant() {
                    Some(constant) => Value::Constant(Line::new(name.name(), constant)),
                    None => Value::Made(value),
                },
                alone,
            })
        };
        Plan {
            remove: remove.iter().map(|name| name.name().clone()).collect(),
            put: puts(set, true).chain(puts(add, false)).collect(),
        }
    }

    /// Nothing is allocated where all values are constant.
    fn render(&self, request: &Request) -> Rendered {
        let mut rendered = Rendered::default();
        for put in &self.put {
            if let Value::Made(template) = &put.value {
                rendered.text.reserve(64);
                template.render_into(request, &mut rendered.text);
                rendered.ends.push(rendered.text.len());
            }
        }
        rendered
    }

    fn apply(&self, rendered: &Rendered, headers: &mut Headers) {
        for name in &self.remove {
            headers.remove(name);
        }
        let mut start = 0;
        let mut ends = rendered.ends.iter();
        for put in &self.put {
            if put.alone {
                headers.remove(&put.name);
            }
            match &put.value {
                Value::Constant(line) => headers.append_line(line),
                Value::Made(_) => {
                    let end = ends.next().copied().unwrap_or(start);
                    headers.append_bytes(&put.name, &rendered.text[start..end]);
                    start = end;
                }
            }
        }
    }
}

impl Changes {
    fn is_empty(&self) -> bool {
        self.set.is_empty() && self.add.is_empty() && self.remove.is_empty()
    }

    fn check(&self, problems: &mut Problems) {
        for (place, name) in self.names().filter(|(_, name)| name.is_framing()) {
            problems
                .error(
                    &[place[0].as_str(), place[1].as_str()],
                    format!(
                        "`{}` describes the connection, and is written by the protocol",
                        name.as_str()
                    ),
                )
                .help("remove it: these headers are never forwarded as they come");
        }
        let mut first: HashMap<&HeaderName, &FieldName> = HashMap::new();
        for name in self.set.keys() {
            if let Some(first) = first.insert(name.name(), name) {
                problems
                    .error(
                        &["set_headers", name.as_str()],
                        format!("`{}` is set already", name.as_str()),
                    )
                    .help("keep one of them: names of headers are the same in any case")
                    .related(&["set_headers", first.as_str()], "first set here");
            }
        }
    }

    fn names_upstream(&self) -> bool {
        let mut values = self.set.values().chain(self.add.values());
        values.any(HeaderTemplate::names_upstream)
    }

    fn captures(&self) -> Vec<Capture> {
        let of = |key: &'static str, templates: &BTreeMap<FieldName, HeaderTemplate>| {
            let mut found = Vec::new();
            for (name, template) in templates {
                let place = [key.to_owned(), name.as_str().to_owned()];
                found.extend(template.captures().map(|c| (place.clone(), c.to_owned())));
            }
            found
        };
        [of("set_headers", &self.set), of("add_headers", &self.add)].concat()
    }

    /// Every name with its place in the block.
    fn names(&self) -> impl Iterator<Item = ([String; 2], &FieldName)> {
        let of = |key: &'static str, at: &str| [key.to_owned(), at.to_owned()];
        let set = self
            .set
            .keys()
            .map(move |name| (of("set_headers", name.as_str()), name));
        let add = self
            .add
            .keys()
            .map(move |name| (of("add_headers", name.as_str()), name));
        let remove = self
            .remove
            .iter()
            .enumerate()
            .map(move |(index, name)| (of("remove_headers", &index.to_string()), name));
        set.chain(add).chain(remove)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::UPSTREAM_RESET;
    use crate::policy::stack::{Answer, Handler, Policy};
    use crate::testing::{Echo, headers, request};

    fn policy(request: &str, response: &str) -> ChangeHeaders {
        ChangeHeaders::new(
            Some(&toml::from_str(request).unwrap()),
            Some(&toml::from_str(response).unwrap()),
        )
        .unwrap()
    }

    fn shown(headers: &Headers) -> Vec<String> {
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        let mut all: Vec<_> = headers
            .iter()
            .map(|(name, value)| format!("{}: {}", text(name).to_lowercase(), text(value)))
            .collect();
        all.sort();
        all
    }

    #[tokio::test]
    async fn headers_are_removed_set_and_added_in_that_order() {
        let policy = policy(
            r#"
            remove_headers = ["x-secret", "X-Both"]
            set_headers = { x-both = "new", x-old = "was ${header.x-old}" }
            add_headers = { accept = "b", x-copy = "${header.x-secret}" }"#,
            "",
        );
        let mut request = request("GET", "/");
        request.headers = headers(&[
            ("x-secret", "s"),
            ("x-both", "1"),
            ("x-both", "2"),
            ("x-old", "1"),
            ("x-old", "2"),
            ("accept", "a"),
        ]);
        let response = policy.apply(request, &Echo).await.unwrap();
        assert_eq!(
            shown(&response.headers),
            [
                "accept: a",
                "accept: b",
                "x-both: new",
                "x-copy: s",
                "x-old: was 1"
            ]
        );
    }

    #[tokio::test]
    async fn the_answer_s_headers_may_speak_of_the_request() {
        let policy = policy(
            "remove_headers = [\"x-user\"]",
            "set_headers = { x-asked-by = \"${header.x-user}\" }",
        );
        let mut request = request("GET", "/");
        request.headers = headers(&[("x-user", "ann")]);
        let response = policy.apply(request, &Echo).await.unwrap();
        assert_eq!(shown(&response.headers), ["x-asked-by: ann"]);
    }

    #[tokio::test]
    async fn a_failure_passes_untouched() {
        struct Fails;
        impl Handler for Fails {
            fn call<'a>(&'a self, _: Box<Request>) -> Answer<'a> {
                Box::pin(std::future::ready(Err(Error::new(UPSTREAM_RESET, "cut"))))
            }
        }
        let policy = policy("", "set_headers = { a = \"b\" }");
        let error = policy.apply(request("GET", "/"), &Fails).await.unwrap_err();
        assert!(error.headers().is_empty());
    }

    #[test]
    fn nothing_to_change_is_no_policy() {
        assert!(ChangeHeaders::new(None, None).is_none());
        assert!(ChangeHeaders::new(Some(&RequestConfig::default()), None).is_none());
    }

    #[test]
    fn headers_of_the_connection_are_out_of_reach() {
        let config: RequestConfig = toml::from_str(
            r#"
            set_headers = { Host = "x", x-fine = "1", Content-Length = "3" }
            add_headers = { connection = "close" }
            remove_headers = ["ok", "transfer-encoding"]"#,
        )
        .unwrap();
        let mut problems = Problems::default();
        config.check(&mut problems);
        let mut places: Vec<_> = problems
            .into_vec()
            .into_iter()
            .map(|p| p.at.join("."))
            .collect();
        places.sort();
        assert_eq!(
            places,
            [
                "add_headers.connection",
                "remove_headers.1",
                "set_headers.Content-Length",
                "set_headers.Host"
            ]
        );
    }
}
