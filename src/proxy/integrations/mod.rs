//! `integrations` of a listener: routes that are listed, looked at and executed by their names.
//!
//! What is executed enters its route as a request, with all its policies. It must be one that the route takes from callers of
//! one of its listeners: what another route would take is refused, or the policies of that one could be got round.

use bytes::{Bytes, BytesMut};
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use http_body_util::BodyExt;
use serde_json::Value;

use super::Proxy;
use crate::http::body::Body;
use crate::http::envelope::{self, Answered, Facts};
use crate::http::error::{BAD_REQUEST, Error, METHOD_NOT_ALLOWED, NO_ROUTE, Reason};
use crate::http::headers;
use crate::http::message::{Request, Response};
use crate::http::semantics::essence;
use crate::listener;
use crate::policy::stack::Outcome;

mod call;
pub(super) mod find;
mod host;
#[cfg(test)]
mod tests;

pub use host::{Entrance, Host};

use call::Call;

/// Where they are.
const ROOT: &str = "/integrations";
const REASON: HeaderName = HeaderName::from_static(headers::REASON);

const BODY_TOO_LARGE: Reason = Reason::new("body_too_large", 413);
const FORBIDDEN: Reason = Reason::new("forbidden", 403);
/// The answer of the route is more than a caller is told in one piece.
const ANSWER_TOO_LARGE: Reason = Reason::new("answer_too_large", 502);

