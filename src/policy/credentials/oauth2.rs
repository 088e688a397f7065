//! `oauth2`: how a token is asked for, and what of the answer is believed (RFC 6749, sections 4.4 and 5).

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use form_urlencoded::{Serializer, byte_serialize};
use http::{HeaderMap, HeaderValue, Method, header};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ends;
use crate::fetch::{Call, Fetched, Private, Url};
use crate::tls::Opened;
use crate::value::problem::Problems;
use crate::value::{FilePath, Secret, SecretText};

/// The longest answer of a token endpoint, in bytes.
const LONGEST_ANSWER: usize = 64 << 10;
/// How long a token lives whose answer does not say. It is recommended to say it, not required (section 5.1).
const DEFAULT_LIFE: Duration = Duration::from_secs(300);
/// Longer lives are taken as this long: a token is fetched anew at least twice a day.
const LONGEST_LIFE: Duration = Duration::from_secs(24 * 60 * 60);

/// `oauth2`
///
/// The token is fetched when the config is put to use, and again at half its life, by one task for all workers. A
/// token that has expired is never sent. When the upstream answers 401 (or gRPC's UNAUTHENTICATED), a new token is
/// fetched and the request sent once more, if its body is kept whole: up to 64 KiB.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub token_url: Url,
    /// CAs in PEM form that sign the server of an `https://` URL. Default: the system's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<FilePath>,
    pub client_id: String,
    pub client_secret: Secret,
    #[serde(default)]
    pub scopes: Vec<String>,
    /// Who the token is for, where the server wants to know it.
    pub audience: Option<String>,
    #[serde(default)]
    pub auth_style: AuthStyle,
}

/// What a token is asked for with.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::policy) struct Settings {
    config: Config,
    secret: SecretText,
    private: Private,
}

/// Where the client's name and secret stand (RFC 6749, section 2.3.1).
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum AuthStyle {
    /// In the header `Authorization`.
    #[default]
    Basic,
    /// In the body.
    Post,
}

impl Config {
    pub(super) fn check(&self, problems: &mut Problems) {
        Private::check(&self.token_url, self.ca.as_ref(), problems);
        if self.client_id.is_empty() {
            problems.error(&["client_id"], "a client has a name");
        }
        ends::check(&self.client_id, &["client_id"], problems);
        let audience = self.audience.as_deref().unwrap_or_default();
        ends::check(audience, &["audience"], problems);
        for (index, scope) in self.scopes.iter().enumerate() {
            // Section 3.3.
            let fit = |b: u8| matches!(b, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
            if scope.is_empty() || !scope.bytes().all(fit) {
                problems
                    .error(
                        &["scopes", &index.to_string()],
                        format!("`{}` is not a scope", scope.escape_debug()),
                    )
                    .help("write each scope in quotes of its own");
            }
        }
    }

    pub(super) fn open(&self, problems: &mut Problems) -> Opened<Settings> {
        let private = Private::open(&self.token_url, self.ca.as_ref(), problems);
        let secret = problems.within(&["client_secret"], |problems| {
            self.client_secret.open(problems)
        });
        let settings = private.material.zip(secret);
        let settings = settings.map(|(private, secret)| Settings {
            config: self.clone(),
            secret,
            private: (*private).clone(),
        });
        Opened {
            material: settings.map(Arc::new),
            inventory: private.inventory,
        }
    }

    /// Whether a token for these settings is one for `other` as well: it is, however it is asked for.
    fn same_token(&self, other: &Config) -> bool {
        let Config {
            token_url,
            ca: _,
            client_id,
            client_secret: _,
            scopes,
            audience,
            auth_style: _,
        } = self;
        *token_url == other.token_url
            && *client_id == other.client_id
            && *scopes == other.scopes
            && *audience == other.audience
    }
}

impl Settings {
    /// Whether a token for these is one for `other` as well.
    pub(super) fn same_token(&self, other: &Settings) -> bool {
        self.config.same_token(&other.config)
    }

