use super::bucket::{Bucket, Refill};
use super::table::Table;
use super::*;
use crate::message::Claims;
use crate::peer::Identity;
use crate::policy::stack::{Kept, Policy};
use crate::testing::{Echo, headers, request};
use proptest::prelude::*;

const SECOND: Duration = Duration::from_secs(1);

/// One route's limits, over as many configs as the test brings.
#[derive(Default)]
struct Route {
    kept: Kept,
}

impl Route {
    fn with(&mut self, config: &str) -> RateLimit {
        let mut next = Kept::default();
        let mut build = Build::new("r".into(), &self.kept, &mut next);
        let policy = RateLimit::new(&parsed(config), &mut build);
        self.kept = next;
        policy
    }
}

fn parsed(config: &str) -> Config {
    #[derive(Deserialize)]
    struct Block {
        rate_limit: Config,
    }
    toml::from_str::<Block>(&format!("rate_limit = {config}"))
        .unwrap()
        .rate_limit
}

fn limited(config: &str) -> RateLimit {
    Route::default().with(config)
}

fn from(user: &str) -> Box<Request> {
    let mut request = request("GET", "/");
    request.headers = headers(&[("x-user", user)]);
    request
}

fn from_ip(ip: &str) -> Box<Request> {
    let mut request = request("GET", "/");
    request.context.client = Some(ip.parse().unwrap());
    request
}

/// How many of so many requests are granted.
fn granted(policy: &RateLimit, requests: usize, of: impl Fn() -> Box<Request>) -> usize {
    (0..requests).filter(|_| policy.pass(&of()).is_ok()).count()
}

fn plain() -> Box<Request> {
    request("GET", "/")
}

fn header_of(error: &Error, name: &str) -> String {
    let found = error.headers().iter().find(|(n, _)| n == name);
    found.unwrap().1.to_str().unwrap().to_owned()
}

#[tokio::test(start_paused = true)]
async fn the_burst_is_granted_at_once_and_the_rate_from_then_on() {
    let policy = limited("{ requests = 100, per = \"1s\", burst = 100 }");
    let mut admitted = 0;
    for _ in 0..=20_000 {
        admitted += granted(&policy, 5, plain);
        tokio::time::advance(Duration::from_millis(1)).await;
    }
    assert_eq!(admitted, 2_100);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_says_when_to_come_back() {
    let policy = limited("{ requests = 2, per = \"10s\", burst = 3 }");
    assert_eq!(granted(&policy, 9, plain), 3);
    let error = policy.apply(plain(), &Echo).await.unwrap_err();
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
    let answer = told.apply(plain(), &Echo).await.unwrap();
    assert_eq!(
        answer.headers.get_str(&fields::RATE_LIMIT),
        Some("\"route\";r=9;t=1")
    );
    assert_eq!(
        answer.headers.get_str(&fields::RATE_LIMIT_POLICY),
        Some("\"route\";q=60;w=60")
    );
    let silent = limited("{ requests = 60 }");
    let answer = silent.apply(plain(), &Echo).await.unwrap();
    assert!(answer.headers.is_empty());
}

#[tokio::test(start_paused = true)]
async fn time_spent_in_policies_above_is_not_held_against_a_request() {
    let policy = limited("{ requests = 1 }");
    let early = plain();
    assert_eq!(granted(&policy, 1, plain), 1);
    tokio::time::advance(SECOND).await;
    assert!(policy.pass(&early).is_ok());
}

#[tokio::test(start_paused = true)]
async fn each_key_has_a_bucket_of_its_own() {
    let policy = limited("{ requests = 2, key = \"header:X-User\" }");
    assert_eq!(granted(&policy, 5, || from("ann")), 2);
    assert_eq!(granted(&policy, 5, || from("bob")), 2);
    assert_eq!(granted(&policy, 1, || from("ann")), 0);
}

#[tokio::test(start_paused = true)]
async fn requests_without_a_clear_key_share_a_bucket() {
    let policy = limited("{ requests = 2, key = \"header:x-user\" }");
    let twice = || {
        let mut request = plain();
        request.headers = headers(&[("x-user", "ann"), ("x-user", "bob")]);
        request
    };
    let all = granted(&policy, 2, plain) + granted(&policy, 2, twice);
    assert_eq!(all + granted(&policy, 2, || from("")), 2);
    let policy = limited("{ requests = 2, key = \"client-ip\" }");
    assert_eq!(granted(&policy, 5, plain), 2);
}

#[tokio::test(start_paused = true)]
async fn callers_count_by_what_they_have_proven() {
    let policy = limited("{ requests = 2, key = \"client-identity\" }");
    let proven = |name: &'static str| {
        move || {
            let mut request = plain();
            let peer = Arc::get_mut(&mut request.context.peer).unwrap();
            peer.identity = Some(Identity::new(None, &[name], ""));
            request
        }
    };
    assert_eq!(granted(&policy, 5, proven("a.example")), 2);
    assert_eq!(granted(&policy, 5, proven("b.example")), 2);
    assert_eq!(granted(&policy, 5, proven("a.example")), 0);
    assert_eq!(granted(&policy, 5, plain), 2, "nobody has proven anything");

    let policy = limited("{ requests = 2, key = \"jwt:sub\" }");
    let claiming = |sub: &'static str| {
        move || {
            let mut request = plain();
            let claims = [("sub".to_owned(), sub.into())].into_iter().collect();
            request.context.claims = Some(Arc::new(Claims::new(claims)));
            request
        }
    };
    assert_eq!(granted(&policy, 5, claiming("ann")), 2);
    assert_eq!(granted(&policy, 5, claiming("bob")), 2);
    assert_eq!(granted(&policy, 5, claiming("ann")), 0);
}

