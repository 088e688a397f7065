//! Several limits of one route: all grant a request, or it costs none of them anything.

use super::*;
use crate::telemetry::metrics::tests::rendered;

#[tokio::test(start_paused = true)]
async fn of_a_list_none_is_spent_when_another_refuses() {
    let config =
        "[{ requests = 3, per = \"1h\", key = \"header:x-user\" }, { requests = 5, per = \"1h\" }]";
    let policy = limited(config);
    assert_eq!(granted(&policy, 9, || from("ann")), 3);
    // Ann's six refusals cost the route nothing.
    assert_eq!(granted(&policy, 9, || from("bob")), 2);
    let error = policy.pass(&from("bob")).err().unwrap();
    assert_eq!(
        header_of(&error, "ratelimit"),
        "\"header:x-user\";r=1;t=2400, \"route\";r=0;t=3600"
    );
    assert_eq!(header_of(&error, "retry-after"), "720");
}

#[tokio::test(start_paused = true)]
async fn a_shadow_counts_and_lets_pass() {
    let text = rendered(|| {
        let policy = limited("[{ requests = 1, shadow = true }, { requests = 3, per = \"1h\" }]");
        assert_eq!(granted(&policy, 5, plain), 3);
    });
    assert!(
        text.contains("outrigger_rate_limited_total{route=\"r\"} 4"),
        "{text}"
    );
}

/// Four threads at one list of limits: what was granted is what both owe.
#[test]
fn threads_that_meet_at_a_list_spend_all_or_nothing() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let _entered = runtime.enter();
    let policy = limited(
        "[{ requests = 700, per = \"365d\", key = \"header:x-user\" }, { requests = 1000, per = \"365d\" }]",
    );
    let granted: usize = std::thread::scope(|scope| {
        let callers: Vec<_> = ["ann", "bob", "ann", "bob"]
            .map(|user| scope.spawn(|| granted(&policy, 2_000, || from(user))))
            .into_iter()
            .collect();
        callers
            .into_iter()
            .map(|caller| caller.join().unwrap())
            .sum()
    });
    // A caller may be refused while another holds a token that it gives back, so all are asked once more.
    let granted = granted
        + self::granted(&policy, 2, || from("ann"))
        + self::granted(&policy, 2, || from("bob"));
    assert_eq!(granted, 1_000);
    let count = policy.limits.0[0].count(Instant::now());
    let owed = |user| {
        let id = policy.limits.0[0].id(&from(user));
        policy.limits.0[0].owed(id, count).div_ceil(TOKEN)
    };
    assert_eq!(owed("ann") + owed("bob"), 1_000);
}
