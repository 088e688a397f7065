//! A policy as somebody would add it: this file, and its line in the list.

use serde_json::json;

use super::super::build::{Build, Kept};
use super::super::*;
use crate::admin::fake::{Fake, got, json_of};
use crate::app::control::describe_route;
use crate::config::RouteConfig;
use crate::http::message::Request;
use crate::telemetry::metrics::tests::rendered_of;
use crate::testing::{Echo, next, request};
use crate::value::problem::Problems;

/// The file: requests get a mark on their way in.
mod mark {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use http::{HeaderName, HeaderValue};
    use metrics::{Counter, counter};
    use serde::{Deserialize, Serialize};
    use serde_json::{Value, json};

    use super::super::super::authorize;
    use super::super::super::build::{self, Build, Kept, ShowState};
    use super::super::super::orders::{Order, OrderKind};
    use super::super::super::stack::Filter;
    use super::super::super::table::{Block, Blocks, FromBlocks, Summary};
    use crate::http::error::Error;
    use crate::http::exchange::Exchange;
    use crate::http::message::Request;
    use crate::value::exposition::Metric;
    use crate::value::problem::Problems;

    const MARKED: Metric = Metric::counter("outrigger_marked_total", "Requests that got a mark.");

    /// `mark`
    #[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    pub struct Config {
        pub text: String,
        /// Default: twice.
        pub times: Option<u32>,
    }

    impl Block for Config {
        const METRICS: &[Metric] = &[MARKED];
        const ORDERS: &[OrderKind] = &[MARKS];

        fn with_defaults(&mut self) {
            self.times.get_or_insert(2);
        }

        fn check(&self, problems: &mut Problems) {
            if self.times == Some(0) {
                problems.error(&["times"], "must be at least 1");
            }
        }

        fn check_beside(&self, others: &Blocks<'_>, problems: &mut Problems) {
            if others.on::<authorize::Config>().is_none() {
                problems.warning(&["text"], "the route marks whoever calls");
            }
        }

        fn tell(&self, summary: &mut Summary) {
            summary
                .identities
                .push((&["mark"], "so all are marked alike"));
        }
    }

    pub struct Mark {
        value: HeaderValue,
        times: u32,
        marked: Counter,
        facts: Arc<Facts>,
    }

    #[derive(Default)]
    struct Facts(AtomicU32);

    impl build::Facts for Facts {
        fn apart(&self) -> Self {
            Facts(AtomicU32::new(self.0.load(Ordering::Relaxed)))
        }
    }

    impl ShowState for Facts {
        fn state(&self) -> Value {
            json!({ "marked": self.0.load(Ordering::Relaxed) })
        }
    }

    const MARKS: OrderKind = OrderKind {
        word: "marks",
        body: "how many marks there were",
        usage: "write a number",
        lacking: "no marks: set `mark` in its config",
        read: |body| Ok(Box::new(serde_json::from_slice::<Count>(body)?)),
    };

    #[derive(Debug, Deserialize)]
    struct Count(u32);

    impl Order for Count {
        fn carry_out(&self, route: Arc<str>, kept: &Kept) -> bool {
            let facts = kept.of::<Facts>(route);
            if let Some(facts) = &facts {
                facts.0.store(self.0, Ordering::Relaxed);
            }
            facts.is_some()
        }
    }

    impl FromBlocks for Mark {
        fn from_blocks(blocks: &Blocks<'_>, build: &mut Build<'_>) -> Option<Self> {
            let config: &Config = blocks.on()?;
            let facts: Arc<Facts> = build.keep();
            build.show(facts.clone());
            Some(Mark {
                value: HeaderValue::from_str(&config.text).ok()?,
                times: config.times.unwrap_or(2),
                marked: counter!(MARKED.name, "route" => build.route.clone()),
                facts,
            })
        }
    }

    impl Filter for Mark {
        type State<'a> = ();

        fn on_request(&self, request: &mut Request, _: &Exchange<'_>) -> Result<(), Error> {
            for _ in 0..self.times {
                request
                    .headers
                    .append(&HeaderName::from_static("mark"), &self.value);
            }
            self.marked.increment(1);
            self.facts.0.fetch_add(1, Ordering::Relaxed);
            Ok(())
        }
    }
}

/// The list, with the line in it: below `authorize`, above `request`.
mod listed {
    use super::*;

    table::policies! {
        authorize: Toggle<authorize::Config> => filter authorize::Authorize;
        mark: Toggle<mark::Config> => filter mark::Mark;
        request: Toggle<body::RequestConfig>;
        response: Toggle<body::ResponseConfig> => filter body::headers::ChangeHeaders;
        timeout: Toggle<timeout::UntilHead>;
        idle_timeout: Toggle<timeout::Idle>;
        deadline: Toggle<timeout::Whole> => always timeout::Timeout;
        retry: Toggle<retry::Config> => repeat retry::Retry;
        circuit_breaker: Toggle<circuit_breaker::Config> => filter circuit_breaker::CircuitBreaker;
    }
}

fn config(text: &str) -> listed::Config {
    toml::from_str(text).unwrap()
}

