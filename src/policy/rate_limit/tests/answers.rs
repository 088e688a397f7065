//! What callers are told of their limits, in refusals and in other answers.

use super::*;
use crate::policy::stack::Policy;
use crate::testing::{Echo, next};

#[tokio::test(start_paused = true)]
async fn a_refusal_says_when_to_come_back() {
    let policy = limited("{ requests = 2, per = \"10s\", burst = 3 }");
    assert_eq!(granted(&policy, 9, plain), 3);
    let error = policy.apply(plain(), next(&Echo)).await.unwrap_err();
    assert_eq!(error.reason(), RATE_LIMITED);
    assert_eq!(header_of(&error, "retry-after"), "5");
    assert_eq!(header_of(&error, "ratelimit"), "\"route\";r=0;t=15");
    assert_eq!(header_of(&error, "ratelimit-policy"), "\"route\";q=2;w=10");
    tokio::time::advance(Duration::from_millis(4_999)).await;
    assert_eq!(granted(&policy, 1, plain), 0);
    tokio::time::advance(Duration::from_millis(1)).await;
    assert_eq!(granted(&policy, 2, plain), 1);
}

#[tokio::test(start_paused = true)]
async fn admitted_answers_tell_what_is_left_where_the_config_says_so() {
    let told = limited("{ requests = 60, per = \"1m\", burst = 10, headers = true }");
    let answer = told.apply(plain(), next(&Echo)).await.unwrap();
    assert_eq!(
        answer.headers.get_str(&fields::RATE_LIMIT),
        Some("\"route\";r=9;t=1")
    );
    assert_eq!(
        answer.headers.get_str(&fields::RATE_LIMIT_POLICY),
        Some("\"route\";q=60;w=60")
    );
    let silent = limited("{ requests = 60 }");
    let answer = silent.apply(plain(), next(&Echo)).await.unwrap();
    assert!(answer.headers.is_empty());
}

#[test]
fn a_window_that_is_no_whole_second_is_told_as_the_next_longer() {
    let told = |requests, millis| fields::policy("route", requests, Duration::from_millis(millis));
    assert_eq!(told(100, 1_000), "\"route\";q=100;w=1");
    assert_eq!(told(5, 100), "\"route\";q=50;w=1");
    assert_eq!(told(3, 1_500), "\"route\";q=4;w=2");
}
