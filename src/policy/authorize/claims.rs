//! `authorize.claims`: what a caller's token must say.
//!
//! `authorize` stands before `jwt`, as who may not call at all should cost nothing; what a token says is known only
//! behind it. So this part is judged right after `jwt`.

use std::collections::BTreeMap;

use http::{HeaderValue, header};
use serde_json::Value;

use super::refusal::FORBIDDEN;
use crate::http::error::Error;
use crate::http::exchange::Exchange;
use crate::http::message::{Claims, Request};
use crate::policy::stack::Filter;

/// By claim, the values of which one must be there.
pub type ClaimsConfig = BTreeMap<String, Vec<String>>;

/// Claims that are a list in one text, with spaces (RFC 8693, section 4.2; `scp` is what some issuers call it).
const SPACED: [&str; 2] = ["scope", "scp"];

/// Refuses callers whose token does not say what it must.
pub(in crate::policy) struct AuthorizeClaims(ClaimsConfig);

impl AuthorizeClaims {
    /// None when nothing is asked of claims.
    pub(super) fn new(config: &ClaimsConfig) -> Option<Self> {
        (!config.is_empty()).then(|| AuthorizeClaims(config.clone()))
    }

    fn allows(&self, claims: &Claims) -> bool {
        self.0.iter().all(|(name, wanted)| {
            let found = claims.get(name);
            found.is_some_and(|found| has_one(name, found, wanted))
        })
    }
}

impl Filter for AuthorizeClaims {
    type State<'a> = ();

    fn on_request(&self, request: &mut Request, _: &Exchange<'_>) -> Result<(), Error> {
        let claims = request.context.claims.as_deref();
        if claims.is_some_and(|claims| self.allows(claims)) {
            return Ok(());
        }
        // RFC 6750, section 3.1.
        let challenge = "Bearer error=\"insufficient_scope\"";
        Err(
            Error::new(FORBIDDEN, "the token does not allow this").with_header(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static(challenge),
            ),
        )
    }
}

fn has_one(name: &str, found: &Value, wanted: &[String]) -> bool {
    let is_wanted = |text: &str| wanted.iter().any(|wanted| wanted == text);
    match found {
        Value::String(list) if SPACED.contains(&name) => list.split(' ').any(is_wanted),
        Value::String(text) => is_wanted(text),
        Value::Number(_) | Value::Bool(_) => is_wanted(&found.to_string()),
        Value::Array(members) => members.iter().any(|member| match member {
            Value::Array(_) => false,
            member => has_one(name, member, wanted),
        }),
        Value::Null | Value::Object(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::policy::stack::Policy;
    use crate::testing::{Echo, next, request};

    async fn allowed(config: &str, claims: Option<&str>) -> bool {
        let config: ClaimsConfig = toml::from_str(config).unwrap();
        let policy = AuthorizeClaims::new(&config).unwrap();
        let mut request = request("GET", "/");
        request.context.claims =
            claims.map(|json| Arc::new(Claims::new(serde_json::from_str(json).unwrap())));
        match policy.apply(request, next(&Echo)).await {
            Ok(_) => true,
            Err(error) => {
                assert_eq!(error.reason(), FORBIDDEN);
                false
            }
        }
    }

    #[tokio::test]
    async fn every_claim_must_have_one_of_its_values() {
        let admin = "role = [\"admin\", \"owner\"]";
        for (config, claims, expected) in [
            (admin, r#"{"role":"admin"}"#, true),
            (admin, r#"{"role":["user","owner"]}"#, true),
            (admin, r#"{"role":"user"}"#, false),
            (admin, r#"{"role":"admin user"}"#, false),
            (admin, r#"{"role":[["admin"]]}"#, false),
            (admin, r#"{"role":{"admin":true}}"#, false),
            (admin, r#"{"role":null}"#, false),
            (admin, "{}", false),
            ("scope = [\"write\"]", r#"{"scope":"read write"}"#, true),
            ("scope = [\"write\"]", r#"{"scope":"read writer"}"#, false),
            ("scp = [\"write\"]", r#"{"scp":["read","write"]}"#, true),
            (
                "level = [\"7\"]\nok = [\"true\"]",
                r#"{"level":7,"ok":true}"#,
                true,
            ),
            (
                "level = [\"7\"]\nok = [\"true\"]",
                r#"{"level":7,"ok":false}"#,
                false,
            ),
            (
                "\"realm.roles\" = [\"a\"]",
                r#"{"realm":{"roles":["b","a"]}}"#,
                true,
            ),
        ] {
            assert_eq!(
                allowed(config, Some(claims)).await,
                expected,
                "{config}: {claims}"
            );
        }
    }

    #[tokio::test]
    async fn without_a_verified_token_nobody_passes() {
        assert!(!allowed("role = [\"admin\"]", None).await);
    }
}
