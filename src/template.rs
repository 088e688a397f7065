//! Header names and values as the config writes them; values may hold `${…}` variables.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, header};
use serde::{Deserialize, Serialize};

use crate::message::Request;

/// A header name in the config. It compares without case in messages, and is shown as it was written.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct FieldName {
    written: String,
    name: HeaderName,
}

impl FieldName {
    pub fn name(&self) -> &HeaderName {
        &self.name
    }

    /// The name as the config writes it: the key of its entry.
    pub fn as_str(&self) -> &str {
        &self.written
    }

    /// Whether it describes the connection or the framing of the body (RFC 9110, section 7.6.1, and RFC 9112,
    /// section 6): the protocols write these, and nobody else may.
    pub fn is_framing(&self) -> bool {
        const OTHERS: [&str; 2] = ["keep-alive", "proxy-connection"];
        [
            header::CONNECTION,
            header::CONTENT_LENGTH,
            header::TE,
            header::TRAILER,
            header::TRANSFER_ENCODING,
            header::UPGRADE,
        ]
        .contains(&self.name)
            || OTHERS.contains(&self.name.as_str())
    }
}

impl TryFrom<String> for FieldName {
    type Error = String;

    fn try_from(written: String) -> Result<Self, String> {
        match HeaderName::from_bytes(written.as_bytes()) {
            Ok(name) => Ok(FieldName { written, name }),
            Err(_) => Err(format!("`{written}` is not a header name")),
        }
    }
}

impl From<FieldName> for String {
    fn from(name: FieldName) -> String {
        name.written
    }
}

/// By what was written, so that two spellings of a name are two keys, and neither is lost.
impl Ord for FieldName {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.written.cmp(&other.written)
    }
}

impl PartialOrd for FieldName {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
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
/// caller sends can add a header.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct HeaderTemplate {
    text: String,
    parts: Vec<Part>,
    /// The value, when no variable changes it.
    constant: Option<HeaderValue>,
}

#[derive(Clone, Debug, PartialEq)]
enum Part {
    Literal(String),
    RequestId,
    ClientIp,
    ClientIdentity,
    Route,
    Path(String),
    Header(HeaderName),
    Claim(String),
    Upstream,
}

impl HeaderTemplate {
    /// Reads a template in which `{NAME}` may also be written for `${path.NAME}`, as in the location of a
    /// redirect.
    ///
    /// # Errors
    /// A sentence saying what is wrong with the text.
    pub fn with_captures(text: String) -> Result<Self, String> {
        Self::parse(text, true)
    }

    /// The names of the path's captures that this template uses.
    pub fn captures(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Path(name) => Some(name.as_str()),
            _ => None,
        })
    }

    /// Whether it has to be known which upstream gets the request.
    pub fn names_upstream(&self) -> bool {
        self.parts.contains(&Part::Upstream)
    }

    /// The value, when it is the same for every request.
    pub fn constant(&self) -> Option<&HeaderValue> {
        self.constant.as_ref()
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The value for this request.
    pub fn render(&self, request: &Request) -> HeaderValue {
        if let Some(constant) = &self.constant {
            return constant.clone();
        }
        let mut value = Vec::with_capacity(self.text.len() + 32);
        self.render_into(request, &mut value);
        HeaderValue::from_maybe_shared(Bytes::from(value))
            .unwrap_or_else(|_| HeaderValue::from_static(""))
    }

    /// Appends the value for this request: bytes that may stand in a header.
    pub fn render_into(&self, request: &Request, out: &mut Vec<u8>) {
        for part in &self.parts {
            part.render(request, out);
        }
    }

    fn parse(text: String, captures: bool) -> Result<Self, String> {
        let mut parts = Parts::default();
        let mut rest = text.as_str();
        while let Some(at) = rest.find(['$', '{']) {
            parts.literal(&rest[..at]);
            rest = &rest[at..];
            if let Some(after) = rest.strip_prefix("$${") {
                parts.literal("${");
                rest = after;
            } else if let Some(after) = rest.strip_prefix("${") {
                let (variable, after) = closed(after, &text)?;
                parts.0.push(Part::variable(variable)?);
                rest = after;
            } else if captures && rest.starts_with('{') {
                let (name, after) = closed(&rest[1..], &text)?;
                parts.0.push(Part::Path(name.to_owned()));
                rest = after;
            } else {
                parts.literal(&rest[..1]);
                rest = &rest[1..];
            }
        }
        parts.literal(rest);
        let parts = parts.0;
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
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(text, false)
    }
}

impl From<HeaderTemplate> for String {
    fn from(template: HeaderTemplate) -> String {
        template.text
    }
}

