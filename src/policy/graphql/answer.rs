//! What an answer says beside its status.

use std::sync::Arc;

use http::{HeaderValue, Method, header};
use serde_json::Value;

use super::config::Config;
use super::refusal::{GRAPHQL_ERRORS, unreadable};
use crate::http::body::Body;
use crate::http::error::{Error, Progress};
use crate::http::message::Response;
use crate::http::semantics::no_body;
use crate::policy::body::document as json;
use crate::policy::body::transform::blocking;
use crate::policy::body::transform::content::Content;
use crate::policy::body::transform::refusal::{Direction, Refused};
use crate::policy::body::transform::representation::{forget_bytes, is_json};

/// Messages that are shown to the caller, and characters of each.
const MOST_MESSAGES: usize = 3;
const LONGEST_MESSAGE: usize = 200;

/// # Errors
/// `graphql_errors`, and those of a body that cannot be read.
pub async fn judge(
    response: &mut Response,
    method: &Method,
    config: &Arc<Config>,
) -> Result<(), Error> {
    let judged = response.status.is_success()
        && response.upgrade.is_none()
        && *method != Method::HEAD
        && !no_body::has_no_content(response.status)
        && is_json(&response.headers);
    if !judged {
        return Ok(());
    }
    let wrong = |refused: &Refused| unreadable(Direction::Response, refused, config);
    let content = Content::read(&mut response.headers, &mut response.body, config.limit())
        .await
        .map_err(|unread| unread.into_error(wrong))?;
    let (body, work) = (content.encoded(), config.clone());
    let looked = blocking::run(content.size(), move || look(content, &work)).await;
    match looked
        .unwrap_or(Err(Refused::Panicked))
        .map_err(|refused| wrong(&refused))?
    {
        Found::Errors(messages) => {
            Err(Error::new(GRAPHQL_ERRORS, messages).at(Progress::Answering))
        }
        Found::Nothing => {
            response.body = Body::full(body);
            Ok(())
        }
        Found::Data(data) => {
            forget_bytes(&mut response.headers);
            let kind = HeaderValue::from_static("application/json");
            response.headers.insert(&header::CONTENT_TYPE, &kind);
            response.body = Body::full(data);
            Ok(())
        }
    }
}

enum Found {
    /// To be passed on as it is.
    Nothing,
    Errors(String),
    /// What stands in `data`, as text.
    Data(Vec<u8>),
}

fn look(content: Content, config: &Config) -> Result<Found, Refused> {
    let limit = config.limit();
    let body = content.decode(limit)?;
    if json::is_empty(&body) {
        return Ok(Found::Nothing);
    }
    let (mut answer, lone) = json::read_any(&body).map_err(Refused::NotJson)?;
    let answers = match &mut answer {
        Value::Array(batch) => batch.as_mut_slice(),
        one => std::slice::from_mut(one),
    };
    let errors: Vec<&Value> = answers.iter().flat_map(errors_of).collect();
    if !errors.is_empty() {
        return Ok(if config.errors_are_failures {
            Found::Errors(told(&errors))
        } else {
            Found::Nothing
        });
    }
    if !config.unwrap_data || !answers.iter().all(|one| one.get("data").is_some()) {
        return Ok(Found::Nothing);
    }
    for one in answers {
        *one = one["data"].take();
    }
    json::write_any(&answer, lone, limit)
        .map(Found::Data)
        .map_err(|_| Refused::Outgrown)
}

fn errors_of(answer: &Value) -> impl Iterator<Item = &Value> {
    let errors = answer.get("errors").and_then(Value::as_array);
    errors.into_iter().flatten()
}

/// The messages of errors: what GraphQL means for people to read.
fn told(errors: &[&Value]) -> String {
    let message = |error: &&Value| {
        let text = error.get("message").and_then(Value::as_str);
        let text = text.unwrap_or("an error without a message");
        text.chars().take(LONGEST_MESSAGE).collect::<String>()
    };
    let messages: Vec<String> = errors.iter().take(MOST_MESSAGES).map(message).collect();
    let more = if errors.len() > MOST_MESSAGES {
        "; and more"
    } else {
        ""
    };
    format!(
        "the upstream answers with errors: {}{more}",
        messages.join("; ")
    )
}
