//! Somebody who signs tokens.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

pub struct Issuer {
    pub algorithm: Algorithm,
    pub kid: &'static str,
    key: EncodingKey,
}

impl Issuer {
    pub fn new(algorithm: Algorithm, kid: &'static str) -> Self {
        let key = match algorithm {
            Algorithm::ES256 => ec(&ECDSA_P256_SHA256_FIXED_SIGNING),
            Algorithm::ES384 => ec(&ECDSA_P384_SHA384_FIXED_SIGNING),
            Algorithm::EdDSA => {
                let key = Ed25519KeyPair::generate().unwrap().to_pkcs8v1().unwrap();
                EncodingKey::from_ed_der(key.as_ref())
            }
            _ => {
                let key = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
                let der: Pkcs8V1Der = key.as_der().unwrap();
                // Of a key of 2048 bits, PKCS#8 has 26 bytes before PKCS#1 (RFC 5208, section 5).
                EncodingKey::from_rsa_der(&der.as_ref()[26..])
            }
        };
        Issuer {
            algorithm,
            kid,
            key,
        }
    }

    /// Signs with the same key by another algorithm.
    pub fn with(self, algorithm: Algorithm) -> Self {
        Issuer { algorithm, ..self }
    }

    /// The public key, with its name and without its algorithm.
    pub fn jwk(&self) -> Value {
        let jwk = Jwk::from_encoding_key(&self.key, self.algorithm).unwrap();
        let mut jwk = serde_json::to_value(jwk).unwrap();
        jwk.as_object_mut().unwrap().remove("alg");
        jwk["kid"] = self.kid.into();
        jwk
    }

    pub fn sign(&self, claims: &Value) -> String {
        let mut header = Header::new(self.algorithm);
        header.kid = Some(self.kid.to_owned());
        self.sign_with(&header, claims)
    }

    pub fn sign_with(&self, header: &Header, claims: &Value) -> String {
        encode(header, claims, &self.key).unwrap()
    }
}

fn ec(kind: &'static aws_lc_rs::signature::EcdsaSigningAlgorithm) -> EncodingKey {
    let key = EcdsaKeyPair::generate_pkcs8(kind, &SystemRandom::new()).unwrap();
    EncodingKey::from_ec_der(key.as_ref())
}

pub fn set(keys: &[Value]) -> String {
    json!({ "keys": keys }).to_string()
}

/// Claims that are good for an hour, with these in addition or instead; `null` takes one away.
pub fn claims(more: Value) -> Value {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let mut claims = json!({
        "iss": "https://idp.example",
        "aud": "shop",
        "sub": "ann",
        "exp": now.as_secs() + 3600,
    });
    for (name, value) in more.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims
        .as_object_mut()
        .unwrap()
        .retain(|_, value| !value.is_null());
    claims
}

pub fn seconds_from_now(seconds: i64) -> Value {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    (now.as_secs() as i64 + seconds).into()
}
