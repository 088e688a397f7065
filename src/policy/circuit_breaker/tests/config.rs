//! What a config may say, and what a new one does to a breaker that is there already.

use serde_json::json;

use super::*;

#[test]
fn problems_stand_at_their_keys() {
    let places = |config: &str| -> Vec<String> {
        let mut problems = Problems::default();
        toml::from_str::<Config>(config)
            .unwrap()
            .check(&mut problems);
        problems.into_vec().iter().map(|p| p.at.join(".")).collect()
    };
    assert_eq!(places(""), [""; 0]);
    assert_eq!(places("failure_ratio = 1.5"), ["failure_ratio"]);
    assert_eq!(places("failure_ratio = 0"), ["failure_ratio"]);
    assert_eq!(
        places("consecutive_failures = false\nfailure_ratio = false"),
        ["failure_ratio"]
    );
    assert_eq!(places("window = \"1ms\""), ["window"]);
    assert_eq!(places("recovery_timeout = \"10m\""), ["recovery_timeout"]);
    assert_eq!(places("failures = []"), ["failures"]);
    for (failure, says) in [
        ("\"6xx\"", "\"5xx\""),
        ("200", "from 400 to 599"),
        ("true", "a failure such as"),
    ] {
        let error = toml::from_str::<Config>(&format!("failures = [{failure}]")).unwrap_err();
        assert!(error.to_string().contains(says), "{failure}: {error}");
    }
    let config: Config =
        toml::from_str("failures = [429, \"5xx\", \"grpc\", \"graphql\"]").unwrap();
    assert_eq!(
        json!(config.failures),
        json!(["429", "5xx", "grpc", "graphql"])
    );
}

#[tokio::test(start_paused = true)]
async fn new_thresholds_apply_to_what_was_seen() {
    let mut route = Route::default();
    let first =
        route.with("consecutive_failures = 5\nrecovery_timeout = \"1h\"\nmax_recovery = \"1h\"");
    for _ in 0..3 {
        assert!(first.meets(500).await);
    }
    let stricter =
        route.with("consecutive_failures = 4\nrecovery_timeout = \"1h\"\nmax_recovery = \"1h\"");
    assert!(stricter.meets(500).await);
    assert!(!stricter.meets(200).await);
    // It has been open for ten seconds, of an hour that became ten seconds.
    tokio::time::advance(10 * SECOND).await;
    assert!(!stricter.meets(200).await);
    let quicker = route.with("recovery_timeout = \"10s\"");
    assert!(quicker.meets(200).await);
    assert!(quicker.is("closed"));
}
