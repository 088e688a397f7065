//! Header names and values as the config writes them; values may hold `${…}` variables.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::HeaderValue;
use serde::{Deserialize, Serialize, Serializer};

use crate::value::problem::Problems;
use crate::value::{REDACTED, Wrong, names_a_secret, unpadded};

mod body;
mod field_name;
mod variables;

pub use body::BodyTemplate;
pub use field_name::FieldName;
pub use variables::{Values, bare, bare_capture};

use variables::{Part, Place};

/// Shows headers of a config without the text of those that are likely to hold a credential.
pub fn shown<S: Serializer>(
    headers: &BTreeMap<FieldName, HeaderTemplate>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(headers.iter().map(|(name, value)| {
        let hidden = names_a_secret(name.as_str()) && value.has_text();
        (
            name,
            if hidden {
                REDACTED
            } else {
                value.text.as_str()
            },
        )
    }))
}

/// A header value in the config: text with variables, `$${` standing for a plain `${`.
///
/// | variable | stands for |
/// | --- | --- |
/// | `${request_id}` | the request's `X-Request-Id` |
/// | `${client.ip}` | the caller's address; empty for a caller on a unix socket |
/// | `${client.identity}` | who the caller has proven to be by its certificate, such as `spiffe://td/app`; empty without one |
/// | `${path.NAME}` | what `{NAME}` matched, percent-encoded as in the path; empty without such a name |
/// | `${header.NAME}` | the first value of that request header; empty without it |
/// | `${jwt.CLAIM}` | that claim of the caller's verified token; empty without it |
/// | `${route}` | the route's name |
/// | `${upstream}` | the name of the upstream that gets the request; empty where a route answers itself |
///
/// A variable whose value could not stand in a header (a control character) is empty, so that nothing a
/// caller sends can add a header. Blanks at either end are left out, as no value of a header may begin or end with one
/// (RFC 9113, section 8.2.1).
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct HeaderTemplate {
    text: String,
    parts: Vec<Part>,
    /// The value, when no variable changes it.
    constant: Option<HeaderValue>,
}

impl HeaderTemplate {
    /// Reads the location of a redirect, which knows `${query}` as well.
    ///
    /// # Errors
    /// A sentence saying what is wrong with the text.
    pub fn of_location(text: String) -> Result<Self, Wrong> {
        Self::parse(text, Place::Location)
    }

    /// The names of the path's captures that this template uses.
    pub fn captures(&self) -> impl Iterator<Item = &str> {
        captures(&self.parts)
    }

    /// Whether there is more to it than variables.
    fn has_text(&self) -> bool {
        let text = |part: &Part| matches!(part, Part::Literal(_));
        self.parts.iter().any(text)
    }

    /// Whether it has to be known which upstream gets the request.
    pub fn names_upstream(&self) -> bool {
        self.parts.contains(&Part::Upstream)
    }

    /// Whether it has `${query}`.
    pub fn names_query(&self) -> bool {
        self.parts.contains(&Part::Query)
    }

    /// Warns of blanks, and of what cannot be seen, at an end of the text: they are left out.
    pub fn check(&self, place: &[&str], problems: &mut Problems) {
        if unpadded(&self.text).len() != self.text.len() {
            problems
                .warning(
                    place,
                    "this value begins or ends with a blank or an invisible character, which is left out",
                )
                .help("remove it: no value of a header may begin or end with a blank");
        }
    }

    /// The value, when it is the same for every request.
    pub fn constant(&self) -> Option<&HeaderValue> {
        self.constant.as_ref()
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The value for this request.
    pub fn render(&self, request: &impl Values) -> HeaderValue {
        if let Some(constant) = &self.constant {
            return constant.clone();
        }
        let mut value = Vec::with_capacity(self.text.len() + 32);
        self.render_into(request, &mut value);
        HeaderValue::from_maybe_shared(Bytes::from(value))
            .unwrap_or_else(|_| HeaderValue::from_static(""))
    }

    /// Appends the value for this request: bytes that may stand in a header.
    pub fn render_into(&self, request: &impl Values, out: &mut Vec<u8>) {
        let start = out.len();
        for part in &self.parts {
            part.render(request, out);
        }
        while out.len() > start && out.last().is_some_and(is_blank) {
            out.pop();
        }
        let blanks = out[start..]
            .iter()
            .take_while(|byte| is_blank(byte))
            .count();
        if blanks > 0 {
            out.drain(start..start + blanks);
        }
    }

    fn parse(text: String, place: Place) -> Result<Self, Wrong> {
        let parts = variables::parse(unpadded(&text), place)?;
        let constant = match &parts[..] {
            [] => Some(HeaderValue::from_static("")),
            [Part::Literal(only)] => Some(header_value(only)?),
            _ => None,
        };
        for part in &parts {
            if let Part::Literal(literal) = part {
                header_value(literal)?;
            }
        }
        Ok(HeaderTemplate {
            text,
            parts,
            constant,
        })
    }
}

impl TryFrom<String> for HeaderTemplate {
    type Error = Wrong;

