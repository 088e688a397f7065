//! `rewrite`: what the upstream sees instead.

use http::header;
use http::uri::Authority;
use serde::{Deserialize, Serialize};

use crate::http::error::Error;
use crate::http::message::{Captures, Request};
use crate::http::path::{canonical, normalise, with_query};
use crate::value::Wrong;
use crate::value::template::bare;

/// `rewrite`
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct RewriteConfig {
    /// A new path; `${path.NAME}` stands for what the match found under that name. The query stays.
    pub path: Option<PathTemplate>,
    /// A new `Host`; `"upstream"` sends the endpoint's name.
    pub host: Option<HostRewrite>,
}

/// Changes a request on its way to the upstream.
#[derive(Clone, Debug)]
pub struct Rewrite {
    path: Option<PathTemplate>,
    host: Option<HostRewrite>,
}

impl Rewrite {
    pub fn new(config: &RewriteConfig) -> Self {
        let RewriteConfig { path, host } = config.clone();
        Rewrite { path, host }
    }

    /// Whether the endpoint's name is to be sent as `Host`. Whoever picks the endpoint does that.
    pub fn sends_upstream_host(&self) -> bool {
        self.host == Some(HostRewrite::Upstream)
    }

    /// Sets path and host, as far as they are known before an endpoint is picked.
    ///
    /// What captures stand for is percent-encoded already and goes in as it is. `*` (of `OPTIONS *`) and the
    /// target of `CONNECT` stay.
    ///
    /// # Errors
    /// `bad_path` when the new path is longer than a URI may be.
    pub fn apply(&self, request: &mut Request) -> Result<(), Error> {
        let has_path = request.target.as_str() != "*" && request.method != http::Method::CONNECT;
        if let Some(template) = &self.path
            && has_path
        {
            let path = template.fill(&request.context.captures);
            let target = with_query(&path, request.target.query())?;
            // Captures that are empty can leave `//` behind.
            request.target = normalise(target)?.target;
        }
        if let Some(HostRewrite::Fixed(host)) = &self.host {
            request.authority = Some(host.clone());
            // The protocols write it from the authority.
            request.headers.remove(&header::HOST);
        }
        Ok(())
    }
}

/// A path with `${path.NAME}` for what the match found.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct PathTemplate {
    text: String,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq)]
enum Part {
    Literal(String),
    Capture(String),
}

impl PathTemplate {
    /// Names of the captures that it uses.
    pub fn captures(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Literal(_) => None,
            Part::Capture(name) => Some(name.as_str()),
        })
    }

    /// With what the match found.
    pub(super) fn fill(&self, captures: &Captures) -> String {
        let mut path = String::with_capacity(self.text.len() + 32);
        for part in &self.parts {
            path.push_str(match part {
                Part::Literal(text) => text,
                Part::Capture(name) => captures.get(name).unwrap_or_default(),
            });
        }
        path
    }
}

impl TryFrom<String> for PathTemplate {
    type Error = Wrong;

    fn try_from(text: String) -> Result<Self, Wrong> {
        if !text.starts_with('/') {
            return Err(Wrong::new(format!("the path `{text}` must begin with `/`"))
                .help(format!("write \"/{text}\"")));
        }
        if text.contains(['?', '#']) {
            return Err(Wrong::new(format!("`{text}` is more than a path"))
                .help("the query stays as it came"));
        }
        let mut parts = Vec::new();
        let mut rest = text.as_str();
        while let Some((literal, behind)) = rest.split_once('{') {
            let Some((variable, after)) = behind.split_once('}') else {
                return Err(format!("a `{{` is not closed in `{text}`").into());
            };
            let Some(literal) = literal.strip_suffix('$') else {
                return Err(bare(variable));
            };
            let Some(name) = variable
                .strip_prefix("path.")
                .filter(|name| !name.is_empty())
            else {
                return Err(
                    Wrong::new(format!("`${{{variable}}}` is not known in a path"))
                        .help("write `${path.NAME}` for what `{NAME}` matched"),
                );
            };
            parts.push(Part::Literal(encoded(literal)?));
            parts.push(Part::Capture(name.to_owned()));
            rest = after;
        }
        parts.push(Part::Literal(encoded(rest)?));
        Ok(PathTemplate { text, parts })
    }
}

impl From<PathTemplate> for String {
    fn from(template: PathTemplate) -> String {
        template.text
    }
}

/// A piece of a path as [`canonical`] would have it, `//` and dots aside: they depend on the pieces around.
fn encoded(piece: &str) -> Result<String, String> {
    if piece.contains('}') {
        return Err(format!("a `}}` without `{{` in `{piece}`"));
    }
    let segments: Result<Vec<_>, _> = piece
        .split('/')
        .map(|segment| match canonical(&format!("/{segment}")) {
            None => Err(format!("`{segment}` has a malformed percent escape")),
            // A dot segment, which is settled when the path is whole.
            Some(path) if path.text == "/" => Ok(segment.to_owned()),
            Some(path) => Ok(path.text[1..].to_owned()),
        })
        .collect();
    segments.map(|segments| segments.join("/"))
}

