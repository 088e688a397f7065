use std::collections::VecDeque;
use std::sync::Mutex;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use futures_util::future::BoxFuture;
use http::{HeaderMap, StatusCode};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use super::*;
use crate::fetch::{Call, Fetch, Fetched};
use crate::policy::stack::Kept;
use crate::testing::{Echo, request};

mod issuer;

use issuer::{Issuer, claims, seconds_from_now, set};

const BASE: &str = "issuer = \"https://idp.example\"\naudiences = [\"shop\"]\n";

/// A policy whose keys come from a file.
struct Fixture {
    dir: tempfile::TempDir,
}

impl Fixture {
    fn with(keys: &[Value]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("keys"), set(keys)).unwrap();
        Fixture { dir }
    }

    fn config(&self, more: &str) -> Config {
        let path = self.dir.path().join("keys");
        toml::from_str(&format!("{BASE}jwks = {{ file = {path:?} }}\n{more}")).unwrap()
    }

    fn policy(&self, more: &str) -> Jwt {
        let (old, mut new) = (Kept::default(), Kept::default());
        let mut build = Build::new("pay".into(), &old, &mut new);
        Jwt::new(&self.config(more), &mut build).unwrap()
    }
}

fn with_token(token: &str) -> Box<Request> {
    let mut request = request("GET", "/");
    let value = format!("Bearer {token}").parse().unwrap();
    request.headers.insert(&header::AUTHORIZATION, &value);
    request
}

/// "", or why the token is not believed.
async fn refusal(policy: &Jwt, token: &str) -> String {
    match policy.apply(with_token(token), &Echo).await {
        Ok(_) => String::new(),
        Err(error) => {
            assert_eq!(error.reason(), UNAUTHORIZED);
            let (name, challenge) = &error.headers()[0];
            assert_eq!(name, header::WWW_AUTHENTICATE);
            let description = format!("error_description=\"{}\"", error.detail());
            assert!(challenge.to_str().unwrap().ends_with(&description));
            error.detail().to_owned()
        }
    }
}

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
async fn claims_are_judged() {
    let issuer = Issuer::new(Algorithm::ES256, "k");
    let fixture = Fixture::with(&[issuer.jwk()]);
    let policy = fixture.policy("leeway = \"10s\"");
    let other_issuer = "the token is of another issuer";
    let other_audience = "the token is for another audience";
    for (more, expected) in [
        (json!({ "aud": ["other", "shop"] }), ""),
        (json!({ "aud": "other" }), other_audience),
        (json!({ "aud": ["other"] }), other_audience),
        (json!({ "aud": null }), other_audience),
        (json!({ "iss": "https://idp.example/" }), other_issuer),
        (json!({ "iss": ["https://idp.example"] }), other_issuer),
        (json!({ "iss": null }), other_issuer),
        (json!({ "exp": seconds_from_now(-5) }), ""),
        (
            json!({ "exp": seconds_from_now(-15) }),
            "the token has expired",
        ),
        (
            json!({ "exp": "never" }),
            "the token does not say when it expires",
        ),
        (
            json!({ "exp": null }),
            "the token does not say when it expires",
        ),
        (json!({ "nbf": seconds_from_now(5) }), ""),
        (
            json!({ "nbf": seconds_from_now(60) }),
            "the token is not valid yet",
        ),
        (
            json!({ "nbf": "now" }),
            "the token does not say from when it is valid",
        ),
    ] {
        let token = issuer.sign(&claims(more.clone()));
        assert_eq!(refusal(&policy, &token).await, expected, "{more}");
    }
    let anybody = fixture.policy("").rules.audiences.is_empty();
    assert!(!anybody);
    let mut config = fixture.config("");
    config.audiences.clear();
    let (old, mut new) = (Kept::default(), Kept::default());
    let policy = Jwt::new(&config, &mut Build::new("a".into(), &old, &mut new)).unwrap();
    let token = issuer.sign(&claims(json!({ "aud": null })));
    assert_eq!(refusal(&policy, &token).await, "");
}

