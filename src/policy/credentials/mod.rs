//! `credentials`: what the upstream is shown in the name of the caller, who never sees it.

use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::{HeaderName, HeaderValue, Method, header};
use serde::{Deserialize, Serialize};

use super::build::Build;
use super::material::Material;
use super::stack::{Next, Policy};
use super::table::{Block, Blocks, FromBlocks, Summary};
use crate::http::error::{Error, Reason};
use crate::http::message::{Request, Response};
use crate::tls::Opened;
use crate::value::FieldName;
use crate::value::exposition::Metric;
use crate::value::problem::Problems;
use crate::value::{Secret, SecretText};

mod ends;
pub mod oauth2;
mod refusal;
mod token;

use refusal::CREDENTIALS_UNAVAILABLE;

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
    const REASONS: &[Reason] = &[CREDENTIALS_UNAVAILABLE];

    fn tell(&self, summary: &mut Summary) {
        summary.credential = Some("credentials");
        let api_key = self.api_key.as_ref();
        (summary.secret_headers).extend(api_key.map(|key| key.header.name().clone()));
    }

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

    fn open(&self, problems: &mut Problems) -> Opened<Material> {
        let bearer = self.bearer.as_ref().and_then(|bearer| {
            let text = problems.within(&["bearer"], |problems| open_bearer(bearer, problems))?;
            Credential::authorization(&format!("Bearer {}", text.reveal()))
        });
        let api_key = self.api_key.as_ref().and_then(|ApiKey { header, value }| {
            let text = problems.within(&["api_key", "value"], |problems| value.open(problems))?;
            Credential::constant(header.name().clone(), text.reveal())
        });
        let basic = self
            .basic
            .as_ref()
            .and_then(|Basic { username, password }| {
                let text =
                    problems.within(&["basic", "password"], |problems| password.open(problems))?;
                let pair = format!("{username}:{}", text.reveal());
                Credential::authorization(&format!("Basic {}", BASE64_STANDARD.encode(pair)))
            });
        if let Some(oauth2) = &self.oauth2 {
            let opened = problems.within(&["oauth2"], |problems| oauth2.open(problems));
            let opened = opened.under("oauth2");
            return opened.map(Credential::Granted).any();
        }
        let constant = bearer.or(api_key).or(basic);
        Opened::without_certificates(constant.map(Arc::new)).any()
    }
}

fn open_bearer(bearer: &Secret, problems: &mut Problems) -> Option<SecretText> {
    let text = bearer.open(problems)?;
    let scheme = text.reveal().get(..7);
    if scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case("bearer ")) {
        problems
            .error(
                &[],
                "this secret begins with the word `Bearer`, which is written before it",
            )
            .help("leave only the token");
    }
    Some(text)
}

impl ApiKey {
    fn check(&self, problems: &mut Problems) {
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
        if self.username.contains(|c: char| c == ':' || c.is_control()) {
            problems.error(
                &["username"],
                "a user's name has no colon, which would end it, and no control characters",
            );
        }
        ends::check(&self.username, &["username"], problems);
    }
}

/// What was opened of the block.
#[derive(Debug)]
enum Credential {
    /// The same for every request.
    Constant {
        header: HeaderName,
        value: HeaderValue,
    },
    /// A token that is granted for these.
    Granted(Arc<oauth2::Settings>),
}

impl Credential {
    fn authorization(value: &str) -> Option<Self> {
        Self::constant(header::AUTHORIZATION, value)
    }

    fn constant(header: HeaderName, value: &str) -> Option<Self> {
        // A secret has no control characters, so it always can be one.
        let mut value = HeaderValue::from_bytes(value.as_bytes()).ok()?;
        value.set_sensitive(true);
        Some(Credential::Constant { header, value })
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
        blocks.on::<Config>()?;
        Some(Credentials::new(blocks.get()?, build))
    }
}

impl Credentials {
    fn new(credential: &Credential, build: &mut Build<'_>) -> Self {
        match credential {
            Credential::Constant { header, value } => Credentials::Constant {
                header: header.clone(),
                value: value.clone(),
            },
            Credential::Granted(settings) => {
                Credentials::Token(token::TokenSource::new(settings, build))
            }
        }
    }

    /// What carries it.
    fn header(&self) -> &HeaderName {
        match self {
            Credentials::Constant { header, .. } => header,
            Credentials::Token(_) => &header::AUTHORIZATION,
        }
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
