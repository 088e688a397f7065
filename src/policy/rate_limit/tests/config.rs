//! What a config may say, and what a new one does to what was spent under the old.

use super::*;

#[test]
fn problems_say_what_to_write() {
    for (config, says) in [
        ("{ requests = 0 }", "nonzero"),
        ("{ requests = 1, per = \"1us\" }", "at least \"1ms\""),
        ("{ requests = 1, key = \"ip\" }", "\"client-ip\""),
        (
            "{ requests = 1, key = \"header:a b\" }",
            "not a header name",
        ),
        ("{ per = \"1s\" }", "missing field `requests`"),
    ] {
        let error = toml::from_str::<Limit>(&config.replace(['{', '}'], "").replace(", ", "\n"));
        let error = error.unwrap_err().to_string();
        assert!(error.contains(says), "{config}: {error}");
    }
    for list in [
        "[]".to_owned(),
        format!("[{}]", "{ requests = 1 },".repeat(9)),
    ] {
        let mut problems = Problems::default();
        parsed(&list).check(&mut problems);
        assert!(problems.has_errors(), "{list}");
    }
}

#[tokio::test(start_paused = true)]
async fn new_limits_apply_to_what_was_spent() {
    let mut route = Route::default();
    let first = route.with("{ requests = 10, per = \"1h\" }");
    assert_eq!(granted(&first, 6, plain), 6);
    // Six of the ten were spent; the rate is another, the debt the same.
    let more = route.with("{ requests = 20, per = \"1s\" }");
    assert_eq!(granted(&more, 99, plain), 14);
    // Smaller, it is empty, and not for longer than a bucket of that size can be.
    let fewer = route.with("{ requests = 2, per = \"2s\" }");
    assert_eq!(granted(&fewer, 9, plain), 0);
    tokio::time::advance(SECOND).await;
    assert_eq!(granted(&fewer, 9, plain), 1);
}

#[tokio::test(start_paused = true)]
async fn a_config_that_never_served_changes_nothing() {
    let mut route = Route::default();
    let serving = route.with("{ requests = 4, per = \"1h\" }");
    assert_eq!(granted(&serving, 3, plain), 3);
    let refused = route.with("{ requests = 1, per = \"1s\" }");
    drop(refused);
    assert_eq!(granted(&serving, 9, plain), 1);
}

#[tokio::test(start_paused = true)]
async fn a_limit_is_known_by_its_key_and_not_by_its_place() {
    let mut route = Route::default();
    let first = route.with("{ requests = 2, per = \"1h\", key = \"header:x-user\" }");
    assert_eq!(granted(&first, 5, || from("ann")), 2);
    let second = route.with(
        "[{ requests = 9, per = \"1h\" }, { requests = 2, per = \"1h\", key = \"header:X-User\" }]",
    );
    assert_eq!(granted(&second, 5, || from("ann")), 0);
    assert_eq!(granted(&second, 5, || from("bob")), 2);
}