#[tokio::test(start_paused = true)]
async fn an_ipv6_caller_counts_by_its_network() {
    let policy = limited("{ requests = 2, key = \"client-ip\" }");
    for (ip, expected) in [
        ("192.0.2.1", 2),
        ("192.0.2.2", 2),
        ("192.0.2.1", 0),
        ("2001:db8::1", 2),
        ("2001:db8::ffff:1", 0),
        ("2001:db8:0:1::1", 2),
    ] {
        assert_eq!(granted(&policy, 5, || from_ip(ip)), expected, "{ip}");
    }
}

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
    use crate::telemetry::metrics::tests::rendered;
    let text = rendered(|| {
        let policy = limited("[{ requests = 1, shadow = true }, { requests = 3, per = \"1h\" }]");
        assert_eq!(granted(&policy, 5, plain), 3);
    });
    assert!(
        text.contains("outrigger_rate_limited_total{route=\"r\"} 4"),
        "{text}"
    );
}

#[tokio::test(start_paused = true)]
async fn forgetting_a_key_never_grants_it_a_fresh_burst() {
    let policy = limited("{ requests = 2, per = \"2s\", key = \"header:x-user\", max_keys = 3 }");
    for user in ["a", "b", "c"] {
        assert_eq!(granted(&policy, 5, || from(user)), 2, "{user}");
    }
    // No bucket is full again, so all others share one.
    let others: usize = ('d'..='z')
        .map(|user| granted(&policy, 2, || from(&user.to_string())))
        .sum();
    assert_eq!(others, 2);
    assert_eq!(granted(&policy, 5, || from("a")), 0);
    assert_eq!(policy.limits.0[0].state()["overflowing"], true);
    // One second on, nobody's is full, nor is the shared one.
    tokio::time::advance(SECOND).await;
    assert_eq!(granted(&policy, 5, || from("a")), 1);
    // Two on, b and c are as good as new; d gets the place of one.
    tokio::time::advance(SECOND).await;
    assert_eq!(granted(&policy, 5, || from("d")), 2);
    assert!(policy.limits.0[0].state()["keys"].as_u64() <= Some(3));
}

#[tokio::test(start_paused = true)]
async fn whoever_leaves_the_shared_bucket_takes_its_debt_along() {
    let policy = limited("{ requests = 2, per = \"2s\", key = \"header:x-user\", max_keys = 1 }");
    assert_eq!(granted(&policy, 1, || from("a")), 1);
    tokio::time::advance(SECOND / 2).await;
    assert_eq!(granted(&policy, 5, || from("b")), 2);
    tokio::time::advance(SECOND / 2).await;
    // The place of `a` is free, and half a token of the two is back.
    assert_eq!(granted(&policy, 5, || from("b")), 0);
    tokio::time::advance(SECOND / 2).await;
    assert_eq!(granted(&policy, 5, || from("b")), 1);
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

#[test]
fn mistakes_say_what_to_write() {
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
        check(&parsed(&list), &mut problems);
        assert!(problems.has_errors(), "{list}");
    }
}

