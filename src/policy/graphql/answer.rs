//! What an answer says beside its status.

use std::sync::Arc;

use http::{HeaderValue, Method, header};

use super::config::Config;
use super::refusal::{GRAPHQL_ERRORS, unreadable};
use crate::http::body::Body;
use crate::http::error::{Error, Progress};
use crate::http::message::Response;
use crate::http::semantics::no_body;
use crate::policy::body::document::{self as json, Document, Draft, Kind, Node};
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
    let document = Document::scan(&body).map_err(Refused::NotJson)?;
    let root = document.root();
    let is_batch = root.kind() == Kind::List;
    let answers: Vec<Node<'_>> = if is_batch {
        root.items().collect()
    } else {
        vec![root]
    };
    let errors: Vec<Node<'_>> = answers.iter().flat_map(|one| errors_of(*one)).collect();
    if !errors.is_empty() {
        return Ok(if config.errors_are_failures {
            Found::Errors(told(&errors))
        } else {
            Found::Nothing
        });
    }
    let data = answers.iter().map(|one| one.get("data").map(Draft::Node));
    let Some(mut data) = data
        .collect::<Option<Vec<_>>>()
        .filter(|_| config.unwrap_data)
    else {
        return Ok(Found::Nothing);
    };
    let unwrapped = if is_batch {
        Draft::list(data)
    } else {
        data.pop().unwrap_or(Draft::Null)
    };
    document
        .write(&unwrapped, limit)
        .map(Found::Data)
        .map_err(|_| Refused::Outgrown)
}

fn errors_of(answer: Node<'_>) -> impl Iterator<Item = Node<'_>> {
    answer.get("errors").into_iter().flat_map(Node::items)
}

/// The messages of errors: what GraphQL means for people to read.
fn told(errors: &[Node<'_>]) -> String {
    let message = |error: &Node<'_>| {
        let message = error.get("message");
        let text = message.filter(|message| message.kind() == Kind::String);
        let text = text.map_or("an error without a message".into(), Node::string);
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
