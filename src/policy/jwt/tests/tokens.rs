//! Which tokens are believed, by their algorithm and signature, and for how long.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::{EncodingKey, Header, encode};

use super::*;

#[tokio::test]
async fn every_algorithm_that_may_be_believed_is() {
    let rsa = Issuer::new(Algorithm::RS256, "rsa");
    let fixture = Fixture::with(&[rsa.jwk()]);
    let mut rsa = rsa;
    for algorithm in [
        Algorithm::RS256,
        Algorithm::RS384,
        Algorithm::RS512,
        Algorithm::PS256,
        Algorithm::PS384,
        Algorithm::PS512,
    ] {
        rsa = rsa.with(algorithm);
        let token = rsa.sign(&claims(json!({})));
        assert_eq!(
            refusal(&fixture.policy(""), &token).await,
            "",
            "{algorithm:?}"
        );
    }
    for algorithm in [Algorithm::ES256, Algorithm::ES384, Algorithm::EdDSA] {
        let issuer = Issuer::new(algorithm, "k");
        let policy = Fixture::with(&[issuer.jwk()]).policy("");
        let token = issuer.sign(&claims(json!({})));
        assert_eq!(refusal(&policy, &token).await, "", "{algorithm:?}");
    }
}

#[tokio::test]
async fn a_token_cannot_choose_its_algorithm() {
    let rsa = Issuer::new(Algorithm::RS256, "rsa");
    let mut pinned = rsa.jwk();
    pinned["alg"] = "RS256".into();
    let fixture = Fixture::with(&[pinned]);
    let policy = fixture.policy("");
    let good = rsa.sign(&claims(json!({})));
    assert_eq!(refusal(&policy, &good).await, "");

    // The classic: the public key as if it were a shared secret.
    let modulus = rsa.jwk()["n"].as_str().unwrap().to_owned();
    let mut header = Header::new(Algorithm::HS256);
    header.kid = Some("rsa".to_owned());
    let secret = EncodingKey::from_secret(modulus.as_bytes());
    let forged = encode(&header, &claims(json!({})), &secret).unwrap();
    assert_eq!(
        refusal(&policy, &forged).await,
        "the token's algorithm is not allowed"
    );

    let (_, rest) = good.split_once('.').unwrap();
    let (payload, _) = rest.split_once('.').unwrap();
    for alg in ["none", "None", "NONE", ""] {
        let header = BASE64_URL_SAFE_NO_PAD.encode(json!({ "alg": alg, "kid": "rsa" }).to_string());
        let unsigned = format!("{header}.{payload}.");
        assert_eq!(
            refusal(&policy, &unsigned).await,
            "the token's algorithm is not allowed"
        );
    }

    // The key is for RS256, or the route for others.
    let rsa = rsa.with(Algorithm::PS256);
    let token = rsa.sign(&claims(json!({})));
    let not_theirs = "the token's signature is not that of the issuer";
    assert_eq!(refusal(&policy, &token).await, not_theirs);
    let es = fixture.policy("algorithms = [\"ES256\"]");
    assert_eq!(
        refusal(&es, &good).await,
        "the token's algorithm is not allowed"
    );
}

#[tokio::test]
async fn a_changed_token_is_not_believed() {
    let issuer = Issuer::new(Algorithm::ES256, "k");
    let policy = Fixture::with(&[issuer.jwk()]).policy("");
    let token = issuer.sign(&claims(json!({ "role": "user" })));
    assert_eq!(refusal(&policy, &token).await, "");
    let parts: Vec<&str> = token.split('.').collect();
    let payload = claims(json!({ "role": "admin" })).to_string();
    let payload = BASE64_URL_SAFE_NO_PAD.encode(payload);
    let not_theirs = "the token's signature is not that of the issuer";
    let malformed = "the token is not well formed";
    let stranger = Issuer::new(Algorithm::ES256, "k").sign(&claims(json!({})));
    let long = "x".repeat(20 << 10);
    for (token, expected) in [
        (format!("{}.{payload}.{}", parts[0], parts[2]), not_theirs),
        (format!("{}.{}.", parts[0], parts[1]), not_theirs),
        (
            format!("{}.{}.{}x", parts[0], parts[1], parts[2]),
            not_theirs,
        ),
        (format!("{}.{}.!", parts[0], parts[1]), not_theirs),
        (stranger, not_theirs),
        (format!("{}.{}", parts[0], parts[1]), malformed),
        (format!("{token}.{}", parts[2]), malformed),
        (format!("!.{}.{}", parts[1], parts[2]), malformed),
        ("..".to_owned(), malformed),
        ("a".to_owned(), malformed),
        (format!("{}.{long}.{}", parts[0], parts[2]), malformed),
    ] {
        assert_eq!(refusal(&policy, &token).await, expected, "{token:.60}");
    }
    let mut header = Header::new(Algorithm::ES256);
    header.crit = Some(vec!["b64".to_owned()]);
    let token = issuer.sign_with(&header, &claims(json!({})));
    assert!(refusal(&policy, &token).await.contains("an extension"));
}

#[tokio::test]
async fn a_remembered_token_still_expires_and_is_forgotten_with_its_key() {
    let issuer = Issuer::new(Algorithm::ES256, "k");
    let policy = Fixture::with(&[issuer.jwk()]).policy("leeway = \"0s\"");
    let token = issuer.sign(&claims(json!({})));
    assert_eq!(refusal(&policy, &token).await, "");
    let now = SystemTime::now();
    let remembered = |keys, now| {
        policy
            .verified
            .get(&token, keys, &policy.rules, now)
            .is_some()
    };
    assert!(remembered(0, now));
    assert!(!remembered(1, now));
    assert!(!remembered(0, now + StdDuration::from_secs(3601)));
    let forged = format!("{token}x");
    assert!(
        policy
            .verified
            .get(&forged, 0, &policy.rules, now)
            .is_none()
    );
}

#[tokio::test]
async fn without_a_token_there_is_no_error_code() {
    let issuer = Issuer::new(Algorithm::ES256, "k");
    let policy = Fixture::with(&[issuer.jwk()]).policy("");
    let error = policy
        .apply(request("GET", "/"), next(&Echo))
        .await
        .unwrap_err();
    assert_eq!(error.headers()[0].1, "Bearer");
}
