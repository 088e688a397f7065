use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{HeaderMap, StatusCode};

use super::oauth2::granted;
use super::refusal::CREDENTIALS_UNAVAILABLE;
use super::*;
use crate::fetch::{Call, Fetch, Fetched};
use crate::http::body::Body;
use crate::http::exchange::Exchange;
use crate::policy::build::Kept;
use crate::policy::stack::{Answer, Handler};
use crate::testing::{Echo, headers, next, request};

fn config(text: &str) -> Config {
    toml::from_str(text).unwrap()
}

/// What is opened of the block.
fn opened(text: &str) -> Option<Arc<Credential>> {
    let opened = config(text).open(&mut Problems::default());
    opened.material?.downcast().ok()
}

/// Gives these answers, and then none any more.
#[derive(Clone, Default)]
struct Endpoint(Arc<Mutex<(VecDeque<String>, Vec<Call>)>>);

impl Endpoint {
    fn giving(bodies: &[&str]) -> Self {
        let bodies = bodies.iter().map(|body| (*body).to_owned()).collect();
        Endpoint(Arc::new(Mutex::new((bodies, Vec::new()))))
    }

    fn calls(&self) -> Vec<Call> {
        self.0.lock().unwrap().1.clone()
    }

    fn build(&self, text: &str, old: &Kept, new: &mut Kept) -> Credentials {
        let fetch: Arc<dyn Fetch> = Arc::new(self.clone());
        let mut build = Build::new("pay".into(), old, new).with_fetch(&fetch);
        Credentials::new(&opened(text).unwrap(), &mut build)
    }
}

impl Fetch for Endpoint {
    fn fetch(&self, call: Call) -> BoxFuture<'_, Result<Fetched, String>> {
        let mut state = self.0.lock().unwrap();
        state.1.push(call);
        let body = state.0.pop_front();
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(10)).await;
            body.map(answer).ok_or_else(|| "down".to_owned())
        })
    }
}

fn answer(body: String) -> Fetched {
    Fetched {
        status: StatusCode::OK,
        headers: HeaderMap::new(),
        body: body.into(),
    }
}

fn grant(token: &str, life: u32) -> String {
    format!(r#"{{"access_token":"{token}","token_type":"bearer","expires_in":{life}}}"#)
}

const OAUTH2: &str = r#"
    [oauth2]
    token_url = "http://idp/token"
    client_id = "me"
    client_secret = { value = "s3cret" }"#;

async fn sent(credentials: &Credentials, fields: &[(&str, &str)]) -> Vec<String> {
    let mut request = request("GET", "/");
    request.headers = headers(fields);
    let response = credentials.apply(request, next(&Echo)).await.unwrap();
    let mut all: Vec<_> = response
        .headers
        .iter()
        .map(|(name, value)| {
            let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
            format!("{}: {}", text(name).to_lowercase(), text(value))
        })
        .collect();
    all.sort();
    all
}

fn constant(text: &str) -> Credentials {
    let (old, mut new) = (Kept::default(), Kept::default());
    Endpoint::default().build(text, &old, &mut new)
}

#[tokio::test]
async fn the_caller_s_own_is_replaced() {
    let theirs = [
        ("authorization", "Bearer theirs"),
        ("x-api-key", "1"),
        ("x-api-key", "2"),
    ];
    let bearer = constant("bearer = { value = \"s3cret\" }");
    let expected = [
        "authorization: Bearer s3cret",
        "x-api-key: 1",
        "x-api-key: 2",
    ];
    assert_eq!(sent(&bearer, &theirs).await, expected);
    let key = constant("api_key = { header = \"X-API-Key\", value = { value = \"s3cret\" } }");
    let expected = ["authorization: Bearer theirs", "x-api-key: s3cret"];
    assert_eq!(sent(&key, &theirs).await, expected);
    // The example of RFC 7617, section 2.
    let basic =
        constant("basic = { username = \"Aladdin\", password = { value = \"open sesame\" } }");
    let expected = "authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==";
    assert_eq!(sent(&basic, &theirs).await[0], expected);
}

#[test]
fn problems_are_at_their_place() {
    let places = |text: &str| {
        let mut problems = Problems::default();
        config(text).check(&mut problems);
        config(text).open(&mut problems);
        let found = problems.into_vec().into_iter();
        found.map(|p| p.at.join(".")).collect::<Vec<_>>()
    };
    assert_eq!(places(""), [""]);
    let two =
        "bearer = { env = \"PATH\" }\nbasic = { username = \"a:b\", password = { value = \"x\" } }";
    assert_eq!(
        places(two),
        ["basic", "basic.username", "basic.password.value"]
    );
    assert_eq!(
        places("bearer = { value = \"Bearer x\" }"),
        ["bearer.value", "bearer"]
    );
    let host = "api_key = { header = \"Host\", value = { env = \"PATH\" } }";
    assert_eq!(places(host), ["api_key.header"]);
    let oauth2 = "[oauth2]\ntoken_url = \"https://idp\"\nca = \"/none\"\nclient_id = \"\"\nscopes = [\"a b\"]\n\
                  client_secret = { value = \"x\" }";
    let expected = [
        "oauth2.client_id",
        "oauth2.scopes.0",
        "oauth2.ca",
        "oauth2.client_secret.value",
    ];
    assert_eq!(places(oauth2), expected);
    let copied = "basic = { username = \"shop \", password = { env = \"PATH\" } }";
    assert_eq!(places(copied), ["basic.username"]);
    let copied = oauth2.replace("client_id = \"\"", "client_id = \"\u{feff}shop\"");
    assert_eq!(places(&copied), expected);
}

#[tokio::test]
async fn what_nobody_sees_at_the_ends_of_a_secret_is_not_sent() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    std::fs::write(&file, "\u{feff}s3cret \u{200b}\r\n").unwrap();
    for (text, sent_as) in [
        (
            format!("bearer = {{ file = {file:?} }}"),
            "authorization: Bearer s3cret",
        ),
        (
            format!("api_key = {{ header = \"x-key\", value = {{ file = {file:?} }} }}"),
            "x-key: s3cret",
        ),
        (
            format!("basic = {{ username = \"a\", password = {{ file = {file:?} }} }}"),
            "authorization: Basic YTpzM2NyZXQ=",
        ),
    ] {
        assert_eq!(sent(&constant(&text), &[]).await, [sent_as], "{text}");
    }
    let padded = OAUTH2.replace("value = \"s3cret\"", "value = \" s3cret \"");
    let secret = config(&padded).oauth2.unwrap().client_secret;
    let secret = secret.open(&mut Problems::default()).unwrap();
    assert_eq!(secret.reveal(), "s3cret");
    let token = granted(&answer("{\"access_token\": \" t0ken\\n\"}".to_owned()))
        .map(|grant| grant.authorization);
    assert_eq!(
        token.ok().as_ref().map(|value| value.as_bytes()),
        Some(&b"Bearer t0ken"[..])
    );
}