/// `host` of a `rewrite`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub enum HostRewrite {
    /// `"upstream"`: the name of the endpoint that is picked.
    Upstream,
    Fixed(Authority),
}

impl TryFrom<String> for HostRewrite {
    type Error = Wrong;

    fn try_from(text: String) -> Result<Self, Wrong> {
        if text == "upstream" {
            return Ok(HostRewrite::Upstream);
        }
        match text.parse::<Authority>() {
            Ok(host) if !text.contains('@') => Ok(HostRewrite::Fixed(host)),
            _ => Err(Wrong::new(format!("`{text}` is not a host"))
                .help("write \"name\", \"name:port\" or \"upstream\"")),
        }
    }
}

impl From<HostRewrite> for String {
    fn from(host: HostRewrite) -> String {
        match host {
            HostRewrite::Upstream => "upstream".to_owned(),
            HostRewrite::Fixed(host) => host.as_str().to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{headers, request};
    use proptest::prelude::*;

    fn rewrite(path: &str, host: Option<&str>) -> Rewrite {
        Rewrite {
            path: Some(path.to_owned().try_into().unwrap()),
            host: host.map(|host| host.to_owned().try_into().unwrap()),
        }
    }

    fn rewritten(template: &str, target: &str, captures: &[(&str, &str)]) -> String {
        let mut request = request("GET", target);
        for (name, text) in captures {
            request.context.captures.push((*name).into(), text);
        }
        rewrite(template, None).apply(&mut request).unwrap();
        request.target.to_string()
    }

    #[test]
    fn captures_go_in_as_they_are_and_the_query_stays() {
        for (template, target, captures, expected) in [
            (
                "/internal/${path.rest}",
                "/x/a%20b/?q=1",
                &[("rest", "a%20b/")][..],
                "/internal/a%20b/?q=1",
            ),
            (
                "/internal/${path.rest}",
                "/x",
                &[("rest", "")],
                "/internal/",
            ),
            (
                "/u/${path.id}/${path.rest}",
                "/x",
                &[("id", "7"), ("rest", "")],
                "/u/7/",
            ),
            ("/a/${path.rest}/b", "/x", &[("rest", "")], "/a/b"),
            (
                "/v${path.v}-${path.id}",
                "/x",
                &[("v", "2"), ("id", "%2F")],
                "/v2-%2F",
            ),
            ("/fixed", "/x?y", &[], "/fixed?y"),
            ("/caf\u{e9}", "/x", &[], "/caf%C3%A9"),
            ("/a/../${path.id}", "/x", &[("id", "7")], "/7"),
            ("/p", "*", &[], "*"),
        ] {
            assert_eq!(
                rewritten(template, target, captures),
                expected,
                "{template}"
            );
        }
    }

    #[test]
    fn a_fixed_host_replaces_what_the_caller_asked_for() {
        let mut request = request("GET", "/");
        request.headers = headers(&[("host", "old")]);
        rewrite("/", Some("new:8080")).apply(&mut request).unwrap();
        assert_eq!(request.authority.unwrap(), "new:8080");
        assert!(request.headers.is_empty());
        assert!(rewrite("/", Some("upstream")).sends_upstream_host());
    }

    #[test]
    fn problems_are_found_at_load() {
        for (text, part) in [
            ("a", "must begin"),
            ("/a?b", "the query stays"),
            ("/{a", "not closed"),
            ("/a}", "without"),
            ("/{*rest}", "write `${path.rest}`"),
            ("/{id}", "write `${path.id}`"),
            ("/${id}", "write `${path.NAME}`"),
            ("/${path.}", "not known"),
            ("/%zz", "malformed"),
        ] {
            let error = PathTemplate::try_from(text.to_owned()).unwrap_err();
            assert!(error.to_string().contains(part), "{text}: {error}");
        }
        for bad in ["", "a b", "user@host", "a/b"] {
            assert!(HostRewrite::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_comes_out_has_the_one_form(template in "/([a-z{}/.%é]|\\$\\{path\\.[ab]\\}){0,12}", a in "[a-z/]{0,6}") {
            if let Ok(template) = PathTemplate::try_from(template) {
                let mut request = request("GET", "/x?q");
                let names: Vec<String> = template.captures().map(str::to_owned).collect();
                for name in names {
                    request.context.captures.push(name.as_str().into(), &a);
                }
                let rewrite = Rewrite { path: Some(template), host: None };
                rewrite.apply(&mut request).unwrap();
                let again = normalise(request.target.clone()).unwrap();
                prop_assert_eq!(again.target.as_str(), request.target.as_str());
            }
        }
    }
}