    pub(super) fn call(&self) -> Call {
        let (config, secret) = (&self.config, self.secret.reveal());
        let mut form = Serializer::new(String::new());
        form.append_pair("grant_type", "client_credentials");
        if !config.scopes.is_empty() {
            form.append_pair("scope", &config.scopes.join(" "));
        }
        if let Some(audience) = &config.audience {
            form.append_pair("audience", audience);
        }
        let mut headers = HeaderMap::new();
        match config.auth_style {
            AuthStyle::Basic => {
                let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
                let pair = format!("{}:{}", encoded(&config.client_id), encoded(secret));
                let value = format!("Basic {}", BASE64_STANDARD.encode(pair));
                if let Ok(mut value) = HeaderValue::from_str(&value) {
                    value.set_sensitive(true);
                    headers.insert(header::AUTHORIZATION, value);
                }
            }
            AuthStyle::Post => {
                form.append_pair("client_id", &config.client_id);
                form.append_pair("client_secret", secret);
            }
        }
        let form_type = HeaderValue::from_static("application/x-www-form-urlencoded");
        headers.insert(header::CONTENT_TYPE, form_type);
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        Call {
            method: Method::POST,
            url: config.token_url.clone(),
            tls: self.private.client(),
            headers,
            body: form.finish().into(),
            limit: LONGEST_ANSWER,
        }
    }
}

/// What the token endpoint granted.
pub(super) struct Grant {
    /// The whole value of `Authorization`.
    pub authorization: HeaderValue,
    pub life: Duration,
}

/// # Errors
/// Why the answer grants nothing, in words that hold nothing of it but well-known ones.
pub(super) fn granted(answer: &Fetched) -> Result<Grant, String> {
    let body: Option<Value> = serde_json::from_slice(&answer.body).ok();
    if !answer.status.is_success() {
        let code = body.as_ref().and_then(error_code);
        let code = code.map_or(String::new(), |code| format!(", `{code}`"));
        return Err(format!(
            "the token endpoint answered {}{code}",
            answer.status.as_u16()
        ));
    }
    let body = body.ok_or("the token endpoint's answer is not JSON")?;
    match &body["token_type"] {
        Value::Null => {}
        Value::String(kind) if kind.eq_ignore_ascii_case("bearer") => {}
        _ => return Err("the token endpoint granted another type of token than Bearer".to_owned()),
    }
    let token = match &body["access_token"] {
        Value::String(token) if !token.trim().is_empty() => token.trim(),
        Value::String(_) => return Err("the token endpoint granted an empty token".to_owned()),
        _ => return Err("the token endpoint's answer has no `access_token`".to_owned()),
    };
    if !token.bytes().all(|b| b.is_ascii_graphic()) {
        return Err("the token endpoint granted a token that no header can carry".to_owned());
    }
    let mut authorization = HeaderValue::from_str(&format!("Bearer {token}"))
        .map_err(|_| "the token endpoint granted a token that no header can carry")?;
    authorization.set_sensitive(true);
    Ok(Grant {
        authorization,
        life: life(&body["expires_in"])?,
    })
}

/// Some servers write the number as text. What is neither is as if it were missing.
fn life(expires_in: &Value) -> Result<Duration, String> {
    let seconds = match expires_in {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse::<f64>().ok(),
        _ => None,
    };
    match seconds.filter(|seconds| !seconds.is_nan()) {
        None => Ok(DEFAULT_LIFE),
        Some(seconds) if seconds <= 0.0 => {
            Err("the token endpoint granted a token that has expired already".to_owned())
        }
        Some(seconds) => Ok(Duration::from_secs_f64(
            seconds.min(LONGEST_LIFE.as_secs_f64()),
        )),
    }
}

/// The error code of section 5.2, if it is one: any other text could be what was sent there.
fn error_code(body: &Value) -> Option<&'static str> {
    let code = body["error"].as_str()?;
    [
        "invalid_request",
        "invalid_client",
        "invalid_grant",
        "unauthorized_client",
        "unsupported_grant_type",
        "invalid_scope",
        "invalid_target",
        "access_denied",
        "server_error",
        "temporarily_unavailable",
    ]
    .into_iter()
    .find(|known| *known == code)
}
