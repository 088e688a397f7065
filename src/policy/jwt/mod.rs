//! `jwt`: callers prove who they are by a signed token (RFC 7519), which is verified here.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration as StdDuration, SystemTime};

use http::{HeaderName, HeaderValue, header};
use serde::{Deserialize, Serialize};

use super::build::Build;
use super::material::Material;
use super::stack::{Next, Policy};
use super::table::{Block, Blocks, FromBlocks, Summary};
use crate::http::error::{Error, Reason};
use crate::http::message::{Claims, Request, Response};
use crate::http::semantics::retry_after;
use crate::tls::Opened;
use crate::value::Duration;
use crate::value::FieldName;
use crate::value::exposition::Metric;
use crate::value::problem::Problems;

mod algorithm;
mod keys;
mod place;
mod source;
mod verified;
mod verify;

pub use algorithm::AlgorithmName;
pub use place::TokenPlace;
pub use source::JwksConfig;

use source::{OpenedKeys, Source};
use verified::Verified;
use verify::{Refusal, Rules};

/// The caller has not proven who it is.
pub const UNAUTHORIZED: Reason = Reason::new("unauthorized", 401);
/// The keys that tokens are verified with cannot be had, and none are known from before.
pub const KEYS_UNAVAILABLE: Reason = Reason::new("keys_unavailable", 503);

/// `jwt`
///
/// A token must be signed by one of the keys, with an algorithm that is allowed and that the key is for; it must be
/// of `issuer`, for one of `audiences`, and neither expired nor not valid yet. It is forwarded as it came; `request`
/// or `credentials` may remove or replace it.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What the token's `iss` must be, letter for letter.
    pub issuer: String,
    /// One of these must be in the token's `aud`. Default: whoever it is for.
    #[serde(default)]
    pub audiences: Vec<String>,
    /// The issuer's public keys: `{ file = "keys.json" }` or `{ url = "https://…" }`.
    pub jwks: JwksConfig,
    /// Default: all that a key may be for, which are RS, PS and ES 256 and 384, RS and PS 512, and EdDSA.
    pub algorithms: Option<Vec<AlgorithmName>>,
    /// Where the token stands: `"header:NAME"` or `"cookie:NAME"`. Default: `"header:authorization"`.
    #[serde(default)]
    pub from: TokenPlace,
    /// Headers for the upstream out of claims. What the caller sent under such a name is removed, also when there is
    /// no such claim.
    #[serde(default)]
    pub forward_claims: BTreeMap<FieldName, String>,
    /// How far clocks may differ: added to the end of a token's life, and before its start. Default: 60 s.
    #[serde(default = "a_minute")]
    pub leeway: Duration,
}

fn a_minute() -> Duration {
    Duration::from_secs(60)
}

impl Block for Config {
    const METRICS: &[Metric] = &[source::REFRESHES, source::LAST];
    const REASONS: &[Reason] = &[UNAUTHORIZED, KEYS_UNAVAILABLE];

    fn check(&self, problems: &mut Problems) {
        if self.issuer.is_empty() {
            problems.error(&["issuer"], "a token without an issuer is nobody's word");
        }
        if self.algorithms.as_ref().is_some_and(Vec::is_empty) {
            problems
                .error(
                    &["algorithms"],
                    "without an algorithm no token can be verified",
                )
                .help("leave `algorithms` out to allow all that the keys are for");
        }
        problems.within(&["jwks"], |problems| self.jwks.check(problems));
        for name in self.forward_claims.keys() {
            if name.is_framing() || *name.name() == header::HOST {
                problems.error(
                    &["forward_claims", name.as_str()],
                    format!(
                        "`{}` has another meaning, and cannot carry a claim",
                        name.as_str()
                    ),
                );
            }
        }
    }

    fn tell(&self, summary: &mut Summary) {
        summary.secret_headers.extend(self.from.header().cloned());
    }

    fn open(&self, problems: &mut Problems) -> Opened<Material> {
        let keys = problems.within(&["jwks"], |problems| self.jwks.open(problems));
        keys.under("jwks").any()
    }
}

