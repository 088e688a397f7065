//! The document that says what is to be executed, and the request that comes of it.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::uri::{Authority, PathAndQuery};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version, header};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Entrance, bad};
use crate::http::body::Body;
use crate::http::error::Error;
use crate::http::headers::Headers;
use crate::http::message::{Context, Request, is_framed};
use crate::net::timer;

/// The host of a request that names none.
const LOCALHOST: &str = "localhost";
/// What belongs to a connection, to the framing of a body or to the proxy, and is nobody's to say.
const NOT_TAKEN: [&str; 15] = [
    "connection",
    "content-length",
    "expect",
    "forwarded",
    "http2-settings",
    "keep-alive",
    "max-forwards",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
    "x-forwarded-client-cert",
    "x-request-id",
];
/// The same of all names that begin like this.
const NOT_TAKEN_FAMILIES: [&str; 2] = ["outrigger-", "x-forwarded-"];
/// What of the caller's own request goes along, as it would with an ordinary one.
const GOES_ALONG: [&str; 8] = [
    "forwarded",
    "traceparent",
    "tracestate",
    "via",
    "x-forwarded-client-cert",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
];

/// What a caller wants a route to be asked.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Call {
    /// Default: the route's first method; without one POST with a body, else GET.
    method: Option<String>,
    /// With a query if need be. Default: the route's own path, filled in with `params`.
    path: Option<String>,
    headers: BTreeMap<String, OneOrMany>,
    /// What the names in the route's path stand for; others are parameters of the query.
    params: BTreeMap<String, OneOrMany>,
    /// Text goes as it is, anything else as JSON.
    body: Option<Value>,
    /// A body that is no text, in base64.
    body_base64: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    Many(Vec<Value>),
    One(Value),
}

impl OneOrMany {
    fn values(&self) -> &[Value] {
        match self {
            OneOrMany::Many(values) => values,
            OneOrMany::One(value) => std::slice::from_ref(value),
        }
    }
}

impl Call {
    /// # Errors
    /// What is wrong with the document. None at all asks for the route as it is.
    pub fn read(document: &[u8]) -> Result<Self, Error> {
        if document.trim_ascii().is_empty() {
            return Ok(Call::default());
        }
        // A list of its values would do for the struct.
        let keys = serde_json::from_slice::<Map<String, Value>>(document);
        let call = keys.and_then(|keys| serde_json::from_value(Value::Object(keys)));
        call.map_err(|error| {
            bad(format!(
                "the body must be JSON like {{ \"method\", \"path\", \"headers\", \"params\", \"body\" }}: {error}"
            ))
        })
    }

    /// The request that is meant, from whoever has sent `outer`.
    ///
    /// # Errors
    /// What of it makes no request.
    pub fn request(self, entrance: &Entrance, outer: &Request) -> Result<Box<Request>, Error> {
        let mut headers = self.headers()?;
        let (body, kind) = self.body()?;
        if let Some(kind) = kind
            && !headers.contains_key(header::CONTENT_TYPE)
        {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        }
        if let Some(kind) = headers.get(header::CONTENT_TYPE)
            && is_framed(kind.as_bytes())
        {
            return Err(bad(
                "gRPC has its messages in frames, and no route has a descriptor to make them of JSON with: call it on its listener",
            ));
        }
        let method = self.method(entrance, !body.is_empty())?;
        let target = self.target(entrance)?;
        let authority = authority(&headers, entrance)?;
        headers.remove(header::HOST);
        let mut headers = Headers::from(headers);
        headers.insert_text(&header::HOST, authority.as_str());
        for name in GOES_ALONG.map(HeaderName::from_static) {
            if !headers.contains(&name) {
                for value in outer.headers.get_all(&name) {
                    if let Ok(value) = HeaderValue::from_bytes(value) {
                        headers.append(&name, &value);
                    }
                }
            }
        }
        let context = &outer.context;
        let (peer, unnamed) = (context.peer.clone(), context.route.clone());
        let mut context_of_own =
            Context::new(peer, unnamed, context.request_id.clone(), timer::now());
        context_of_own.client = context.client;
        Ok(Box::new(Request {
            method,
            authority: Some(authority),
            target,
            version: Version::HTTP_11,
            headers,
            body: Body::full(body),
            upgrade: None,
            context: context_of_own,
        }))
    }