#[test]
fn what_is_asked_for_follows_the_standard() {
    let shown = |more: &str| {
        let text = format!("{OAUTH2}\n{more}").replace("\"me\"", "\"me:1\"");
        let opened = opened(&text).unwrap();
        let Credential::Granted(settings) = &*opened else {
            panic!("{opened:?}");
        };
        let call = settings.call();
        let authorization = call.headers.get(header::AUTHORIZATION);
        (
            authorization.map(|value| value.to_str().unwrap().to_owned()),
            String::from_utf8(call.body.to_vec()).unwrap(),
        )
    };
    let (authorization, body) = shown("scopes = [\"a\", \"b\"]\naudience = \"https://api/\"");
    let encoded = BASE64_STANDARD.encode("me%3A1:s3cret");
    assert_eq!(authorization, Some(format!("Basic {encoded}")));
    assert_eq!(
        body,
        "grant_type=client_credentials&scope=a+b&audience=https%3A%2F%2Fapi%2F"
    );
    let (authorization, body) = shown("auth_style = \"post\"");
    assert_eq!(authorization, None);
    let expected = "grant_type=client_credentials&client_id=me%3A1&client_secret=s3cret";
    assert_eq!(body, expected);
}

#[test]
fn what_is_granted_is_read_with_care() {
    let life = |more: &str| {
        let body = format!(r#"{{"access_token":"t0ken","token_type":"Bearer"{more}}}"#);
        granted(&answer(body)).map(|grant| grant.life.as_secs())
    };
    for (more, seconds) in [
        ("", 300),
        (r#","expires_in":60"#, 60),
        (r#","expires_in":59.9"#, 59),
        (r#","expires_in":"60""#, 60),
        (r#","expires_in":"soon""#, 300),
        (r#","expires_in":"NaN""#, 300),
        (r#","expires_in":null"#, 300),
        (r#","expires_in":1e300"#, 86400),
        (r#","expires_in":99999999999999999999"#, 86400),
    ] {
        assert_eq!(life(more), Ok(seconds), "{more}");
    }
    for more in [
        r#","expires_in":0"#,
        r#","expires_in":-1"#,
        r#","expires_in":"-inf""#,
    ] {
        assert!(
            life(more).unwrap_err().contains("expired already"),
            "{more}"
        );
    }
    for (body, says) in [
        ("", "not JSON"),
        ("[]", "no `access_token`"),
        (r#"{"access_token":7}"#, "no `access_token`"),
        (r#"{"access_token":""}"#, "an empty token"),
        (r#"{"access_token":"t0ken\r\nx: y"}"#, "no header can carry"),
        (
            r#"{"access_token":"t0ken","token_type":"mac"}"#,
            "another type",
        ),
        (r#"{"access_token":"t0ken","token_type":7}"#, "another type"),
    ] {
        let error = granted(&answer(body.to_owned())).map(|_| ()).unwrap_err();
        assert!(
            error.contains(says) && !error.contains("t0ken"),
            "{body}: {error}"
        );
    }
    let mut refused = answer(r#"{"error":"invalid_client","error_description":"s3cret"}"#.into());
    refused.status = StatusCode::UNAUTHORIZED;
    let error = granted(&refused).map(|_| ()).unwrap_err();
    assert_eq!(error, "the token endpoint answered 401, `invalid_client`");
    refused.body = Bytes::from_static(br#"{"error":"s3cret"}"#);
    let error = granted(&refused).map(|_| ()).unwrap_err();
    assert_eq!(error, "the token endpoint answered 401");
}

#[tokio::test(start_paused = true)]
async fn a_token_is_renewed_at_half_its_life_and_never_sent_expired() {
    let endpoint = Endpoint::giving(&[&grant("one", 100), &grant("two", 100)]);
    let (old, mut new) = (Kept::default(), Kept::default());
    let credentials = endpoint.build(OAUTH2, &old, &mut new);
    assert_eq!(sent(&credentials, &[]).await, ["authorization: Bearer one"]);
    tokio::time::sleep(Duration::from_secs(51)).await;
    assert_eq!(sent(&credentials, &[]).await, ["authorization: Bearer two"]);
    assert_eq!(endpoint.calls().len(), 2);
    // From here on the endpoint is down.
    tokio::time::sleep(Duration::from_secs(90)).await;
    assert_eq!(sent(&credentials, &[]).await, ["authorization: Bearer two"]);
    tokio::time::sleep(Duration::from_secs(10)).await;
    let refused = credentials.apply(request("GET", "/"), next(&Echo)).await;
    let error = refused.unwrap_err();
    assert_eq!(error.reason(), CREDENTIALS_UNAVAILABLE);
    assert_eq!(error.headers()[0].0, header::RETRY_AFTER);
}

/// Refuses every token but this one.
struct Takes(&'static str);

impl Handler for Takes {
    fn call<'a>(&'a self, mut request: Box<Request>, exchange: &'a Exchange<'a>) -> Answer<'a> {
        Box::pin(async move {
            let good = request.headers.get_str(&header::AUTHORIZATION) == Some(self.0);
            let status = if good {
                StatusCode::OK
            } else {
                StatusCode::UNAUTHORIZED
            };
            let body = std::mem::replace(&mut request.body, Body::empty());
            exchange.give_back(request);
            Ok(Box::new(Response::new(status, body)))
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_is_replaced_and_the_request_sent_once_more() {
    let endpoint = Endpoint::giving(&[&grant("one", 100), &grant("two", 100), &grant("3", 100)]);
    let (old, mut new) = (Kept::default(), Kept::default());
    let credentials = endpoint.build(OAUTH2, &old, &mut new);
    let post = || {
        let mut request = request("POST", "/");
        request.body = Body::full("hello");
        request
    };
    let mut response = credentials
        .apply(post(), next(&Takes("Bearer two")))
        .await
        .unwrap();
    assert_eq!(response.status, StatusCode::OK);
    assert_eq!(response.body.take_full().unwrap(), "hello");
    assert_eq!(endpoint.calls().len(), 2);
    // Only once: an upstream that takes none is believed.
    let response = credentials
        .apply(post(), next(&Takes("none")))
        .await
        .unwrap();
    assert_eq!(response.status, StatusCode::UNAUTHORIZED);
    assert_eq!(endpoint.calls().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_not_kept_is_not_sent_again() {
    let endpoint = Endpoint::giving(&[&grant("one", 100), &grant("two", 100)]);
    let (old, mut new) = (Kept::default(), Kept::default());
    let credentials = endpoint.build(OAUTH2, &old, &mut new);
    let mut request = request("POST", "/");
    request.body = Body::full(vec![0; 65 << 10]);
    let response = credentials
        .apply(request, next(&Takes("Bearer two")))
        .await
        .unwrap();
    assert_eq!(response.status, StatusCode::UNAUTHORIZED);
    assert_eq!(endpoint.calls().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_token_outlives_a_reload_and_new_settings_apply_at_once() {
    let endpoint = Endpoint::giving(&[&grant("one", 100), &grant("two", 100), &grant("3", 100)]);
    let (none, mut first) = (Kept::default(), Kept::default());
    let credentials = endpoint.build(OAUTH2, &none, &mut first);
    assert_eq!(sent(&credentials, &[]).await, ["authorization: Bearer one"]);

    let mut second = Kept::default();
    let credentials = endpoint.build(OAUTH2, &first, &mut second);
    assert_eq!(sent(&credentials, &[]).await, ["authorization: Bearer one"]);
    assert_eq!(endpoint.calls().len(), 1);

    // Another secret gets a token of its own, and the old token serves until then.
    let rotated = OAUTH2.replace("s3cret", "n3w");
    let mut third = Kept::default();
    let credentials = endpoint.build(&rotated, &second, &mut third);
    assert_eq!(sent(&credentials, &[]).await, ["authorization: Bearer one"]);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(sent(&credentials, &[]).await, ["authorization: Bearer two"]);

    // Another scope is another token.
    let other = format!("{rotated}\nscopes = [\"a\"]");
    let credentials = endpoint.build(&other, &third, &mut Kept::default());
    assert_eq!(sent(&credentials, &[]).await, ["authorization: Bearer 3"]);
}