/// Verifies tokens.
pub(super) struct Jwt {
    source: Source,
    rules: Rules,
    place: TokenPlace,
    /// Tokens that were verified before.
    verified: Verified,
    forward: Vec<(HeaderName, String)>,
}

impl FromBlocks for Jwt {
    fn from_blocks(blocks: &Blocks<'_>, build: &mut Build<'_>) -> Option<Self> {
        Some(Jwt::new(blocks.on()?, blocks.get()?, build))
    }
}

impl Jwt {
    /// By `config`, of whose `jwks` the keys come.
    fn new(config: &Config, keys: &OpenedKeys, build: &mut Build<'_>) -> Self {
        let Config {
            issuer,
            audiences,
            jwks: _,
            algorithms,
            from,
            forward_claims,
            leeway,
        } = config.clone();
        let forward = forward_claims.into_iter();
        Jwt {
            source: Source::new(keys, build),
            rules: Rules {
                issuer,
                audiences,
                algorithms: algorithm::allowed(algorithms.as_deref()),
                leeway: leeway.0,
            },
            place: from,
            verified: Verified::new(),
            forward: forward
                .map(|(name, claim)| (name.name().clone(), claim))
                .collect(),
        }
    }

    async fn claims(&self, request: &Request) -> Result<Arc<Claims>, Error> {
        let token = match self.place.token(&request.headers) {
            Ok(Some(token)) => token,
            Ok(None) => return Err(unauthorized(None)),
            Err(why) => return Err(unauthorized(Some(("invalid_request", why)))),
        };
        let keys = self.source.keys().await.map_err(unavailable)?;
        let now = SystemTime::now();
        if let Some(claims) = self.verified.get(token, keys.version, &self.rules, now) {
            return Ok(claims);
        }
        let (keys, outcome) = match self.rules.verify(token, &keys.set, now) {
            Err(Refusal::UnknownKey) => {
                let newer = self.source.newer_than(&keys).await.map_err(unavailable)?;
                let outcome = self.rules.verify(token, &newer.set, now);
                (newer, outcome)
            }
            outcome => (keys, outcome),
        };
        match outcome {
            Ok(token_life) => Ok(self.verified.put(token, keys.version, token_life)),
            Err(refusal) => Err(unauthorized(Some(("invalid_token", refusal.words())))),
        }
    }
}

impl Policy for Jwt {
    async fn apply(
        &self,
        mut request: Box<Request>,
        next: Next<'_>,
    ) -> Result<Box<Response>, Error> {
        let claims = self.claims(&request).await?;
        for (name, claim) in &self.forward {
            request.headers.remove(name);
            let text = claims.text(claim);
            // No value of a header begins or ends with a blank (RFC 9113, section 8.2.1).
            let text = text.as_deref().map(|text| text.trim_matches([' ', '\t']));
            // A claim that no header can carry is as if it were missing.
            let value = text.and_then(|text| HeaderValue::from_bytes(text.as_bytes()).ok());
            if let Some(value) = value {
                request.headers.insert(name, &value);
            }
        }
        request.context.claims = Some(claims);
        next.call(request).await
    }
}

/// Refuses as RFC 6750, section 3, has it: without an error code when there was no token at all.
fn unauthorized(error: Option<(&'static str, &'static str)>) -> Error {
    let (challenge, detail) = match error {
        None => ("Bearer".to_owned(), "the request has no token"),
        Some((code, why)) => (
            format!("Bearer error=\"{code}\", error_description=\"{why}\""),
            why,
        ),
    };
    let refused = Error::new(UNAUTHORIZED, detail);
    match HeaderValue::from_str(&challenge) {
        Ok(challenge) => refused.with_header(header::WWW_AUTHENTICATE, challenge),
        Err(_) => refused,
    }
}

fn unavailable(wait: StdDuration) -> Error {
    Error::new(
        KEYS_UNAVAILABLE,
        "the keys that tokens are verified with cannot be had",
    )
    .with_header(header::RETRY_AFTER, retry_after::write(wait))
}

#[cfg(test)]
mod tests;
