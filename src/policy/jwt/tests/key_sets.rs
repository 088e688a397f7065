//! The issuer's keys: which of a set are taken, and when its server is asked for a newer one.

use std::collections::VecDeque;
use std::sync::Mutex;

use futures_util::future::BoxFuture;
use http::{HeaderMap, StatusCode};

use super::*;
use crate::fetch::{Call, Fetch, Fetched};

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
        built(&toml::from_str(&config).unwrap(), &mut build)
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
        .apply(with_token(&issuer.sign(&claims(json!({})))), next(&Echo))
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
        .apply(with_token(&stranger.sign(&claims(json!({})))), next(&Echo))
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
