//! Explaining what would become of a request: by the search for routes and the stacks that serve, on facts apart from those that
//! serve.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::app::snapshot::Snapshot;
use crate::config::{self, Config, Loaded, Places, RouteConfig};
use crate::explain::{Chosen, Explanation, OutcomeKind, PassedOver, Question, Seen};
use crate::http::message::{Captures, Request};
use crate::policy::build::Kept;
use crate::proxy::choosing::{self, Choice};
use crate::proxy::serving::Serving;
use crate::target::{self, Targets as _};
use crate::value::{Name, REDACTED, names_a_secret};

mod outcome;
mod rehearse;
mod request;
mod settings;
mod shown;
mod unserved;

use outcome::{Ended, LeansTo};
use rehearse::{End, rehearse};

/// What explanations are made of.
struct Known<'a> {
    config: &'a Config,
    serving: &'a Serving,
    kept: &'a Kept,
    places: Option<&'a Places>,
    /// Of a running proxy.
    live: Option<&'a Snapshot>,
}

/// By a config that was read, which nothing serves. Call it on a thread that has no runtime of its own running.
///
/// # Errors
/// What is wrong with the question.
pub fn offline(loaded: &Loaded, question: &Question) -> Result<Explanation, String> {
    let serving = unserved::serving(&loaded.config)?;
    let known = Known {
        config: &loaded.config,
        serving: &serving,
        kept: &Kept::default(),
        places: Some(&loaded.places),
        live: None,
    };
    known.explain(question)
}

/// By what serves now. `path` is where its config was read, if it was. Call it on a thread that may wait for files.
///
/// # Errors
/// What is wrong with the question.
pub fn live(
    snapshot: &Arc<Snapshot>,
    path: Option<&Path>,
    question: &Question,
) -> Result<Explanation, String> {
    let read = path.map(config::places);
    let is_same = |(_, hash): &&(Places, String)| *hash == snapshot.content.hash;
    let known = Known {
        config: &snapshot.config,
        serving: &snapshot.serving,
        kept: &snapshot.kept,
        places: read.as_ref().filter(is_same).map(|(places, _)| places),
        live: Some(snapshot),
    };
    known.explain(question)
}

