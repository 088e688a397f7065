//! From a request to the values of parameters.

use std::borrow::Cow;

use bytes::Bytes;
use http_body::Body as _;
use http_body_util::{BodyExt, Limited};
use percent_encoding::percent_decode_str;
use serde_json::Value as Json;

use super::config::ParameterConfig;
use super::source::Source;
use crate::database::Value;
use crate::http::body::Body;
use crate::http::error::{Error, Reason};
use crate::http::message::Request;

/// A body that is larger than the route takes.
const BODY_TOO_LARGE: Reason = Reason::new("body_too_large", 413);
/// A body that is no JSON.
const INVALID_BODY: Reason = Reason::new("invalid_body", 400);
/// A value that is none of its type, or that is not there.
pub(super) const BAD_VALUE: Reason = Reason::new("bad_value", 400);

/// The body as a document. An empty one is null.
pub(super) async fn document(request: &mut Request, most: usize) -> Result<Json, Error> {
    let bytes = read(request, most).await?;
    if bytes.is_empty() {
        return Ok(Json::Null);
    }
    serde_json::from_slice(&bytes)
        .map_err(|error| Error::new(INVALID_BODY, format!("the body is no JSON: {error}")))
}

async fn read(request: &mut Request, most: usize) -> Result<Bytes, Error> {
    let too_large = || {
        let detail = format!("the body is larger than the {most} bytes that this route takes");
        Error::new(BODY_TOO_LARGE, detail)
    };
    let mut body = std::mem::replace(&mut request.body, Body::empty());
    if let Some(whole) = body.take_full() {
        return if whole.len() > most {
            Err(too_large())
        } else {
            Ok(whole)
        };
    }
    if body.size_hint().lower() > most as u64 {
        return Err(too_large());
    }
    match Limited::new(body, most).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) => Err(match error.downcast::<Error>() {
            Ok(error) => *error,
            Err(_) => too_large(),
        }),
    }
}

/// The value of each parameter.
///
/// # Errors
/// `bad_value`, which names the parameter.
pub(super) fn values(
    parameters: &[ParameterConfig],
    request: &Request,
    document: Option<&Json>,
) -> Result<Vec<Value>, Error> {
    let one = |parameter: &ParameterConfig| value(parameter, request, document);
    parameters.iter().map(one).collect()
}

fn value(
    parameter: &ParameterConfig,
    request: &Request,
    document: Option<&Json>,
) -> Result<Value, Error> {
    let of = parameter.of;
    let read = match &parameter.from {
        Source::Body(pointer) => document
            .and_then(|document| document.pointer(pointer))
            .filter(|found| !(found.is_null() && pointer.is_empty()))
            .map(|found| of.of_json(found)),
        Source::Jwt(claim) => {
            let claims = request.context.claims.as_deref();
            claims
                .and_then(|claims| claims.get(claim))
                .map(|found| of.of_json(found))
        }
        source => text(source, request).map(|text| match text {
            Ok(text) => of.of_text(&text),
            Err(()) => Err("no text in UTF-8".to_owned()),
        }),
    };
    match read {
        Some(Ok(value)) => Ok(value),
        Some(Err(what)) => Err(bad(parameter, &format!("is {what}"))),
        None => match (&parameter.default, parameter.required) {
            // A check has seen that it is of its type.
            (Some(default), _) => Ok(of.of_text(&default.text()).unwrap_or(Value::Null)),
            (None, false) => Ok(Value::Null),
            (None, true) => Err(bad(parameter, "is missing")),
        },
    }
}

/// The text of a part of the request; None without such a part.
fn text<'r>(source: &Source, request: &'r Request) -> Option<Result<Cow<'r, str>, ()>> {
    match source {
        Source::Path(name) => {
            let raw = request.context.captures.get(name)?;
            Some(percent_decode_str(raw).decode_utf8().map_err(drop))
        }
        Source::Query(name) => {
            let query = request.target.query()?;
            let mut pairs = form_urlencoded::parse(query.as_bytes());
            let (_, found) = pairs.find(|(other, _)| other == name)?;
            // Bytes that are no text were replaced.
            let is_text = !found.contains('\u{fffd}') || query.contains('\u{fffd}');
            Some(if is_text {
                Ok(found)
            } else {
                replaced(query, found)
            })
        }
        Source::Header(name) => {
            let raw = request.headers.get(name)?;
            Some(std::str::from_utf8(raw).map(Cow::Borrowed).map_err(drop))
        }
        Source::Body(_) | Source::Jwt(_) => None,
    }
}

/// A text with U+FFFD in it is one where the query spells that itself.
fn replaced<'r>(query: &str, found: Cow<'r, str>) -> Result<Cow<'r, str>, ()> {
    if query.to_ascii_uppercase().contains("%EF%BF%BD") {
        Ok(found)
    } else {
        Err(())
    }
}

/// Names the parameter, and never its value.
pub(super) fn bad(parameter: &ParameterConfig, what: &str) -> Error {
    Error::new(BAD_VALUE, format!("`{}` {what}", parameter.from))
}
