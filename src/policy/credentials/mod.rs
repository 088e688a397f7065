//! `credentials`: what the upstream is shown in the name of the caller, who never sees it.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::{HeaderName, HeaderValue, Method, header};
use serde::{Deserialize, Serialize};

use super::build::Build;
use super::stack::{Next, Policy};
use super::table::{Block, Blocks, FromBlocks, Summary};
use crate::fetch::Private;
use crate::http::error::{Error, Reason};
use crate::http::message::{Request, Response};
use crate::value::exposition::Metric;
use crate::value::problem::Problems;
use crate::value::template::FieldName;
use crate::value::{Secret, unpadded};

pub mod oauth2;
mod token;

/// There is no credential that could be sent.
pub const CREDENTIALS_UNAVAILABLE: Reason = Reason::new("credentials_unavailable", 503);

/// `credentials`: one of its keys. What the caller sent under the same header is replaced.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// `Authorization: Bearer SECRET`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bearer: Option<Secret>,
    /// `{ header = "X-API-Key", value = SECRET }`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_key: Option<ApiKey>,
    /// `{ username = "…", password = SECRET }` (RFC 7617)
    #[serde(skip_serializing_if = "Option::is_none")]
    pub basic: Option<Basic>,
    /// A token of the client credentials grant (RFC 6749, section 4.4).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oauth2: Option<oauth2::Config>,
}

#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct ApiKey {
    pub header: FieldName,
    pub value: Secret,
}

#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Basic {
    /// Without a colon, which ends it.
    pub username: String,
    pub password: Secret,
}

impl Block for Config {
    const METRICS: &[Metric] = &[token::REFRESHES, token::EXPIRY];

    fn check(&self, problems: &mut Problems) {
        let Config {
            bearer,
            api_key,
            basic,
            oauth2,
        } = self;
        let given: Vec<&str> = [
            ("bearer", bearer.is_some()),
            ("api_key", api_key.is_some()),
            ("basic", basic.is_some()),
            ("oauth2", oauth2.is_some()),
        ]
        .into_iter()
        .filter_map(|(key, given)| given.then_some(key))
        .collect();
        match given[..] {
            [_] => {}
            [] => {
                problems
                    .error(&[], "this names no credential")
                    .help("set one of `bearer`, `api_key`, `basic` and `oauth2`");
            }
            [first, second, ..] => {
                problems
                    .error(
                        &[second],
                        format!("a route has one credential, and this one has `{first}`"),
                    )
                    .help("keep one of them");
            }
        }
        if let Some(bearer) = bearer {
            problems.within(&["bearer"], |problems| check_bearer(bearer, problems));
        }
        if let Some(api_key) = api_key {
            problems.within(&["api_key"], |problems| api_key.check(problems));
        }
        if let Some(basic) = basic {
            problems.within(&["basic"], |problems| basic.check(problems));
        }
        if let Some(oauth2) = oauth2 {
            problems.within(&["oauth2"], |problems| oauth2.check(problems));
        }
    }

    fn tell(&self, summary: &mut Summary) {
        let private = self.oauth2.as_ref().map(|oauth2| &oauth2.private);
        if let Some(found) = private.and_then(Private::inventory) {
            summary
                .certificates
                .append(&["credentials", "oauth2"], found);
        }
    }
}

fn check_bearer(bearer: &Secret, problems: &mut Problems) {
    bearer.check(problems);
    let scheme = bearer.text().reveal().get(..7);
    if scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case("bearer ")) {
        problems
            .error(
                &[],
                "this secret begins with the word `Bearer`, which is written before it",
            )
            .help("leave only the token");
    }
}

impl ApiKey {
    fn check(&self, problems: &mut Problems) {
        problems.within(&["value"], |problems| self.value.check(problems));
        if self.header.is_framing() || *self.header.name() == header::HOST {
            problems
                .error(
                    &["header"],
                    format!(
                        "`{}` has another meaning, and cannot carry a key",
                        self.header.as_str()
                    ),
                )
                .help("write the header that the upstream reads, such as \"X-API-Key\"");
        }
    }
}

impl Basic {
    fn check(&self, problems: &mut Problems) {
        problems.within(&["password"], |problems| self.password.check(problems));
        if self.username.contains(|c: char| c == ':' || c.is_control()) {
            problems.error(
                &["username"],
                "a user's name has no colon, which would end it, and no control characters",
            );
        }
        check_ends(&self.username, &["username"], problems);
    }
}

/// Refuses a name with what nobody sees at an end: it came with copying, and the server knows another one.
fn check_ends(name: &str, place: &[&str], problems: &mut Problems) {
    if unpadded(name).len() != name.len() {
        problems
            .error(
                place,
                "this name begins or ends with a blank or an invisible character",
            )
            .help("remove it");
    }
}

/// Attaches the credential.
pub(super) enum Credentials {
    /// The same for every request.
    Constant {
        header: HeaderName,
        value: HeaderValue,
    },
    Token(token::TokenSource),
}

impl FromBlocks for Credentials {
    fn from_blocks(blocks: &Blocks<'_>, build: &mut Build<'_>) -> Option<Self> {
        Credentials::new(blocks.on()?, build)
    }
}

impl Credentials {
    /// None when the config names no credential: its check says so.
    fn new(config: &Config, build: &mut Build<'_>) -> Option<Self> {
        let Config {
            bearer,
            api_key,
            basic,
            oauth2,
        } = config;
        if let Some(bearer) = bearer {
            return Self::authorization(&format!("Bearer {}", bearer.text().reveal()));
        }
        if let Some(ApiKey { header, value }) = api_key {
            return Self::constant(header.name().clone(), value.text().reveal());
        }
        if let Some(Basic { username, password }) = basic {
            let pair = format!("{username}:{}", password.text().reveal());
            return Self::authorization(&format!("Basic {}", BASE64_STANDARD.encode(pair)));
        }
        let oauth2 = oauth2.as_ref()?;
        Some(Credentials::Token(token::TokenSource::new(oauth2, build)))
    }

    /// What carries it.
    fn header(&self) -> &HeaderName {
        match self {
            Credentials::Constant { header, .. } => header,
            Credentials::Token(_) => &header::AUTHORIZATION,
        }
    }

    fn authorization(value: &str) -> Option<Self> {
        Self::constant(header::AUTHORIZATION, value)
    }

    fn constant(header: HeaderName, value: &str) -> Option<Self> {
        // A secret has no control characters, so it always can be one.
        let mut value = HeaderValue::from_bytes(value.as_bytes()).ok()?;
        value.set_sensitive(true);
        Some(Credentials::Constant { header, value })
    }
}

impl Policy for Credentials {
    async fn apply(
        &self,
        mut request: Box<Request>,
        next: Next<'_>,
    ) -> Result<Box<Response>, Error> {
        if request.method == Method::TRACE {
            // Its answer would hand the credential to the caller (RFC 9110, section 9.3.8).
            request.headers.remove(self.header());
            return next.call(request).await;
        }
        match self {
            Credentials::Constant { header, value } => {
                request.headers.insert(header, value);
                next.call(request).await
            }
            Credentials::Token(source) => source.call(request, next).await,
        }
    }
}

#[cfg(test)]
mod tests;
