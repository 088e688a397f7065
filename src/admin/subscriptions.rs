//! What is told of subscriptions, and what can be done with them and their dead letters.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;
use tokio::time::timeout;

use super::answer::{self, problem};
use super::router::ProxyState;
use super::{Proxy, Subscription};

/// How long the broker may take.
const BROKER: Duration = Duration::from_secs(30);
/// The most dead letters at once.
const MOST: usize = 10_000;
/// The most that is shown of a body, in bytes.
const MOST_BYTES: usize = 64 << 10;

/// How many, and how much of each.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    limit: Option<usize>,
    #[serde(default)]
    bytes: usize,
}

/// What the query says, if it can be read.
type Asked = Result<Query<Which>, QueryRejection>;

impl Which {
    fn limit(&self) -> usize {
        self.limit.unwrap_or(10).min(MOST)
    }
}

pub(super) async fn all(State(proxy): ProxyState) -> Response {
    answer::json(&proxy.subscriptions())
}

pub(super) async fn one(State(proxy): ProxyState, Path(name): Path<String>) -> Response {
    with(proxy.subscription(&name), &name, |found| {
        answer::json(&found.describe())
    })
}

pub(super) async fn pause(State(proxy): ProxyState, Path(name): Path<String>) -> Response {
    with(proxy.subscription(&name), &name, |found| {
        found.pause();
        answer::json(&json!({ "paused": true }))
    })
}

pub(super) async fn resume(State(proxy): ProxyState, Path(name): Path<String>) -> Response {
    with(proxy.subscription(&name), &name, |found| {
        found.resume();
        answer::json(&json!({ "paused": false }))
    })
}

pub(super) async fn dead_letters(
    State(proxy): ProxyState,
    Path(name): Path<String>,
    which: Asked,
) -> Response {
    let (found, which) = match asked(&proxy, &name, which) {
        Ok(asked) => asked,
        Err(refused) => return *refused,
    };
    let letters = found.dead_letters(which.limit(), which.bytes.min(MOST_BYTES));
    told(timeout(BROKER, letters).await, |letters| {
        answer::json(&letters)
    })
}

pub(super) async fn replay(
    State(proxy): ProxyState,
    Path(name): Path<String>,
    which: Asked,
) -> Response {
    let (found, which) = match asked(&proxy, &name, which) {
        Ok(asked) => asked,
        Err(refused) => return *refused,
    };
    let replayed = timeout(BROKER, found.replay(which.limit())).await;
    told(replayed, |replayed| {
        answer::json(&json!({ "replayed": replayed }))
    })
}

pub(super) async fn discard(
    State(proxy): ProxyState,
    Path(name): Path<String>,
    which: Asked,
) -> Response {
    let (found, which) = match asked(&proxy, &name, which) {
        Ok(asked) => asked,
        Err(refused) => return *refused,
    };
    let Some(limit) = which.limit else {
        let how = "say how many are to be deleted: `?limit=10`";
        return problem(StatusCode::BAD_REQUEST, how);
    };
    let discarded = timeout(BROKER, found.discard(limit.min(MOST))).await;
    told(discarded, |deleted| {
        answer::json(&json!({ "deleted": deleted }))
    })
}

/// The subscription of that name, and what is asked of its dead letters; else what is answered.
fn asked(
    proxy: &Arc<dyn Proxy>,
    name: &str,
    which: Asked,
) -> Result<(Arc<dyn Subscription>, Which), Box<Response>> {
    let Query(which) = which.map_err(|unread| {
        let why = unread.body_text();
        Box::new(problem(StatusCode::BAD_REQUEST, &why))
    })?;
    let found = proxy.subscription(name);
    Ok((found.ok_or_else(|| Box::new(nobody(name)))?, which))
}

fn with(
    found: Option<Arc<dyn Subscription>>,
    name: &str,
    answer: impl FnOnce(&dyn Subscription) -> Response,
) -> Response {
    match found {
        Some(found) => answer(&*found),
        None => nobody(name),
    }
}

fn nobody(name: &str) -> Response {
    answer::found("subscription", name, None)
}

fn told<T>(
    answered: Result<Result<T, String>, tokio::time::error::Elapsed>,
    answer: impl FnOnce(T) -> Response,
) -> Response {
    match answered {
        Ok(Ok(told)) => answer(told),
        Ok(Err(why)) => problem(StatusCode::BAD_GATEWAY, &why),
        Err(_) => problem(
            StatusCode::GATEWAY_TIMEOUT,
            "the broker did not answer in time: ask again to see what was done",
        ),
    }
}