#[tokio::test]
async fn claims_become_headers_and_no_caller_can_forge_one() {
    let issuer = Issuer::new(Algorithm::ES256, "k");
    let policy = Fixture::with(&[issuer.jwk()])
        .policy("forward_claims = { X-User = \"sub\", x-role = \"role\", x-odd = \"odd\" }");
    let mut request = with_token(&issuer.sign(&claims(json!({ "odd": "a\r\nb: c" }))));
    for name in ["x-user", "X-ROLE", "x-odd"] {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        request
            .headers
            .append(&name, &HeaderValue::from_static("forged"));
    }
    let response = policy.apply(request, &Echo).await.unwrap();
    let told = |name: &'static str| response.headers.get_str(&HeaderName::from_static(name));
    assert_eq!(told("x-user"), Some("ann"));
    assert_eq!(told("x-role"), None);
    assert_eq!(told("x-odd"), None);
}

#[tokio::test]
async fn without_a_token_there_is_no_error_code() {
    let issuer = Issuer::new(Algorithm::ES256, "k");
    let policy = Fixture::with(&[issuer.jwk()]).policy("");
    let error = policy.apply(request("GET", "/"), &Echo).await.unwrap_err();
    assert_eq!(error.headers()[0].1, "Bearer");
}

#[test]
fn sets_of_keys_are_read_with_care() {
    let ec = Issuer::new(Algorithm::ES256, "ec").jwk();
    let changed = |key: &str, value: Value| {
        let mut jwk = ec.clone();
        jwk[key] = value;
        jwk
    };
    let read = |text: &str| keys::KeySet::parse(text.as_bytes());
    let skipped = |jwk: Value| {
        let set = read(&set(&[ec.clone(), jwk])).unwrap();
        assert_eq!(set.names().count(), 1);
        set.skipped.join(";")
    };
    assert_eq!(skipped(changed("use", "enc".into())), "");
    assert_eq!(skipped(changed("key_ops", json!(["encrypt"]))), "");
    for (jwk, says) in [
        (
            json!({ "kty": "oct", "k": "c2VjcmV0" }),
            "key 2 is a shared secret",
        ),
        (changed("alg", "HS256".into()), "not known here"),
        (changed("alg", "ES384".into()), "does not have"),
        (changed("crv", "P-521".into()), "curve"),
        (changed("x", "AAAA".into()), "not well formed"),
        (
            json!({ "kty": "RSA", "n": "AQAB", "e": "AQAB" }),
            "less than 2048 bits",
        ),
        (json!({ "kty": "new" }), "key 2"),
        (json!(7), "key 2"),
    ] {
        assert!(
            skipped(jwk.clone()).contains(says),
            "{jwk}: {}",
            skipped(jwk.clone())
        );
    }
    for (text, says) in [
        ("", "not JSON"),
        ("[]", "no list `keys`"),
        ("{}", "no list `keys`"),
        ("{\"keys\":[]}", "no key"),
        ("{\"keys\":[{\"kty\":\"oct\"}]}", "none of its keys"),
    ] {
        let error = read(text).unwrap_err();
        assert!(error.contains(says), "{text}: {error}");
    }
    assert!(read(&set(&vec![ec.clone(); 257])).is_err());
}

