//! The policies of a route together.

use super::build::{Build, Kept};
use super::*;
use crate::http::error::UPSTREAM_TIMEOUT;
use crate::http::exchange::Exchange;
use crate::http::handler::{Answer, Handler};
use crate::http::message::Request;
use crate::testing::{Echo, next, request};
use crate::tls::inventory::Inventory;
use crate::value::problem::Problems;

mod added;

fn stacked(config: &str, target: Box<dyn Handler>) -> Box<dyn Handler> {
    let mut kept = Kept::default();
    let config: Config = toml::from_str(config).unwrap();
    let old = Kept::default();
    let opened = config.open(&mut Problems::default());
    let checked = Checked::new(config, opened, &mut Inventory::default()).unwrap();
    checked.stack(&mut Build::new("r".into(), &old, &mut kept), target)
}

struct Never;

impl Handler for Never {
    fn call<'a>(&'a self, _: Box<Request>, _: &'a Exchange<'a>) -> Answer<'a> {
        Box::pin(std::future::pending())
    }
}

#[tokio::test(start_paused = true)]
async fn a_route_without_policies_has_the_default_timeout() {
    let answer = next(&*stacked("", Box::new(Never)))
        .call(request("GET", "/"))
        .await;
    assert_eq!(answer.unwrap_err().reason(), UPSTREAM_TIMEOUT);
}

#[tokio::test]
async fn who_may_not_call_is_refused_before_all_else() {
    let config = "authorize.cidrs = [\"10.0.0.0/8\"]\nrequest.set_headers = { a = \"b\" }";
    let stack = stacked(config, Box::new(Echo));
    let refused = next(&*stack).call(request("GET", "/")).await.unwrap_err();
    assert_eq!(refused.reason(), authorize::FORBIDDEN);
    let mut allowed = request("GET", "/");
    allowed.context.client = Some([10, 0, 0, 1].into());
    let answer = next(&*stack).call(allowed).await.unwrap();
    assert_eq!(answer.headers.get(&"a".parse().unwrap()), Some(&b"b"[..]));
}

#[test]
fn problems_stand_at_their_keys() {
    let config: Config = toml::from_str(
        r#"
        timeout = "0s"
        authorize = { cidrs = [] }
        request = { set_headers = { host = "a" } }
        response = { remove_headers = ["connection"] }
        cors = false"#,
    )
    .unwrap();
    let mut problems = Problems::default();
    config.check(&mut problems);
    let places: Vec<_> = problems.into_vec().iter().map(|p| p.at.join(".")).collect();
    let expected = [
        "authorize.cidrs",
        "request.set_headers.host",
        "response.remove_headers.0",
        "timeout",
    ];
    assert_eq!(places, expected);
}
