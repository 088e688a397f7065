//! Whether a token is to be believed (RFC 7519, section 7.2, with the advice of RFC 8725).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, crypto};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::algorithm::named;
use super::keys::KeySet;
use crate::http::message::Claims;

/// The longest token that is looked at, in bytes.
const LONGEST: usize = 16 << 10;
/// How many keys are tried for a token that names none.
const MOST_TRIES: usize = 8;

/// What a token must meet.
pub(super) struct Rules {
    pub issuer: String,
    pub audiences: Vec<String>,
    pub algorithms: Vec<Algorithm>,
    pub leeway: Duration,
}

/// Why a token is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It names a key that is not in the set: perhaps a new one.
    UnknownKey,
    Invalid(&'static str),
}

/// What a believed token says, and how long that holds, in seconds since 1970.
#[derive(Debug)]
pub(super) struct ValidToken {
    pub claims: Claims,
    pub validity: Validity,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Validity {
    from: Option<f64>,
    until: f64,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<Value>,
}

impl Refusal {
    /// For the caller: they say which rule, and nothing that the caller has not sent.
    pub fn words(self) -> &'static str {
        match self {
            Refusal::UnknownKey => "the token names a key that the issuer does not have",
            Refusal::Invalid(why) => why,
        }
    }
}

impl Rules {
    /// # Errors
    /// Why it is not believed. No claim is looked at before the signature is verified.
    pub fn verify(
        &self,
        token: &str,
        keys: &KeySet,
        now: SystemTime,
    ) -> Result<ValidToken, Refusal> {
        let malformed = Refusal::Invalid("the token is not well formed");
        if token.len() > LONGEST {
            return Err(malformed);
        }
        let (message, signature) = token.rsplit_once('.').ok_or(malformed)?;
        let (header, payload) = message.split_once('.').ok_or(malformed)?;
        if payload.contains('.') {
            return Err(malformed);
        }
        let header: Header = decoded(header).ok_or(malformed)?;
        if header.crit.is_some() {
            let why = "the token asks for an extension that is not known here";
            return Err(Refusal::Invalid(why));
        }
        self.verify_signature(&header, message, signature, keys)?;
        let claims: Map<String, Value> = decoded(payload).ok_or(malformed)?;
        let validity = self.check_claims(&claims)?;
        self.check_validity(validity, now)?;
        let claims = Claims::new(claims);
        Ok(ValidToken { claims, validity })
    }

    /// Whether a token that was believed once still holds.
    ///
    /// # Errors
    /// Why not.
    pub fn check_validity(&self, validity: Validity, now: SystemTime) -> Result<(), Refusal> {
        let now = now
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs_f64();
        let leeway = self.leeway.as_secs_f64();
        if now >= validity.until + leeway {
            return Err(Refusal::Invalid("the token has expired"));
        }
        if validity.from.is_some_and(|from| now + leeway < from) {
            return Err(Refusal::Invalid("the token is not valid yet"));
        }
        Ok(())
    }

    fn verify_signature(
        &self,
        header: &Header,
        message: &str,
        signature: &str,
        keys: &KeySet,
    ) -> Result<(), Refusal> {
        let algorithm = named(&header.alg)
            .filter(|algorithm| self.algorithms.contains(algorithm))
            .ok_or(Refusal::Invalid("the token's algorithm is not allowed"))?;
        let is_named = |id: &Option<String>| match (id, &header.kid) {
            (Some(id), Some(named)) => id == named,
            // Where one of the two names nothing, any may be meant.
            _ => true,
        };
        let mut named = keys.keys.iter().filter(|key| is_named(&key.id)).peekable();
        if named.peek().is_none() {
            return Err(Refusal::UnknownKey);
        }
        let verifies = named
            .filter(|key| key.algorithms.contains(&algorithm))
            .take(MOST_TRIES)
            .any(|key| {
                let verified = crypto::verify(signature, message.as_bytes(), &key.key, algorithm);
                verified.unwrap_or(false)
            });
        if verifies {
            Ok(())
        } else {
            Err(Refusal::Invalid(
                "the token's signature is not that of the issuer",
            ))
        }
    }

    fn check_claims(&self, claims: &Map<String, Value>) -> Result<Validity, Refusal> {
        let invalid = |why| Err(Refusal::Invalid(why));
        if claims.get("iss").and_then(Value::as_str) != Some(&self.issuer) {
            return invalid("the token is of another issuer");
        }
        let is_ours = |audience: &Value| {
            let audience = audience.as_str();
            audience.is_some_and(|audience| self.audiences.iter().any(|ours| ours == audience))
        };
        let for_us = match claims.get("aud") {
            _ if self.audiences.is_empty() => true,
            Some(Value::Array(audiences)) => audiences.iter().any(is_ours),
            Some(audience) => is_ours(audience),
            None => false,
        };
        if !for_us {
            return invalid("the token is for another audience");
        }
        let Some(until) = claims.get("exp").and_then(Value::as_f64) else {
            return invalid("the token does not say when it expires");
        };
        let from = match claims.get("nbf") {
            None => None,
            Some(from) => match from.as_f64() {
                Some(from) => Some(from),
                None => return invalid("the token does not say from when it is valid"),
            },
        };
        Ok(Validity { from, until })
    }
}

fn decoded<T: serde::de::DeserializeOwned>(part: &str) -> Option<T> {
    let json = BASE64_URL_SAFE_NO_PAD.decode(part).ok()?;
    serde_json::from_slice(&json).ok()
}