#[test]
fn mistakes_are_at_their_place() {
    let text = "issuer = \"\"\nalgorithms = []\njwks = {}\nforward_claims = { Host = \"sub\" }";
    let config: Config = toml::from_str(text).unwrap();
    let mut problems = Problems::default();
    config.check(&mut problems);
    let places: Vec<_> = problems.into_vec().iter().map(|p| p.at.join(".")).collect();
    assert_eq!(
        places,
        ["issuer", "algorithms", "jwks", "forward_claims.Host"]
    );
    for (algorithm, says) in [
        ("HS256", "can verify"),
        ("none", "no signature"),
        ("RS1", "not an"),
    ] {
        let text = format!("issuer = \"a\"\njwks = {{}}\nalgorithms = [\"{algorithm}\"]");
        let error = toml::from_str::<Config>(&text).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
}

/// Gives these sets of keys, and then none any more.
#[derive(Clone, Default)]
struct Server(Arc<Mutex<(VecDeque<String>, usize)>>);

impl Server {
    fn giving(sets: &[String]) -> Self {
        Server(Arc::new(Mutex::new((sets.iter().cloned().collect(), 0))))
    }

    fn calls(&self) -> usize {
        self.0.lock().unwrap().1
    }

    fn build(&self, old: &Kept, new: &mut Kept) -> Jwt {
        let fetch: Arc<dyn Fetch> = Arc::new(self.clone());
        let config = format!("{BASE}jwks = {{ url = \"http://idp/keys\" }}");
        let mut build = Build::new("pay".into(), old, new).with_fetch(&fetch);
        Jwt::new(&toml::from_str(&config).unwrap(), &mut build).unwrap()
    }
}

impl Fetch for Server {
    fn fetch(&self, _: Call) -> BoxFuture<'_, Result<Fetched, String>> {
        let mut state = self.0.lock().unwrap();
        state.1 += 1;
        let answer = state.0.pop_front().map(|body| Fetched {
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            body: body.into(),
        });
        Box::pin(std::future::ready(answer.ok_or_else(|| "down".to_owned())))
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_key_is_fetched_when_a_token_names_it() {
    let (first, second) = (
        Issuer::new(Algorithm::ES256, "1"),
        Issuer::new(Algorithm::ES256, "2"),
    );
    let server = Server::giving(&[set(&[first.jwk()]), set(&[first.jwk(), second.jwk()])]);
    let (old, mut new) = (Kept::default(), Kept::default());
    let policy = server.build(&old, &mut new);
    assert_eq!(refusal(&policy, &first.sign(&claims(json!({})))).await, "");
    assert_eq!(server.calls(), 1);
    assert_eq!(refusal(&policy, &second.sign(&claims(json!({})))).await, "");
    assert_eq!(server.calls(), 2);

    // A reload keeps the keys.
    let policy = server.build(&new, &mut Kept::default());
    assert_eq!(refusal(&policy, &second.sign(&claims(json!({})))).await, "");
    assert_eq!(server.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn without_keys_nobody_is_called_a_stranger() {
    let issuer = Issuer::new(Algorithm::ES256, "1");
    let server = Server::giving(&[]);
    let (old, mut new) = (Kept::default(), Kept::default());
    let policy = server.build(&old, &mut new);
    let outcome = policy
        .apply(with_token(&issuer.sign(&claims(json!({})))), &Echo)
        .await;
    let error = outcome.unwrap_err();
    assert_eq!(error.reason(), KEYS_UNAVAILABLE);
    assert_eq!(
        error.headers()[0],
        (header::RETRY_AFTER, HeaderValue::from(1))
    );
}

#[tokio::test(start_paused = true)]
async fn old_keys_serve_while_there_are_no_new_ones() {
    let (issuer, stranger) = (
        Issuer::new(Algorithm::ES256, "1"),
        Issuer::new(Algorithm::ES256, "2"),
    );
    let server = Server::giving(&[set(&[issuer.jwk()])]);
    let (old, mut new) = (Kept::default(), Kept::default());
    let policy = server.build(&old, &mut new);
    assert_eq!(refusal(&policy, &issuer.sign(&claims(json!({})))).await, "");
    tokio::time::sleep(StdDuration::from_secs(1000)).await;
    assert!(server.calls() > 1);
    assert_eq!(
        refusal(&policy, &issuer.sign(&claims(json!({ "n": 1 })))).await,
        ""
    );
    // Nobody knows whether this key is a new one.
    let outcome = policy
        .apply(with_token(&stranger.sign(&claims(json!({})))), &Echo)
        .await;
    assert_eq!(outcome.unwrap_err().reason(), KEYS_UNAVAILABLE);
}

#[tokio::test(start_paused = true)]
async fn tokens_of_unknown_keys_do_not_flood_the_server() {
    let (issuer, stranger) = (
        Issuer::new(Algorithm::ES256, "1"),
        Issuer::new(Algorithm::ES256, "2"),
    );
    let server = Server::giving(&vec![set(&[issuer.jwk()]); 50]);
    let (old, mut new) = (Kept::default(), Kept::default());
    let policy = server.build(&old, &mut new);
    let token = stranger.sign(&claims(json!({})));
    for _ in 0..50 {
        let why = refusal(&policy, &token).await;
        assert_eq!(why, "the token names a key that the issuer does not have");
    }
    assert!(server.calls() <= 5, "{}", server.calls());
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
