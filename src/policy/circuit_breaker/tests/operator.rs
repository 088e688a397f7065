//! What an operator sees of a breaker, and may do to it.

use super::*;
use crate::telemetry::metrics::tests::rendered;

#[tokio::test(start_paused = true)]
async fn an_operator_has_the_last_word() {
    let mut route = Route::default();
    let breaker = route.with("consecutive_failures = 2");
    let facts = route.kept.of::<Facts>("r".into()).unwrap();
    facts.force(Forced::Open);
    assert!(!breaker.meets(200).await);
    tokio::time::advance(3_600 * SECOND).await;
    assert!(!breaker.meets(200).await);
    assert_eq!(breaker.shown()["forced"], true);
    let breaker = route.with("consecutive_failures = 3");
    assert!(!breaker.meets(200).await, "it outlives a reload");
    let refused = breaker.refusal().await;
    assert!(refused.detail().contains("an operator"), "{refused}");
    facts.force(Forced::Closed);
    for _ in 0..20 {
        assert!(breaker.meets(500).await);
    }
    assert_eq!(breaker.shown()["forced"], true);
    facts.force(Forced::No);
    assert_eq!(breaker.shown()["forced"], false);
    for _ in 0..3 {
        assert!(breaker.meets(500).await);
    }
    assert!(breaker.is("open"));
    let refused = breaker.refusal().await;
    assert!(refused.detail().contains("failing"), "{refused}");
    // Letting go of what nobody holds changes nothing.
    facts.force(Forced::No);
    assert!(breaker.is("open"));
}

#[test]
fn its_state_and_its_ways_are_counted() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let mut kept = None;
    let text = rendered(|| {
        runtime.block_on(async {
            let breaker = breaker("consecutive_failures = 1\nrecovery_timeout = \"1s\"");
            assert!(breaker.meets(500).await);
            tokio::time::advance(SECOND).await;
            assert!(breaker.meets(500).await);
            kept = Some(breaker);
        });
    });
    for line in [
        "outrigger_circuit_breaker_state{route=\"r\"} 2",
        "outrigger_circuit_breaker_transitions_total{route=\"r\",to=\"open\"} 2",
        "outrigger_circuit_breaker_transitions_total{route=\"r\",to=\"half-open\"} 1",
        "outrigger_circuit_breaker_transitions_total{route=\"r\",to=\"closed\"} 0",
    ] {
        assert!(text.lines().any(|l| l == line), "{line} in {text}");
    }
}
