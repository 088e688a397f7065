//! The `${…}` variables of text in the config, and the text between them.

use std::borrow::Cow;
use std::net::IpAddr;

use http::HeaderName;

use crate::value::Wrong;

/// Where a text is used, which says what it may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Header,
    /// Of a redirect: the query is known as well, and a brace that stands alone is a mistake, as no URL has one.
    Location,
    /// Of an answer made here. What a caller or a token says is not known: nothing would escape it as the body's own
    /// language wants it.
    Body,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Part {
    Literal(String),
    RequestId,
    ClientIp,
    ClientIdentity,
    Route,
    Path(String),
    Query,
    Header(HeaderName),
    Claim(String),
    Upstream,
}

/// What the variables stand for: a request tells.
pub trait Values {
    /// It has nothing but visible ASCII.
    fn request_id(&self) -> &[u8];
    fn route(&self) -> &str;
    fn client_ip(&self) -> Option<IpAddr>;
    fn client_identity(&self) -> Option<&str>;
    /// What a part of the path matched.
    fn capture(&self, name: &str) -> Option<&str>;
    fn query(&self) -> Option<&str>;
    /// The first value of a header.
    fn header(&self, name: &HeaderName) -> Option<&[u8]>;
    /// The upstream that gets the request.
    fn upstream(&self) -> Option<&str>;
    /// A claim of the caller's verified token.
    fn claim(&self, name: &str) -> Option<Cow<'_, str>>;
}

/// # Errors
/// What is wrong with the text, and how to mend it.
pub(super) fn parse(text: &str, place: Place) -> Result<Vec<Part>, Wrong> {
    let mut parts = Parts::default();
    let mut rest = text;
    while let Some(at) = rest.find(['$', '{']) {
        parts.literal(&rest[..at]);
        rest = &rest[at..];
        if let Some(after) = rest.strip_prefix("$${") {
            parts.literal("${");
            rest = after;
        } else if let Some(after) = rest.strip_prefix("${") {
            let (variable, after) = closed(after, text)?;
            parts.0.push(Part::variable(variable, place)?);
            rest = after;
        } else if place == Place::Location && rest.starts_with('{') {
            let (name, _) = closed(&rest[1..], text)?;
            return Err(bare(name));
        } else {
            parts.literal(&rest[..1]);
            rest = &rest[1..];
        }
    }
    parts.literal(rest);
    Ok(parts.0)
}

/// What is said of `{NAME}` outside of `match.path`.
pub fn bare(name: &str) -> Wrong {
    let plain = name.trim_start_matches('*');
    Wrong::new(format!(
        "`{{{name}}}` is written so only in `path` of `match`"
    ))
    .help(format!(
        "write `${{path.{plain}}}` here for what it matched"
    ))
}

/// One of these names of captures that `text` uses as `{NAME}`, braces and all.
pub fn bare_capture<'a>(text: &str, mut known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let stands_alone = |written: &str| {
        let mut places = text.match_indices(written);
        places.any(|(at, _)| !text[..at].ends_with('$'))
    };
    known.find(|name| stands_alone(&format!("{{{name}}}")) || stands_alone(&format!("{{*{name}}}")))
}

impl Part {
    fn variable(variable: &str, place: Place) -> Result<Part, Wrong> {
        let part = match variable.split_once('.').unwrap_or((variable, "")) {
            ("request_id", "") => Part::RequestId,
            ("route", "") => Part::Route,
            ("client", "ip") => Part::ClientIp,
            ("client", "identity") => Part::ClientIdentity,
            ("path", name) if !name.is_empty() => Part::Path(name.to_owned()),
            ("query", "") if place == Place::Location => Part::Query,
            ("header", name) if !name.is_empty() => HeaderName::from_bytes(name.as_bytes())
                .map(Part::Header)
                .map_err(|_| format!("`{name}` in `${{{variable}}}` is not a header name"))?,
            ("upstream", "") => Part::Upstream,
            ("jwt", claim) if !claim.is_empty() => Part::Claim(claim.to_owned()),
            _ => return Err(unknown(variable, place)),
        };
        match (place, &part) {
            (Place::Body, Part::Header(_) | Part::Claim(_)) => Err(Wrong::new(format!(
                "`${{{variable}}}` has no place in a body: it comes from the caller, and nothing escapes it here"
            ))),
            _ => Ok(part),
        }
    }

    pub fn render(&self, values: &impl Values, out: &mut Vec<u8>) {
        match self {
            Part::Literal(text) => out.extend_from_slice(text.as_bytes()),
            Part::RequestId => out.extend_from_slice(values.request_id()),
            Part::Route => push(out, values.route().as_bytes()),
            Part::ClientIp => {
                if let Some(ip) = values.client_ip() {
                    push(out, ip.to_string().as_bytes());
                }
            }
            Part::ClientIdentity => push_if_known(out, values.client_identity()),
            Part::Path(name) => push_if_known(out, values.capture(name)),
            Part::Query => push_if_known(out, values.query()),
            Part::Header(name) => push_if_known(out, values.header(name)),
            Part::Upstream => push_if_known(out, values.upstream()),
            Part::Claim(name) => push_if_known(out, values.claim(name).as_deref()),
        }
    }
}

fn unknown(variable: &str, place: Place) -> Wrong {
    let more = match place {
        Place::Header => ", `${header.NAME}`, `${jwt.CLAIM}`",
        Place::Location => ", `${header.NAME}`, `${jwt.CLAIM}`, `${query}`",
        Place::Body => "",
    };
    Wrong::new(format!("unknown variable `${{{variable}}}`")).help(format!("there are `${{request_id}}`, `${{client.ip}}`, \
         `${{client.identity}}`, `${{path.NAME}}`{more}, `${{route}}` and `${{upstream}}`, and `$${{` is a plain `${{`"))
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
        .ok_or_else(|| format!("a `{{` is not closed in `{}`", whole.escape_debug()))
}

fn push_if_known<T: AsRef<[u8]> + ?Sized>(out: &mut Vec<u8>, value: Option<&T>) {
    if let Some(value) = value {
        push(out, value.as_ref());
    }
}

/// Appends what a caller may have had a hand in: all of it, or nothing if it could end the header.
fn push(out: &mut Vec<u8>, value: &[u8]) {
    // All bytes are looked at, so that many can be at once.
    let harmless = |sound, byte: &u8| sound & (*byte == b'\t' || *byte >= b' ' && *byte != 127);
    if value.iter().fold(true, harmless) {
        out.extend_from_slice(value);
    }
}
