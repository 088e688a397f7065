//! What would happen to a request, in the end.

use http::HeaderName;

use super::rehearse::End;
use super::shown;
use crate::config::Config;
use crate::explain::{Outcome, OutcomeKind, Sent};
use crate::http::error::Error;
use crate::http::message::{Request, Response};
use crate::target;
use crate::upstream::{Leaning, ORIGINAL_DESTINATION};
use crate::value::Name;

/// The endpoint to which an upstream of that name would send a request now, or why it would not; None where no proxy runs.
pub type LeansTo<'a> = dyn Fn(&str, &Request) -> Option<Result<Leaning, Error>> + 'a;

/// What is known when a request has come as far as it comes.
pub struct Ended {
    pub outcome: Outcome,
    pub sends: Option<Sent>,
    pub notes: Vec<String>,
}

impl Ended {
    fn with(outcome: Outcome) -> Self {
        Ended {
            outcome,
            sends: None,
            notes: Vec::new(),
        }
    }
}

/// What follows from `end`. `secret` are headers that hold secrets.
pub fn of(end: End, config: &Config, secret: &[HeaderName], leans_to: &LeansTo<'_>) -> Ended {
    let reached = match end {
        End::Refused(error) => return Ended::with(refused(&error)),
        End::Answered(response) => {
            let outcome = answered(&response, "answered by a policy of the route");
            return Ended::with(outcome);
        }
        End::Stuck => {
            let summary = "unknown: what a policy waits for did not come".to_owned();
            return Ended::with(outcome(OutcomeKind::Unknown, summary));
        }
        End::Reached(reached) => reached,
    };
    let request = &*reached.request;
    let host = request.headers.get_str(&http::header::HOST);
    let authority = request.authority.as_ref().map(|host| host.as_str());
    let mut sent = Sent {
        method: request.method.to_string(),
        host: host.or(authority).map(str::to_owned),
        path: shown::target(request.target.path(), request.target.query()),
        headers: shown::fields(&request.headers, secret),
    };
    let mut notes = Vec::new();
    let outcome = match reached.end {
        target::End::Upstream {
            name,
            host_of_endpoint,
        } => {
            let leaning = leans_to(&name, request);
            if let Some(Ok(leaning)) = &leaning
                && leaning.in_panic
            {
                let note = "no endpoint is available: one that is ejected or not healthy is asked all the same";
                notes.push(note.to_owned());
            }
            let (forward, endpoint_name) = forward(&name, leaning, config);
            if host_of_endpoint {
                sent.host = endpoint_name;
            }
            forward
        }
        target::End::Answer(response) => answered(&response, "answered here"),
        target::End::Broker { name, place } => outcome(
            OutcomeKind::Publish,
            format!("would be published to broker `{name}`: {place}"),
        ),
        target::End::Database(name) => outcome(
            OutcomeKind::Sql,
            format!("would run the statement of the route in database `{name}`"),
        ),
        target::End::File(path) => {
            let what = if request.method == http::Method::DELETE {
                "delete"
            } else {
                "write"
            };
            outcome(
                OutcomeKind::Write,
                format!("would {what} the file `{path}`"),
            )
        }
    };
    Ended {
        outcome,
        sends: Some(sent),
        notes,
    }
}

/// Where an upstream would send it, and by what name.
fn forward(
    upstream: &str,
    leaning: Option<Result<Leaning, Error>>,
    config: &Config,
) -> (Outcome, Option<String>) {
    let (endpoint, to) = match leaning {
        Some(Err(error)) => {
            let refused = Outcome {
                upstream: Some(upstream.to_owned()),
                ..refused(&error)
            };
            return (refused, None);
        }
        Some(Ok(Leaning {
            endpoint: Some((address, name)),
            of,
            ..
        })) => {
            let to = if of > 1 {
                format!("{address}, one of {of}")
            } else {
                address.clone()
            };
            (Some((address, name)), to)
        }
        Some(Ok(Leaning { of, .. })) => (None, format!("any of {of} endpoints")),
        None => named(upstream, config),
    };
    let (address, name) = endpoint.unzip();
    let outcome = Outcome {
        upstream: Some(upstream.to_owned()),
        endpoint: address,
        ..outcome(
            OutcomeKind::Forward,
            format!("would go to {to} (upstream `{upstream}`)"),
        )
    };
    (outcome, name)
}

/// What the files say of an upstream.
fn named(upstream: &str, config: &Config) -> (Option<(String, String)>, String) {
    if upstream == ORIGINAL_DESTINATION {
        return (None, "where its caller wanted to go".to_owned());
    }
    let name = upstream.parse::<Name>().ok();
    let upstream = name.and_then(|name| config.upstreams.get(&name));
    let endpoints = upstream.map(|upstream| upstream.config.endpoints.as_slice());
    match endpoints.unwrap_or_default() {
        [only] => {
            let address = only.address.clone();
            (Some((address.clone(), address.clone())), address)
        }
        several => {
            let names: Vec<&str> = several.iter().map(|one| one.address.as_str()).collect();
            (None, format!("one of {}", names.join(", ")))
        }
    }
}

/// A refusal.
pub fn refused(error: &Error) -> Outcome {
    let (status, reason) = (error.status().as_u16(), error.reason().name);
    let headers = error.headers().iter().map(|(name, value)| {
        let mut headers = crate::http::headers::Headers::new();
        headers.append(name, value);
        shown::fields(&headers, &[])
    });
    Outcome {
        status: Some(status),
        reason: Some(reason.to_owned()),
        detail: Some(error.detail().to_owned()),
        headers: headers.flatten().collect(),
        ..outcome(OutcomeKind::Refused, format!("refused: {status} {reason}"))
    }
}

fn answered(response: &Response, by: &str) -> Outcome {
    let status = response.status.as_u16();
    let mut headers = shown::fields(&response.headers, &[]);
    for field in &mut headers {
        // It may have the query of the request in it.
        if field.name.eq_ignore_ascii_case("location")
            && let Some((path, query)) = field.value.split_once('?')
        {
            field.value = shown::target(path, Some(query));
        }
    }
    Outcome {
        status: Some(status),
        headers,
        ..outcome(OutcomeKind::Answer, format!("{by}: {status}"))
    }
}

/// An outcome of which no more is known yet.
pub fn outcome(kind: OutcomeKind, summary: String) -> Outcome {
    Outcome {
        kind,
        summary,
        status: None,
        reason: None,
        detail: None,
        headers: Vec::new(),
        upstream: None,
        endpoint: None,
    }
}
