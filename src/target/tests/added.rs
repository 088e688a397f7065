//! A kind of target as somebody would add it: this file, and its line in the list.

use std::collections::BTreeMap;

use http::HeaderValue;

use super::super::*;
use crate::admin::fake::{Fake, got, json_of};
use crate::app::control::describe_route;
use crate::config::RouteConfig;
use crate::http::exchange::Exchange;
use crate::http::handler::{Answer, Handler};
use crate::http::message::{Request, Response};
use crate::policy::{self, Checked};
use crate::testing::{next, request};
use crate::tls::inventory::Inventory;
use crate::upstream::Resend;
use crate::value::problem::Problems;

/// The file: a target that answers with a number of the config.
mod count {
    use super::*;

    #[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    pub struct Config {
        from: u16,
    }

    impl Block for Config {
        fn check(&self, _: &[&str], problems: &mut Problems) {
            if self.from < 200 {
                problems.error(&["from"], "must be at least 200");
            }
        }

        fn build(&self, _: &Build<'_>, _: Options<'_>) -> Option<Box<dyn Handler>> {
            Some(Box::new(Count { from: self.from }))
        }
    }

    struct Count {
        from: u16,
    }

    impl Handler for Count {
        fn call<'a>(&'a self, _: Box<Request>, _: &'a Exchange<'a>) -> Answer<'a> {
            let status = http::StatusCode::from_u16(self.from).unwrap();
            let response = Response::new(status, crate::http::body::Body::empty());
            Box::pin(std::future::ready(Ok(Box::new(response))))
        }
    }
}

/// The list as it is, with the line at its end.
mod listed {
    use super::*;

    list::targets! {
        not built: publish, sql, files;
        upstream: upstream::Config,
        split: split::Config,
        respond: respond::Config,
        redirect: redirect::Config,
        count: count::Config,
    }
}

fn config(text: &str) -> listed::Config {
    toml::from_str(text).unwrap()
}

#[tokio::test]
async fn it_serves() {
    let target = config("count.from = 201").build(&Build {
        brokers: &BTreeMap::new(),
        databases: &BTreeMap::new(),
        route: &"r".parse().unwrap(),
        upstreams: &BTreeMap::new(),
        resend: Resend::Nothing,
        allow: HeaderValue::from_static("GET"),
        rest: None,
        opened: &Opened::default(),
    });
    let target = target.unwrap();
    let answer = next(&*target).call(request("GET", "/")).await;
    assert_eq!(answer.unwrap().status, 201);
}

#[test]
fn it_is_checked_beside_the_others() {
    let mut problems = Problems::default();
    config("count.from = 99\nrespond = {}\nrewrite.path = \"/\"").check(&[], &mut problems);
    let mut problems = problems.into_vec();
    let places: Vec<_> = problems.iter().map(|p| p.at.join(".")).collect();
    assert_eq!(places, ["count", "rewrite", "count.from"]);
    assert!(problems.remove(0).message.contains("`respond` already"));

    let mut problems = Problems::default();
    config("").check(&[], &mut problems);
    let help = problems.into_vec().remove(0).help.unwrap();
    assert!(help.ends_with("`redirect` or `count`"), "{help}");
}

#[test]
fn it_is_told_as_it_is_written() {
    let told = serde_json::to_value(config("count.from = 201")).unwrap();
    assert_eq!(told["count"], serde_json::json!({ "from": 201 }));
    assert!(toml::from_str::<listed::Config>("count.to = 1").is_err());
}

#[tokio::test]
async fn the_admin_api_shows_its_route() {
    let route = RouteConfig {
        route: toml::from_str("match.path = \"/count\"").unwrap(),
        target: config("count.from = 201"),
        opened: Opened::default(),
        policies: Checked::new(
            policy::Config::default(),
            policy::Opened::default(),
            &mut Inventory::default(),
        )
        .unwrap(),
    };
    let described = describe_route(&"r".parse().unwrap(), &route, None);
    let answer = got(Fake::telling(described, ""), "/routes/r").await;
    let shown = json_of(&answer);
    assert_eq!(shown["name"], "r");
    assert_eq!(shown["match"]["path"], "/count");
    assert_eq!(shown["count"], serde_json::json!({ "from": 201 }));
    for other in ["upstream", "split", "respond", "redirect"] {
        assert!(shown.get(other).is_none(), "{shown}");
    }
}