    fn method(&self, entrance: &Entrance, has_body: bool) -> Result<Method, Error> {
        let method = match (&self.method, &entrance.method) {
            (Some(method), _) => Method::from_bytes(method.to_ascii_uppercase().as_bytes())
                .map_err(|_| bad(format!("`{method}` is no method")))?,
            (None, Some(method)) => method.clone(),
            (None, None) if has_body => Method::POST,
            (None, None) => Method::GET,
        };
        if matches!(method, Method::CONNECT | Method::TRACE) {
            return Err(bad(format!("{method} cannot be executed here")));
        }
        Ok(method)
    }

    fn target(&self, entrance: &Entrance) -> Result<PathAndQuery, Error> {
        let mut query = form_urlencoded::Serializer::new(String::new());
        let mut has_query = false;
        let names: Vec<&str> = match (&self.path, &entrance.path) {
            (None, Some(pattern)) => pattern.names().collect(),
            _ => Vec::new(),
        };
        for (name, values) in &self.params {
            if names.contains(&name.as_str()) {
                continue;
            }
            for value in values.values() {
                query.append_pair(name, &scalar(name, value)?);
                has_query = true;
            }
        }
        let mut target = match (&self.path, &entrance.path) {
            (Some(path), _) => path.clone(),
            (None, None) => "/".to_owned(),
            (None, Some(pattern)) => {
                let mut values = BTreeMap::new();
                for name in names {
                    if let Some(value) = self.params.get(name).and_then(|v| v.values().first()) {
                        values.insert(name, scalar(name, value)?);
                    }
                }
                let filled = pattern.filled(|name| values.get(name).map(String::as_str));
                filled.map_err(|name| {
                    bad(format!("the route's path needs `{name}`: give it under `params`, or the whole `path`"))
                })?
            }
        };
        if has_query {
            target.push(if target.contains('?') { '&' } else { '?' });
            target.push_str(&query.finish());
        }
        let parsed = target.parse::<PathAndQuery>().ok();
        let parsed = parsed.filter(|parsed| parsed.path().starts_with('/'));
        parsed.ok_or_else(|| bad(format!("`{target}` is no path, which begins with `/`")))
    }

    fn headers(&self) -> Result<HeaderMap, Error> {
        let mut headers = HeaderMap::new();
        for (name, values) in &self.headers {
            let parsed = HeaderName::from_bytes(name.as_bytes())
                .map_err(|_| bad(format!("`{name}` is no name of a header")))?;
            let lower = parsed.as_str();
            if NOT_TAKEN.contains(&lower) || NOT_TAKEN_FAMILIES.iter().any(|f| lower.starts_with(f))
            {
                return Err(bad(format!(
                    "`{name}` belongs to the connection or to the proxy, and cannot be given"
                )));
            }
            for value in values.values() {
                let value = HeaderValue::from_str(&scalar(name, value)?)
                    .map_err(|_| bad(format!("what `{name}` has is no value of a header")))?;
                headers.append(parsed.clone(), value);
            }
        }
        Ok(headers)
    }

    /// The bytes of the body, and their type where the caller does not say it.
    fn body(&self) -> Result<(Bytes, Option<&'static str>), Error> {
        match (&self.body, &self.body_base64) {
            (Some(_), Some(_)) => Err(bad(
                "there is a `body` and a `body_base64`: give one of them",
            )),
            (None | Some(Value::Null), None) => Ok((Bytes::new(), None)),
            (Some(Value::String(text)), None) => {
                Ok((text.clone().into(), Some("text/plain; charset=utf-8")))
            }
            (Some(document), None) => Ok((document.to_string().into(), Some("application/json"))),
            (None, Some(text)) => match STANDARD.decode(text) {
                Ok(bytes) => Ok((bytes.into(), Some("application/octet-stream"))),
                Err(error) => Err(bad(format!("`body_base64` is not base64: {error}"))),
            },
        }
    }
}

/// A value as text.
fn scalar(name: &str, value: &Value) -> Result<String, Error> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(value) => Ok(value.to_string()),
        _ => Err(bad(format!(
            "`{name}` must be text, a number, `true` or `false`"
        ))),
    }
}

fn authority(headers: &HeaderMap, entrance: &Entrance) -> Result<Authority, Error> {
    let given = headers.get(header::HOST);
    let text = match (given, &entrance.host) {
        (Some(given), _) => given.as_bytes(),
        (None, Some(host)) => host.as_bytes(),
        (None, None) => LOCALHOST.as_bytes(),
    };
    Authority::try_from(text).map_err(|_| bad("`host` is no name of a host"))
}
