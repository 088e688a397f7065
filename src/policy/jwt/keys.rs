//! Sets of public keys (JWK Set, RFC 7517).

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::Value;

use super::algorithm::named;

/// The most keys that are looked at: issuers have a handful.
const MOST: usize = 256;

/// Keys that can verify, each with the algorithms that it is for.
#[derive(Debug)]
pub struct KeySet {
    pub(super) keys: Vec<Key>,
    /// Keys of the set that cannot be used, by what is said of them.
    pub skipped: Vec<String>,
}

#[derive(Debug)]
pub(super) struct Key {
    pub id: Option<String>,
    /// Pinned here, so that a token cannot choose: the one that the key names, or those of its kind.
    pub algorithms: Vec<Algorithm>,
    pub key: DecodingKey,
}

impl KeySet {
    /// # Errors
    /// A sentence without anything of the text, when this is no set of keys, or one in which nothing can verify.
    pub fn parse(text: &[u8]) -> Result<Self, String> {
        let set: Value = serde_json::from_slice(text).map_err(|error| {
            format!(
                "it is not JSON (line {}, column {})",
                error.line(),
                error.column()
            )
        })?;
        let Some(members) = set["keys"].as_array() else {
            return Err("it has no list `keys`".to_owned());
        };
        if members.len() > MOST {
            return Err(format!("it has more than {MOST} keys"));
        }
        let mut keys = Vec::new();
        let mut skipped = Vec::new();
        for (index, member) in members.iter().enumerate() {
            match Key::read(member) {
                Ok(Some(key)) => keys.push(key),
                Ok(None) => {}
                Err(why) => skipped.push(format!("key {} {why}", index + 1)),
            }
        }
        match (keys.is_empty(), skipped.first()) {
            (false, _) => Ok(KeySet { keys, skipped }),
            (true, Some(first)) => Err(format!("none of its keys can verify a signature: {first}")),
            (true, None) => Err("it has no key that is there to verify signatures".to_owned()),
        }
    }

    /// The names of the keys, for people.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().map(|key| key.id.as_deref().unwrap_or(""))
    }
}

impl Key {
    /// None for a key that is there for something else.
    fn read(member: &Value) -> Result<Option<Self>, String> {
        let other_use = member["use"].as_str().is_some_and(|usage| usage != "sig");
        let operations = member["key_ops"].as_array();
        let verifies = |ops: &Vec<Value>| ops.iter().any(|op| op == "verify");
        if other_use || !operations.is_none_or(verifies) {
            return Ok(None);
        }
        if member["kty"] == "oct" {
            return Err(
                "is a shared secret, and whoever can verify with it can sign as well".to_owned(),
            );
        }
        let wanted = match &member["alg"] {
            Value::Null => None,
            Value::String(name) => match named(name) {
                Some(algorithm) => Some(algorithm),
                None => return Err("is for an algorithm that is not known here".to_owned()),
            },
            _ => return Err("has an `alg` that is no text".to_owned()),
        };
        // The algorithm was read; the library need not know the others.
        let mut plain = member.clone();
        if let Some(plain) = plain.as_object_mut() {
            for unneeded in ["alg", "use", "key_ops", "x5c", "x5u", "x5t", "x5t#S256"] {
                plain.remove(unneeded);
            }
        }
        let malformed = || "is not complete, or not well formed".to_owned();
        let jwk: Jwk = serde_json::from_value(plain).map_err(|_| malformed())?;
        let kind = algorithms_of(&jwk)?;
        let algorithms = match wanted {
            None => kind,
            Some(wanted) if kind.contains(&wanted) => vec![wanted],
            Some(_) => {
                return Err("is for an algorithm that a key of its kind does not have".to_owned());
            }
        };
        Ok(Some(Key {
            id: jwk.common.key_id.clone(),
            algorithms,
            key: DecodingKey::from_jwk(&jwk).map_err(|_| malformed())?,
        }))
    }
}

/// What a key of this kind can be for, if its numbers have the size that they must have.
fn algorithms_of(jwk: &Jwk) -> Result<Vec<Algorithm>, String> {
    use Algorithm::{ES256, ES384, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512};
    let length = |number: &str| {
        BASE64_URL_SAFE_NO_PAD
            .decode(number)
            .map_or(0, |bytes| bytes.len())
    };
    let fit = |algorithm, fits: bool| {
        if fits {
            Ok(vec![algorithm])
        } else {
            Err("is not complete, or not well formed".to_owned())
        }
    };
    match &jwk.algorithm {
        // RFC 7518, section 3.3: 2048 bits or more.
        AlgorithmParameters::RSA(rsa) if length(&rsa.n) < 256 => {
            Err("is an RSA key of less than 2048 bits".to_owned())
        }
        AlgorithmParameters::RSA(_) => Ok(vec![RS256, RS384, RS512, PS256, PS384, PS512]),
        AlgorithmParameters::EllipticCurve(ec) => match ec.curve {
            EllipticCurve::P256 => fit(ES256, length(&ec.x) == 32 && length(&ec.y) == 32),
            EllipticCurve::P384 => fit(ES384, length(&ec.x) == 48 && length(&ec.y) == 48),
            _ => Err("is of a curve that is not known here".to_owned()),
        },
        AlgorithmParameters::OctetKeyPair(pair) => match pair.curve {
            EllipticCurve::Ed25519 => fit(EdDSA, length(&pair.x) == 32),
            _ => Err("is of a curve that is not known here".to_owned()),
        },
        _ => Err("is of a kind that is not known here".to_owned()),
    }
}