/// Whether a listener with integrations answers what is sent to this path itself.
pub(super) fn answers(path: &str) -> bool {
    let below = path.strip_prefix(ROOT);
    below.is_some_and(|below| below.is_empty() || below.starts_with('/'))
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked<'a> {
    List,
    Register,
    Execute(&'a str),
    Health(&'a str),
    Metrics(&'a str),
}

impl<'a> Asked<'a> {
    fn at(path: &'a str) -> Option<Self> {
        let below = path.strip_prefix(ROOT)?.trim_matches('/');
        match below.split_once('/') {
            None if below.is_empty() => Some(Asked::List),
            None => (below == "register").then_some(Asked::Register),
            Some((route, "execute")) => Some(Asked::Execute(route)),
            Some((route, "health")) => Some(Asked::Health(route)),
            Some((route, "metrics")) => Some(Asked::Metrics(route)),
            Some(_) => None,
        }
    }

    fn changes(self) -> bool {
        matches!(self, Asked::Register | Asked::Execute(_))
    }
}

/// Answers a request to a path for which [`answers`] holds.
pub(super) async fn answer(
    proxy: &Proxy,
    request: Box<Request>,
    listener: &listener::Config,
    settings: &listener::Integrations,
) -> Outcome {
    let host = &*proxy.host;
    let target = request.target.clone();
    let Some(asked) = Asked::at(target.path()) else {
        return Err(Error::new(
            NO_ROUTE,
            "there is /integrations, /integrations/register, and below /integrations/ROUTE execute, health and metrics",
        ));
    };
    must_fit(asked, &request)?;
    match asked {
        Asked::List => Ok(told(StatusCode::OK, &host.list())),
        Asked::Health(route) => match host.health(route) {
            Some(health) => Ok(told(StatusCode::OK, &health)),
            None => Err(no_route(host, route)),
        },
        Asked::Metrics(route) => match host.stats(route) {
            Some(stats) => Ok(told(StatusCode::OK, &stats)),
            None => Err(no_route(host, route)),
        },
        Asked::Register if !settings.register => Err(Error::new(
            FORBIDDEN,
            "nothing is registered by way of this listener: its `integrations` lacks `register = true`",
        )),
        Asked::Register => {
            let body = whole(request.body, settings.max_body.0).await?;
            let registered = host.register(body).await?;
            Ok(told(StatusCode::CREATED, &registered))
        }
        Asked::Execute(route) => {
            let Some(entrance) = host.entrance(route) else {
                return Err(no_route(host, route));
            };
            execute(proxy, route, &entrance, request, listener, settings).await
        }
    }
}

/// Refuses methods that do not work there, and pages of browsers where something is changed.
fn must_fit(asked: Asked<'_>, request: &Request) -> Result<(), Error> {
    let (fits, allow) = if asked.changes() {
        (request.method == Method::POST, "POST")
    } else {
        let reads = matches!(request.method, Method::GET | Method::HEAD);
        (reads, "GET, HEAD")
    };
    if !fits {
        let error = Error::new(
            METHOD_NOT_ALLOWED,
            "`Allow` names the methods that work here",
        );
        return Err(error.with_header(header::ALLOW, HeaderValue::from_static(allow)));
    }
    // A browser adds it to what pages send. None is served from here, and a page of another site may have got here under
    // a name of its own.
    if asked.changes() && request.headers.contains(&header::ORIGIN) {
        let why = "pages in browsers may not execute or register anything";
        return Err(Error::new(FORBIDDEN, why));
    }
    Ok(())
}

async fn execute(
    proxy: &Proxy,
    route: &str,
    entrance: &Entrance,
    mut request: Box<Request>,
    listener: &listener::Config,
    settings: &listener::Integrations,
) -> Outcome {
    let received = request.context.received;
    let body = std::mem::replace(&mut request.body, Body::empty());
    let body = whole(body, settings.max_body.0).await?;
    let call = Call::read(&body)?;
    let wanted = call.request(entrance, &request)?;
    let request_id = wanted.context.request_id.to_string();
    let own = [request.context.peer.listener.clone()];
    let listeners = match entrance.listeners.as_slice() {
        [] => &own,
        listeners => listeners,
    };
    let (mut answer, is_enveloped) = proxy.execute(route, listeners, wanted).await?;
    super::forwarding::send_back(&mut answer.headers, listener);
    let facts = Facts::of(
        &answer,
        Answered {
            route: route.into(),
            request_id,
            took: received.elapsed(),
        },
    );
    let body = std::mem::replace(&mut answer.body, Body::empty());
    let Some(body) = within(body, settings.max_answer.0).await? else {
        let most = settings.max_answer;
        return Err(Error::new(
            ANSWER_TOO_LARGE,
            format!(
                "the route has answered with {}, and with more than the {most} that are told here",
                answer.status
            ),
        ));
    };
    let kind = answer.headers.get(&header::CONTENT_TYPE).map(essence::of);
    let read = is_json(kind.as_deref()).then(|| serde_json::from_slice::<Value>(&body));
    let told_whole = match read {
        // Its own policy has put it into one.
        Some(Ok(envelope)) if is_enveloped && answer.refused.is_none() => envelope,
        Some(Ok(data)) => facts.around(data),
        Some(Err(_)) if !body.is_empty() => {
            let data = facts.text(&body);
            facts.around(data)
        }
        _ => {
            let data = facts.data(&body);
            facts.around(data)
        }
    };
    let mut response = told(status_with_body(answer.status), &told_whole);
    for name in [header::RETRY_AFTER, REASON] {
        if let Some(value) = answer.headers.get(&name) {
            response.headers.insert_text(&name, value);
        }
    }
    Ok(response)
}

/// The status of an envelope: that of what is in it, unless an answer with that status has no body.
fn status_with_body(status: StatusCode) -> StatusCode {
    let bodiless = status.is_informational() || matches!(status.as_u16(), 204 | 205 | 304);
    if bodiless { StatusCode::OK } else { status }
}

fn is_json(kind: Option<&str>) -> bool {
    kind.is_some_and(|kind| {
        kind == "application/json" || kind == "text/json" || kind.ends_with("+json")
    })
}

fn no_route(host: &dyn Host, name: &str) -> Error {
    // No name of a route is longer.
    let name = name.get(..64).unwrap_or(name);
    let meant = match host.nearest(name) {
        Some(meant) => format!(", did you mean `{meant}`?"),
        None => String::new(),
    };
    Error::new(NO_ROUTE, format!("no route is named `{name}`{meant}"))
}

fn told(status: StatusCode, value: &Value) -> Box<Response> {
    let mut text = value.to_string();
    text.push('\n');
    let mut response = Response::new(status, Body::full(text));
    envelope::tell_json(&mut response.headers);
    Box::new(response)
}

/// The whole body of a caller.
async fn whole(body: Body, most: u64) -> Result<Bytes, Error> {
    match within(body, most).await? {
        Some(body) => Ok(body),
        None => Err(Error::new(
            BODY_TOO_LARGE,
            format!("the body may have {most} bytes"),
        )),
    }
}

/// A body of at most `most` bytes; None where it has more.
async fn within(mut body: Body, most: u64) -> Result<Option<Bytes>, Error> {
    let announced = http_body::Body::size_hint(&body).lower();
    if announced > most {
        return Ok(None);
    }
    let mut read = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else {
            continue;
        };
        if (read.len() + data.len()) as u64 > most {
            return Ok(None);
        }
        read.extend_from_slice(&data);
    }
    Ok(Some(read.freeze()))
}

fn bad(detail: impl Into<String>) -> Error {
    Error::new(BAD_REQUEST, detail.into())
}