impl Known<'_> {
    fn explain(&self, question: &Question) -> Result<Explanation, String> {
        let listeners = self.config.listeners.iter();
        let listeners = listeners.map(|(name, listener)| (name, &listener.config));
        let asked = request::of(question, &listeners.collect())?;
        let mut request = asked.request;
        let choice = choosing::choose(self.serving, &mut request, asked.listener);
        let seen = seen(&request);
        let passed_over = passed_over(&choice);
        let mut explanation = Explanation {
            request: seen,
            route: None,
            passed_over,
            policies: Vec::new(),
            target: None,
            sends: None,
            outcome: outcome::outcome(OutcomeKind::Answer, String::new()),
            notes: self.notes(),
            generation: self.live.map(|live| live.generation),
        };
        match &choice.route {
            Err(error) => explanation.outcome = outcome::refused(error),
            Ok(None) => {
                let summary = "answered by the listener, which has integrations".to_owned();
                explanation.outcome = outcome::outcome(OutcomeKind::Answer, summary);
            }
            Ok(Some(route)) => {
                let name: Name = route.name.parse().map_err(|wrong| format!("{wrong}"))?;
                let config = self.config.routes.get(&name);
                let config = config.ok_or("the route is gone")?;
                explanation.route = Some(Chosen {
                    name: name.to_string(),
                    place: self.place(&["routes", name.as_str()]),
                    captures: captures(config, &request.context.captures),
                    preflight: choice.is_preflight,
                });
                self.in_route((&name, config), request, question, &mut explanation)?;
            }
        }
        Ok(explanation)
    }

    /// What happens behind the choice of a route.
    fn in_route(
        &self,
        (name, route): (&Name, &RouteConfig),
        request: Box<Request>,
        question: &Question,
        explanation: &mut Explanation,
    ) -> Result<(), String> {
        let before = request.without_body();
        let end = rehearse((name, route), self.config, self.kept, request)?;
        let states = {
            let reached = match &end {
                End::Reached(reached) => &*reached.request,
                _ => &before,
            };
            let serving = self
                .live
                .and_then(|live| live.serving.named.get(name.as_str()));
            serving.map(|serving| serving.states.now_for(reached))
        };
        explanation.policies =
            settings::policies(name.as_str(), route, self.places, states.as_ref());
        let health = self.live.map(|live| health(live, route));
        explanation.target = settings::target(name.as_str(), &route.target, self.places, health);
        let secret = route.policies.config.summary().secret_headers;
        let leans_to: &LeansTo<'_> = &|upstream, request| {
            let name: Name = upstream.parse().ok()?;
            let upstream = self.live?.upstreams.get(&name)?;
            Some(upstream.leaning(request))
        };
        let Ended {
            outcome,
            sends,
            notes,
        } = outcome::of(end, self.config, &secret, leans_to);
        let lacks_body = question.body.is_none()
            && outcome.kind == OutcomeKind::Refused
            && outcome.reason.as_deref().is_some_and(is_about_body);
        explanation.outcome = outcome;
        explanation.sends = sends;
        explanation.notes.extend(notes);
        if lacks_body {
            let note = "the request was given no body: with another it may pass";
            explanation.notes.push(note.to_owned());
        }
        if explanation.outcome.reason.as_deref() == Some("keys_unavailable") {
            explanation.outcome.kind = OutcomeKind::Unknown;
            explanation.outcome.summary =
                "unknown: the keys that tokens are verified with are not known here".to_owned();
        }
        self.note_chances(route, explanation);
        Ok(())
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.live.is_some() && self.places.is_none() {
            notes.push(
                "where things were set is not told: the files are not those that serve".to_owned(),
            );
        }
        notes
    }

    /// What another request of the kind may meet.
    fn note_chances(&self, route: &RouteConfig, explanation: &mut Explanation) {
        let Some(target) = &explanation.target else {
            return;
        };
        let is_drawn = target.kind == "split"
            && !target.options.contains_key("sticky")
            && explanation.outcome.upstream.is_some();
        if is_drawn {
            let note = "the side of the split was drawn: another request may go to another one";
            explanation.notes.push(note.to_owned());
        }
        if let Some(mirror) = target.options.get("mirror") {
            let percent = mirror["percent"].as_f64().unwrap_or_default();
            let upstream = mirror["upstream"].as_str().unwrap_or_default();
            explanation.notes.push(format!(
                "a copy of {percent} % of the requests goes to upstream `{upstream}`"
            ));
        }
        let policies = &route.policies.config.set();
        if self.live.is_none() && policies.iter().any(|key| STATEFUL.contains(key)) {
            let note = "no proxy was asked: limits are unspent here, and breakers closed";
            explanation.notes.push(note.to_owned());
        }
    }

    fn place(&self, path: &[&str]) -> Option<String> {
        self.places?.of(path)
    }
}

/// Policies whose refusals depend on what went before.
const STATEFUL: [&str; 3] = ["rate_limit", "concurrency_limit", "circuit_breaker"];

fn is_about_body(reason: &str) -> bool {
    matches!(reason, "invalid_body" | "graphql_refused")
}

fn health(live: &Snapshot, route: &RouteConfig) -> Value {
    let seen = target::Seen {
        upstreams: &live.upstreams,
        brokers: &live.brokers,
        databases: &live.databases,
    };
    let (_, parts) = route.target.health(&seen);
    json!(parts)
}

fn seen(request: &Request) -> Seen {
    Seen {
        method: request.method.to_string(),
        host: request.authority.as_ref().map(ToString::to_string),
        path: request.target.path().to_owned(),
        query: request.target.query().map(shown::query),
        listener: request.context.peer.listener.to_string(),
        client: request.context.client.map(|client| client.to_string()),
    }
}

fn passed_over(choice: &Choice) -> Vec<PassedOver> {
    let passed = choice.passed_over.iter().map(|passed| PassedOver {
        route: passed.route.to_string(),
        condition: passed.condition.map(str::to_owned),
        why: passed.why.clone(),
    });
    passed.collect()
}

fn captures(route: &RouteConfig, captures: &Captures) -> BTreeMap<String, String> {
    let names = route.route.captures().into_iter();
    let shown = names.filter_map(|name| {
        let text = captures.get(name)?;
        let text = if names_a_secret(name) { REDACTED } else { text };
        Some((name.to_owned(), text.to_owned()))
    });
    shown.collect()
}
