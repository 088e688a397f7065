//! What a token says: what is asked of it, and what the upstream is told.

use super::issuer::seconds_from_now;
use super::*;

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
    let policy = built(&config, &mut Build::new("a".into(), &old, &mut new));
    let token = issuer.sign(&claims(json!({ "aud": null })));
    assert_eq!(refusal(&policy, &token).await, "");
}

#[tokio::test]
async fn claims_become_headers_and_no_caller_can_forge_one() {
    let issuer = Issuer::new(Algorithm::ES256, "k");
    let policy = Fixture::with(&[issuer.jwk()])
        .policy("forward_claims = { X-User = \"sub\", x-role = \"role\", x-odd = \"odd\", x-wide = \"wide\" }");
    let odd = json!({ "odd": "a\r\nb: c", "wide": "\t a b " });
    let mut request = with_token(&issuer.sign(&claims(odd)));
    for name in ["x-user", "X-ROLE", "x-odd"] {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        request
            .headers
            .append(&name, &HeaderValue::from_static("forged"));
    }
    let response = policy.apply(request, next(&Echo)).await.unwrap();
    let told = |name: &'static str| response.headers.get_str(&HeaderName::from_static(name));
    assert_eq!(told("x-user"), Some("ann"));
    assert_eq!(told("x-role"), None);
    assert_eq!(told("x-odd"), None);
    assert_eq!(told("x-wide"), Some("a b"), "no value ends with a blank");
}
