//! Who shares a bucket with whom, and what becomes of those for whom there is no place.

use proptest::prelude::*;

use super::*;
use crate::http::message::Claims;
use crate::http::peer::Identity;
use crate::policy::rate_limit::table::Table;

fn from_ip(ip: &str) -> Box<Request> {
    let mut request = request("GET", "/");
    request.context.client = Some(ip.parse().unwrap());
    request
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

proptest! {
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
