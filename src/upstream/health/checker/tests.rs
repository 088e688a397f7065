//! Rows of checks, and the block.

use super::*;
use crate::upstream::Endpoint;
use crate::upstream::fake::endpoint;

fn config(text: &str) -> HealthConfig {
    toml::from_str(text).unwrap()
}

fn rounds(text: &str) -> Rounds {
    let config = config(text);
    Rounds {
        upstream: "app".to_owned(),
        probe: Probe {
            question: config.question(),
            protocol: Protocol::Auto,
            client: None,
            timeout: config.timeout.0,
        },
        config,
        passed: counter!("a"),
        failed: counter!("b"),
    }
}

fn is_out(endpoint: &Endpoint) -> bool {
    endpoint.standing.marks().has(Mark::Unhealthy)
}

/// Whether the endpoint is out after each check; `+` passes, `-` fails.
fn after_each(rounds: &Rounds, endpoint: &Endpoint, checks: &str) -> Vec<bool> {
    let check = |check| {
        let result = match check {
            '+' => Ok(()),
            _ => Err("no".to_owned()),
        };
        rounds.note(endpoint, result);
        is_out(endpoint)
    };
    checks.chars().map(check).collect()
}

#[test]
fn a_row_of_failures_takes_an_endpoint_out_and_a_row_of_passes_back() {
    let (rounds, endpoint) = (rounds("tcp = true"), endpoint(1));
    let out = after_each(&rounds, &endpoint, "+--+---+-++");
    let expected = [
        false, false, false, false, false, false, true, true, true, true, false,
    ];
    assert_eq!(out, expected);
    assert!(endpoint.standing.marks().has(Mark::Warming));
}

#[test]
fn the_first_check_of_all_decides_alone() {
    let (rounds, endpoint) = (rounds("tcp = true"), endpoint(1));
    assert!(!is_out(&endpoint), "used until it is asked");
    assert_eq!(after_each(&rounds, &endpoint, "-++"), [true, true, false]);
}

#[test]
fn new_limits_apply_to_a_row_that_has_begun() {
    let (old, endpoint) = (rounds("tcp = true"), endpoint(1));
    assert_eq!(after_each(&old, &endpoint, "+-"), [false, false]);
    let new = rounds("tcp = true\nunhealthy_after = 2");
    assert_eq!(after_each(&new, &endpoint, "-"), [true]);
    let last = endpoint.health.last().unwrap();
    assert_eq!(last.failure.as_deref(), Some("no"));
}

fn places(text: &str, protocol: Protocol) -> Vec<String> {
    let mut problems = Problems::default();
    config(text).check(protocol, &mut problems);
    problems.into_vec().iter().map(|p| p.at.join(".")).collect()
}

#[test]
fn problems_stand_at_their_keys() {
    for good in [
        "path = \"/healthz?full=1\"\nexpect = [200, 204]",
        "tcp = true",
        "grpc = \"\"",
    ] {
        assert_eq!(places(good, Protocol::Auto), [""; 0], "{good}");
    }
    for (text, place) in [
        ("interval = \"1s\"", ""),
        ("path = \"/\"\ntcp = true", "tcp"),
        ("path = \"healthz\"", "path"),
        ("tcp = true\nexpect = [200]", "expect"),
        ("path = \"/\"\nexpect = []", "expect"),
        ("path = \"/\"\nexpect = [200, 99]", "expect.1"),
        ("tcp = true\ninterval = \"0s\"", "interval"),
        ("tcp = true\ntimeout = \"0s\"", "timeout"),
        ("tcp = true\nhealthy_after = 0", "healthy_after"),
        ("tcp = true\nunhealthy_after = 0", "unhealthy_after"),
    ] {
        assert_eq!(places(text, Protocol::Auto), [place], "{text}");
    }
    assert_eq!(places("grpc = \"a\"", Protocol::Http1), ["grpc"]);
}

#[test]
fn intervals_are_drawn_a_little_shorter() {
    let drawn: Vec<Length> = (0..100).map(|_| jittered(Length::from_secs(10))).collect();
    let range = Length::from_secs(8)..=Length::from_secs(10);
    assert!(drawn.iter().all(|length| range.contains(length)));
    assert!(drawn.windows(2).any(|two| two[0] != two[1]));
}
