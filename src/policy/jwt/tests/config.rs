//! What a config may not say.

use super::*;

#[test]
fn problems_are_at_their_place() {
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
