//! Where a request has its query.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use http::{Method, header};

use super::config::Config;
use super::document;
use super::refusal::{refuse, unreadable};
use crate::http::body::Body;
use crate::http::error::Error;
use crate::http::message::Request;
use crate::http::semantics::expect;
use crate::policy::body::document::{self as json, Kind, Node};
use crate::policy::body::transform::blocking;
use crate::policy::body::transform::content::Content;
use crate::policy::body::transform::refusal::{Direction, Refused};
use crate::policy::body::transform::representation::{essence, is_json};

/// Queries in one request.
const LARGEST_BATCH: usize = 100;

/// # Errors
/// `graphql_refused`, and those of a body that cannot be read.
pub async fn judge(request: &mut Request, config: &Arc<Config>) -> Result<(), Error> {
    let in_url = in_url(request)?;
    match request.method {
        // It is how a browser asks whether it may ask.
        Method::OPTIONS => Ok(()),
        Method::GET | Method::HEAD => match in_url {
            Some(query) => document::judge(&query, config).map_err(refuse),
            None => Err(refuse("there is no `query` in the URL")),
        },
        Method::POST if in_url.is_some() => {
            Err(refuse("there is a `query` in the URL, and a body as well"))
        }
        Method::POST => in_body(request, config).await,
        _ => Err(refuse("GraphQL is asked by GET or POST")),
    }
}

/// The query of a URL. Names are compared in any case, as a server may do so.
fn in_url(request: &Request) -> Result<Option<String>, Error> {
    let pairs = form_urlencoded::parse(request.target.query().unwrap_or_default().as_bytes());
    let mut queries = pairs.filter(|(name, _)| name.eq_ignore_ascii_case("query"));
    let first = queries
        .next()
        .map(|(_, query): (Cow<'_, str>, _)| query.into_owned());
    match queries.next() {
        Some(_) => Err(refuse("there are several `query` in the URL")),
        None => Ok(first),
    }
}

async fn in_body(request: &mut Request, config: &Arc<Config>) -> Result<(), Error> {
    let kind = request.headers.get(&header::CONTENT_TYPE).map(essence);
    let bare = kind.as_deref() == Some("application/graphql");
    let several = request.headers.get_all(&header::CONTENT_TYPE).count() > 1;
    if several || !bare && !is_json(&request.headers) {
        return Err(refuse(
            "its content type is neither JSON nor `application/graphql`",
        ));
    }
    let content = Content::read(&mut request.headers, &mut request.body, config.limit())
        .await
        .map_err(|unread| unread.into_error(|refused| wrong(refused, config)))?;
    request.body = Body::full(content.encoded());
    expect::forget(&mut request.headers);
    let config = config.clone();
    let judged = blocking::run(content.size(), move || {
        let body = content
            .decode(config.limit())
            .map_err(|refused| wrong(&refused, &config))?;
        all_of(&body, bare, &config).map_err(refuse)
    });
    judged
        .await
        .unwrap_or_else(|| Err(refuse("it could not be read")))
}

fn wrong(refused: &Refused, config: &Config) -> Error {
    unreadable(Direction::Request, refused, config)
}

fn all_of(body: &Bytes, bare: bool, config: &Config) -> Result<(), String> {
    if bare {
        let text = std::str::from_utf8(body).map_err(|_| "it is not text in UTF-8".to_owned())?;
        return document::judge(text, config);
    }
    let body = json::Document::scan(body).map_err(|why| format!("its body is not JSON: {why}"))?;
    let root = body.root();
    if root.kind() != Kind::List {
        return one_of(root, config);
    }
    match root.items().count() {
        0 => Err("the batch is empty".to_owned()),
        1..=LARGEST_BATCH => root.items().try_for_each(|one| one_of(one, config)),
        size => Err(format!(
            "a batch of {size} queries is too large; there may be {LARGEST_BATCH}"
        )),
    }
}

fn one_of(request: Node<'_>, config: &Config) -> Result<(), String> {
    match request.get("query") {
        Some(query) if query.kind() == Kind::String => document::judge(&query.string(), config),
        _ => Err("there is no `query` in its body".to_owned()),
    }
}