impl Part {
    fn variable(variable: &str) -> Result<Part, String> {
        match variable.split_once('.').unwrap_or((variable, "")) {
            ("request_id", "") => Ok(Part::RequestId),
            ("route", "") => Ok(Part::Route),
            ("client", "ip") => Ok(Part::ClientIp),
            ("client", "identity") => Ok(Part::ClientIdentity),
            ("path", name) if !name.is_empty() => Ok(Part::Path(name.to_owned())),
            ("header", name) if !name.is_empty() => HeaderName::from_bytes(name.as_bytes())
                .map(Part::Header)
                .map_err(|_| format!("`{name}` in `${{{variable}}}` is not a header name")),
            ("upstream", "") => Ok(Part::Upstream),
            ("jwt", claim) if !claim.is_empty() => Ok(Part::Claim(claim.to_owned())),
            _ => Err(format!(
                "unknown variable `${{{variable}}}`; there are `${{request_id}}`, `${{client.ip}}`, \
                 `${{client.identity}}`, `${{path.NAME}}`, `${{header.NAME}}`, \
                 `${{jwt.CLAIM}}`, `${{route}}` and `${{upstream}}`"
            )),
        }
    }

    fn render(&self, request: &Request, out: &mut Vec<u8>) {
        match self {
            Part::Literal(text) => out.extend_from_slice(text.as_bytes()),
            // It has nothing but visible ASCII.
            Part::RequestId => out.extend_from_slice(request.context.request_id.as_bytes()),
            Part::Route => push(out, request.context.route.as_bytes()),
            Part::ClientIp => {
                if let Some(ip) = request.context.client {
                    push(out, ip.to_string().as_bytes());
                }
            }
            Part::ClientIdentity => {
                if let Some(identity) = request.context.peer.identity() {
                    push(out, identity.name().as_bytes());
                }
            }
            Part::Path(name) => {
                if let Some(text) = request.context.captures.get(name) {
                    push(out, text.as_bytes());
                }
            }
            Part::Header(name) => {
                if let Some(value) = request.headers.get(name) {
                    push(out, value);
                }
            }
            Part::Upstream => {
                if let Some(name) = &request.context.upstream {
                    push(out, name.as_bytes());
                }
            }
            Part::Claim(name) => {
                let claims = request.context.claims.as_deref();
                if let Some(text) = claims.and_then(|claims| claims.text(name)) {
                    push(out, text.as_bytes());
                }
            }
        }
    }
}

/// Parts so far; neighbouring literals are one.
#[derive(Default)]
struct Parts(Vec<Part>);

impl Parts {
    fn literal(&mut self, text: &str) {
        match self.0.last_mut() {
            _ if text.is_empty() => {}
            Some(Part::Literal(before)) => before.push_str(text),
            _ => self.0.push(Part::Literal(text.to_owned())),
        }
    }
}

/// Splits what stands before the closing brace from what follows it.
fn closed<'a>(text: &'a str, whole: &str) -> Result<(&'a str, &'a str), String> {
    text.split_once('}')
        .ok_or_else(|| format!("a `{{` is not closed in `{whole}`"))
}

fn header_value(text: &str) -> Result<HeaderValue, String> {
    HeaderValue::from_str(text).map_err(|_| {
        let shown = text.escape_debug();
        format!("`{shown}` cannot stand in a header: it has a control character")
    })
}

/// Appends what a caller may have had a hand in: all of it, or nothing if it could end the header.
fn push(out: &mut Vec<u8>, value: &[u8]) {
    // All bytes are looked at, so that many can be at once.
    let harmless = |sound, byte: &u8| sound & (*byte == b'\t' || *byte >= b' ' && *byte != 127);
    if value.iter().fold(true, harmless) {
        out.extend_from_slice(value);
    }
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
        request.context.claims = Some(std::sync::Arc::new(crate::message::Claims::new(claims)));
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
            assert_eq!(template(text).render(&request), expected, "{text}");
        }
        let location = HeaderTemplate::with_captures("/o/{id}?r=${route}".to_owned()).unwrap();
        assert_eq!(location.render(&request), "/o/7?r=orders");
        assert_eq!(location.captures().collect::<Vec<_>>(), ["id"]);
    }

    #[test]
    fn only_text_without_variables_is_constant() {
        assert!(template("a$b").constant().is_some());
        assert!(template("${route}").constant().is_none());
    }

    #[test]
    fn mistakes_are_found_at_load() {
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
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn two_spellings_of_a_name_are_two_keys_of_one_header() {
        let [a, b] = ["X-A", "x-a"].map(|n| FieldName::try_from(n.to_owned()).unwrap());
        assert_ne!(a, b);
        assert_eq!(a.name(), b.name());
        assert!(FieldName::try_from("x a".to_owned()).is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[ -~]{0,12}(\\$\\{[a-z._]{0,8}\\}?)?[^\\x00]{0,4}", captures: bool) {
            let _ = HeaderTemplate::parse(text, captures);
        }

        #[test]
        fn no_caller_can_add_a_header(name in "\\PC{0,8}", value in prop::collection::vec(any::<u8>(), 0..16)) {
            let mut request = request("GET", "/");
            request.context.captures.push("x".into(), &format!("{name}\r\nevil: 1"));
            request.context.captures.push("y".into(), &String::from_utf8_lossy(&value));
            let rendered = template("a${path.x}b${path.y}").render(&request);
            prop_assert!(!rendered.as_bytes().contains(&b'\n'));
            prop_assert!(rendered.as_bytes().starts_with(b"ab"));
        }
    }
}