    fn try_from(text: String) -> Result<Self, Wrong> {
        Self::parse(text, Place::Header)
    }
}

impl From<HeaderTemplate> for String {
    fn from(template: HeaderTemplate) -> String {
        template.text
    }
}

fn captures(parts: &[Part]) -> impl Iterator<Item = &str> {
    parts.iter().filter_map(|part| match part {
        Part::Path(name) => Some(name.as_str()),
        _ => None,
    })
}

fn is_blank(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

fn header_value(text: &str) -> Result<HeaderValue, Wrong> {
    // The value is not repeated: it may be a secret.
    HeaderValue::from_str(text)
        .map_err(|_| "this cannot stand in a header: it has a control character".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::request;
    use proptest::prelude::*;

    fn template(text: &str) -> HeaderTemplate {
        text.to_owned().try_into().unwrap()
    }

    #[test]
    fn variables_stand_for_facts_of_the_request() {
        let mut request = request("GET", "/orders/7");
        request.context.client = Some("192.0.2.7".parse().unwrap());
        request.context.route = "orders".into();
        request.context.upstream = Some("shop".into());
        request.context.captures.push("id".into(), "7");
        request
            .headers
            .append(&http::header::ACCEPT, &HeaderValue::from_static("a/b"));
        let claims = serde_json::from_str("{ \"sub\": \"ann\", \"x\": \"a\\nb\" }").unwrap();
        request.context.claims = Some(std::sync::Arc::new(crate::http::message::Claims::new(
            claims,
        )));
        let id = request.context.request_id.to_string();
        for (text, expected) in [
            ("plain", "plain"),
            ("", ""),
            ("${client.ip}", "192.0.2.7"),
            ("r=${route}; id=${path.id}", "r=orders; id=7"),
            ("${header.Accept}!", "a/b!"),
            ("to ${upstream}", "to shop"),
            ("${jwt.sub}, ${jwt.none}${jwt.x}.", "ann, ."),
            ("[${header.x-none}${path.none}]", "[]"),
            ("cost: 5$ {id} $${route}", "cost: 5$ {id} ${route}"),
            ("${request_id}", &id),
        ] {
            assert_eq!(template(text).render(&*request), expected, "{text}");
        }
        let location = HeaderTemplate::of_location("/o/${path.id}?${query}".to_owned()).unwrap();
        assert_eq!(location.render(&*request), "/o/7?");
        assert_eq!(location.captures().collect::<Vec<_>>(), ["id"]);
    }

    #[test]
    fn no_value_begins_or_ends_with_a_blank() {
        let mut request = request("GET", "/");
        let claims = serde_json::from_str("{ \"sub\": \"\\t ann b \" }").unwrap();
        request.context.claims = Some(std::sync::Arc::new(crate::http::message::Claims::new(
            claims,
        )));
        for (text, expected, warnings) in [
            (" v \t", "v", 1),
            ("\u{feff}v\u{200b}", "v", 1),
            (" ", "", 1),
            ("${jwt.sub}", "ann b", 0),
            ("${jwt.sub} ${jwt.none}", "ann b", 0),
            ("${jwt.none} x ${jwt.sub}", "x \t ann b", 0),
        ] {
            let template = template(text);
            assert_eq!(template.render(&*request), expected, "{text:?}");
            let mut around = b"[ ".to_vec();
            template.render_into(&*request, &mut around);
            assert_eq!(around, format!("[ {expected}").as_bytes(), "{text:?}");
            let mut problems = Problems::default();
            template.check(&[], &mut problems);
            assert_eq!(problems.into_vec().len(), warnings, "{text:?}");
        }
    }

    #[test]
    fn another_spelling_of_a_capture_is_found() {
        let known = || ["id", "rest"].into_iter();
        for (text, found) in [
            ("/a/{rest}", Some("rest")),
            ("{*rest}", Some("rest")),
            ("${path.rest} {id}", Some("id")),
            ("{\"id\": 1}", None),
            ("$${rest} {other}", None),
        ] {
            assert_eq!(bare_capture(text, known()), found, "{text}");
        }
        let error = HeaderTemplate::of_location("/new/{*rest}".to_owned()).unwrap_err();
        assert!(
            error.to_string().contains("write `${path.rest}`"),
            "{error}"
        );
    }

    #[test]
    fn only_text_without_variables_is_constant() {
        assert!(template("a$b").constant().is_some());
        assert!(template("${route}").constant().is_none());
    }

    #[test]
    fn problems_are_found_at_load() {
        for (text, part) in [
            ("${rout}", "unknown variable `${rout}`"),
            ("${route", "not closed"),
            ("${path.}", "unknown variable"),
            ("${header.a b}", "not a header name"),
            ("${jwt.}", "unknown variable"),
            ("a\nb", "cannot stand in a header"),
            ("${route}\r\nx: y", "cannot stand in a header"),
        ] {
            let error = HeaderTemplate::try_from(text.to_owned()).unwrap_err();
            assert!(error.to_string().contains(part), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[ -~]{0,12}(\\$\\{[a-z._]{0,8}\\}?)?[^\\x00]{0,4}", header: bool) {
            let place = if header { Place::Header } else { Place::Location };
            let _ = HeaderTemplate::parse(text, place);
        }

        #[test]
        fn no_caller_can_add_a_header(name in "\\PC{0,8}", value in prop::collection::vec(any::<u8>(), 0..16)) {
            let mut request = request("GET", "/");
            request.context.captures.push("x".into(), &format!("{name}\r\nevil: 1"));
            request.context.captures.push("y".into(), &String::from_utf8_lossy(&value));
            let rendered = template("a${path.x}b${path.y}").render(&*request);
            prop_assert!(!rendered.as_bytes().contains(&b'\n'));
            prop_assert!(rendered.as_bytes().starts_with(b"ab"));
        }
    }
}