#[test]
fn the_count_of_tokens_may_wrap_around() {
    let mut count = 0_u64.wrapping_sub(1 << 53);
    let bucket = Bucket::like(&Bucket::default(), count);
    for _ in 0..64 {
        assert!(bucket.take(count, TOKEN).is_ok());
        assert!(bucket.take(count, TOKEN).is_err());
        count = count.wrapping_add(1 << 49);
    }
    let refill = Refill {
        count: 7,
        rate: 1e6,
    };
    let a_year = refill.after(365.0 * 86_400.0);
    assert_eq!(
        a_year,
        ((31_536_000_000_000_u128 << 20) as u64).wrapping_add(7)
    );
}

/// A bucket as a textbook has it: with a number of tokens and a clock.
struct Textbook {
    tokens: f64,
    at: f64,
}

impl Textbook {
    fn take(&mut self, now: f64, rate: f64, burst: f64) -> bool {
        self.tokens = (self.tokens + (now - self.at) * rate).min(burst);
        self.at = now;
        let granted = self.tokens >= 1.0 - 1e-4;
        self.tokens -= f64::from(u8::from(granted));
        granted
    }
}

proptest! {
    #[test]
    fn a_bucket_grants_what_a_textbook_one_grants(
        rate in 0.001f64..1e6,
        burst in 1u32..10_000,
        beginning in any::<u64>(),
        steps in proptest::collection::vec((0u64..2_000_000, 1usize..20), 1..60),
    ) {
        let refill = Refill { count: beginning, rate };
        let full = Bucket::default();
        prop_assume!(full.owed(beginning) == 0);
        let bucket = Bucket::like(&full, beginning);
        let mut textbook = Textbook { tokens: f64::from(burst), at: 0.0 };
        let mut now = 0.0;
        for (micros, requests) in steps {
            now += micros as f64 / 1e6;
            for _ in 0..requests {
                let granted = bucket.take(refill.after(now), u64::from(burst) * TOKEN).is_ok();
                // The last digits may differ where the bucket has just the one token.
                let near = ((textbook.tokens + (now - textbook.at) * rate) - 1.0).abs() < 1e-3;
                if near {
                    return Ok(());
                }
                prop_assert_eq!(granted, textbook.take(now, rate, f64::from(burst)));
            }
        }
    }

    #[test]
    fn a_table_remembers_no_more_than_it_may_and_grants_no_key_too_much(
        most in 1usize..40,
        burst in 1u64..4,
        steps in proptest::collection::vec((0u64..60, 0u64..3), 1..400),
    ) {
        let table = Table::default();
        let mut count = 0;
        let mut granted = std::collections::HashMap::<u64, u64>::new();
        for (key, pause) in steps {
            count += pause * TOKEN / 8;
            // Spread over the shards as hashes are.
            let id = key.wrapping_mul(0x9E37_79B9_7F4A_7C15);
            if table.take(id, count, burst * TOKEN, most).is_ok() {
                *granted.entry(key).or_default() += 1;
            }
            prop_assert!(table.len() <= most);
            let may = burst + count / TOKEN;
            prop_assert!(granted.values().all(|granted| *granted <= may));
        }
    }
}

#[test]
fn the_names_of_keys_are_read_as_they_are_shown() {
    for text in [
        "route",
        "client-ip",
        "client-identity",
        "header:x-user",
        "jwt:realm.owner",
    ] {
        assert_eq!(text.parse::<Key>().unwrap().to_string(), text);
    }
}

#[test]
fn a_window_that_is_no_whole_second_is_told_as_the_next_longer() {
    let told = |requests, millis| fields::policy("route", requests, Duration::from_millis(millis));
    assert_eq!(told(100, 1_000), "\"route\";q=100;w=1");
    assert_eq!(told(5, 100), "\"route\";q=50;w=1");
    assert_eq!(told(3, 1_500), "\"route\";q=4;w=2");
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
