//! Somebody who signs tokens, by ES256.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

pub const ISSUER: &str = "https://idp.example";

/// Has one key, and signs with it.
pub struct Issuer {
    kid: &'static str,
    key: EncodingKey,
}

impl Issuer {
    pub fn new(kid: &'static str) -> Issuer {
        let pair =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new());
        let key = EncodingKey::from_ec_der(pair.expect("a key").as_ref());
        Issuer { kid, key }
    }

    /// A token that is good for an hour, with these claims in addition or instead.
    pub fn token(&self, more: Value) -> String {
        let mut claims = json!({ "iss": ISSUER, "sub": "ann", "exp": now() + 3600 });
        for (name, value) in more.as_object().expect("claims") {
            claims[name] = value.clone();
        }
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some(self.kid.to_owned());
        encode(&header, &claims, &self.key).expect("a token")
    }

    /// The same, as the value of `Authorization`.
    pub fn bearer(&self, more: Value) -> String {
        format!("Bearer {}", self.token(more))
    }

    fn jwk(&self) -> Value {
        let jwk = Jwk::from_encoding_key(&self.key, Algorithm::ES256).expect("a public key");
        let mut jwk = serde_json::to_value(jwk).expect("a public key");
        jwk["kid"] = self.kid.into();
        jwk
    }
}

/// The public keys of these, as a JWK Set.
pub fn key_set(issuers: &[&Issuer]) -> String {
    let keys: Vec<Value> = issuers.iter().map(|issuer| issuer.jwk()).collect();
    json!({ "keys": keys }).to_string()
}

/// In seconds since 1970.
pub fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.expect("a clock that is set").as_secs()
}