/// A route with `config`, and how the policies of one that is asked for `requests` are then.
async fn asked(
    config: &listed::Config,
    requests: impl IntoIterator<Item = Box<Request>>,
) -> (Vec<u16>, serde_json::Value) {
    let (old, mut kept) = (Kept::default(), Kept::default());
    let mut build = Build::new("pay".into(), &old, &mut kept);
    let opened = config.open(&mut Problems::default()).0;
    let keys = config.set();
    let opened: Vec<_> = keys
        .iter()
        .filter_map(|key| opened[key].material.clone())
        .collect();
    let stack = config.stack(&opened, &mut build, Box::new(Echo));
    let mut marks = Vec::new();
    for request in requests {
        let outcome = next(&*stack).call(request).await;
        marks.push(match outcome {
            Ok(answer) => answer.headers.get_all(&"mark".parse().unwrap()).count() as u16,
            Err(error) => error.status().as_u16(),
        });
    }
    (marks, build.into_states().now())
}

fn from_network() -> Box<Request> {
    let mut request = request("GET", "/");
    request.context.client = Some([10, 0, 0, 1].into());
    request
}

#[tokio::test]
async fn it_has_its_key_and_its_defaults() {
    let defaults = config("mark = { text = \"a\" }");
    let inherits = config("").or(&defaults).with_defaults();
    assert_eq!(asked(&inherits, vec![request("GET", "/")]).await.0, [2]);
    let own = config("mark = { text = \"b\", times = 1 }");
    let own = own.or(&defaults).with_defaults();
    assert_eq!(asked(&own, vec![request("GET", "/")]).await.0, [1]);
    let off = config("mark = false").or(&defaults).with_defaults();
    assert_eq!(asked(&off, vec![request("GET", "/")]).await.0, [0]);
    let shown = serde_json::to_value(&inherits).unwrap();
    assert_eq!(shown["mark"], json!({ "text": "a", "times": 2 }));
    assert!(toml::from_str::<listed::Config>("mark = { words = 1 }").is_err());
}

#[test]
fn it_is_checked_at_its_place_among_the_others() {
    let mut problems = Problems::default();
    config("timeout = \"0s\"\nmark = { text = \"a\", times = 0 }\nauthorize = { cidrs = [] }")
        .check(&mut problems);
    let places: Vec<_> = problems.into_vec().iter().map(|p| p.at.join(".")).collect();
    assert_eq!(places, ["authorize.cidrs", "mark.times", "timeout"]);

    let mut problems = Problems::default();
    let mark = config("mark = { text = \"a\" }");
    mark.check_together(&mut problems);
    let with_authorize = config("authorize = { cidrs = [\"10.0.0.0/8\"] }");
    mark.clone()
        .or(&with_authorize)
        .check_together(&mut problems);
    assert_eq!(problems.into_vec().len(), 1);
    assert_eq!(mark.summary().identities[0].0, ["mark"]);
}

#[tokio::test]
async fn a_request_meets_it_in_its_turn() {
    let above = config("mark = { text = \"a\" }\nauthorize = { cidrs = [\"10.0.0.0/8\"] }");
    let requests = [request("GET", "/"), from_network()];
    let (marks, states) = asked(&above, requests).await;
    assert_eq!(marks, [403, 2]);
    assert_eq!(
        states["mark"]["marked"], 1,
        "who is refused above gets none"
    );
    let below = config("mark = { text = \"a\" }\nrequest = { remove_headers = [\"mark\"] }");
    assert_eq!(asked(&below, vec![request("GET", "/")]).await.0, [0]);
}

#[test]
fn it_takes_orders() {
    let (old, mut kept) = (Kept::default(), Kept::default());
    let mut build = Build::new("pay".into(), &old, &mut kept);
    let target = Box::new(Echo);
    let _stack = config("mark = { text = \"a\" }").stack(&[], &mut build, target);
    let states = build.into_states();
    let mut kinds = listed::Config::ORDERS.iter().copied().flatten();
    let kind = kinds.find(|kind| kind.word == "marks").unwrap();
    assert!((kind.read)(b"many").is_err());
    let order = (kind.read)(b"3").unwrap();
    assert!(order.carry_out("pay".into(), &kept));
    assert_eq!(states.now()["mark"], json!({ "marked": 3 }));
    assert!(!order.carry_out("ship".into(), &kept));
}

#[test]
fn the_admin_api_shows_it_and_what_it_counts() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let config = config("mark = { text = \"a\", times = 1 }\nretry = {}");
    let mut state = json!(null);
    let metrics = rendered_of(listed::Config::METRICS, || {
        (_, state) = runtime.block_on(asked(&config, [request("GET", "/")]));
    });
    let route = RouteConfig {
        route: toml::from_str("match.path = \"/\"").unwrap(),
        target: crate::target::Config::default(),
        opened: crate::target::Opened::default(),
        policies: config,
    };
    let route = describe_route(&"pay".parse().unwrap(), &route, Some(state));
    let get = |path| {
        let fake = Fake::telling(route.clone(), metrics.clone());
        runtime.block_on(got(fake, path))
    };

    let shown = json_of(&get("/routes/pay"));
    assert_eq!(shown["mark"], json!({ "text": "a", "times": 1 }));
    let keys: Vec<_> = shown["state"].as_object().unwrap().keys().collect();
    assert_eq!(keys, ["mark", "retry"]);
    assert_eq!(shown["state"]["mark"], json!({ "marked": 1 }));

    let text = get("/metrics");
    for line in [
        "# HELP outrigger_marked_total Requests that got a mark.",
        "# TYPE outrigger_marked_total counter",
        "outrigger_marked_total{route=\"pay\"} 1",
    ] {
        assert!(text.contains(line), "{text}");
    }
}
