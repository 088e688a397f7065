//! Messages of a broker for tests, and an application that answers as it is told to.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http_body_util::BodyExt;
use serde_json::json;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep};

use super::*;
use crate::broker::fake::Fake;
use crate::broker::{Client, Kind, Verdict};
use crate::http::message::Request;
use crate::value::Name;
use crate::value::problem::Problems;

mod judging;
mod keeping;
mod taking;

/// An application that says what a test tells it to, and 200 when there is nothing.
#[derive(Default)]
struct App {
    says: Mutex<VecDeque<Outcome>>,
    seen: Mutex<Vec<(String, String)>>,
    /// Answers only when there are permits, where there is one.
    gate: Option<Semaphore>,
    at_once: Mutex<(usize, usize)>,
    panics_at: Option<&'static str>,
}

impl App {
    fn say(&self, outcomes: impl IntoIterator<Item = Outcome>) {
        self.says.lock().unwrap().extend(outcomes);
    }

    fn seen(&self) -> Vec<String> {
        self.seen
            .lock()
            .unwrap()
            .iter()
            .map(|(id, _)| id.clone())
            .collect()
    }
}

struct ToApp(Arc<App>);

impl Deliver for ToApp {
    fn deliver(&self, route: &Arc<str>, request: Box<Request>) -> BoxFuture<'static, Outcome> {
        assert_eq!(&**route, "handler");
        let app = self.0.clone();
        async move {
            let id = "outrigger-message-id".parse().unwrap();
            let id = request.headers.get_str(&id).unwrap().to_owned();
            let body = request.body.collect().await.unwrap().to_bytes();
            let body = String::from_utf8(body.to_vec()).unwrap();
            app.seen.lock().unwrap().push((id.clone(), body));
            assert_ne!(app.panics_at, Some(&*id));
            {
                let mut at_once = app.at_once.lock().unwrap();
                at_once.0 += 1;
                at_once.1 = at_once.1.max(at_once.0);
            }
            if let Some(gate) = &app.gate {
                gate.acquire().await.unwrap().forget();
            }
            app.at_once.lock().unwrap().0 -= 1;
            app.says.lock().unwrap().pop_front().unwrap_or(status(200))
        }
        .boxed()
    }
}

fn status(status: u16) -> Outcome {
    Outcome {
        status,
        refused: None,
        unsent: false,
        retry_after: None,
        body: Bytes::new(),
    }
}

fn not_there() -> Outcome {
    Outcome {
        refused: Some("connect_failed"),
        unsent: true,
        ..status(502)
    }
}

fn config(more: &str) -> Config {
    let text = format!("broker = \"events\"\nqueue = \"work\"\nroute = \"handler\"\n{more}");
    toml::from_str(&text).unwrap()
}

fn start(fake: &Arc<Fake>, app: &Arc<App>, more: &str) -> Subscription {
    start_after(fake, app, more, &[], false)
}

fn start_after(
    fake: &Arc<Fake>,
    app: &Arc<App>,
    more: &str,
    ending: &[Arc<Subscription>],
    paused: bool,
) -> Subscription {
    let name: Name = "orders".parse().unwrap();
    let client: Arc<dyn Client> = fake.clone();
    let deliver: Arc<dyn Deliver> = Arc::new(ToApp(app.clone()));
    let start = Start {
        name: &name,
        client: &client,
        deliver: &deliver,
        runtime: &Handle::current(),
        ending,
        paused,
    };
    Subscription::start(&config(more), &start).unwrap()
}

/// Waits, by the paused clock, until `holds`.
async fn until(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..10_000 {
        if holds() {
            return;
        }
        sleep(Duration::from_millis(10)).await;
    }
    panic!("not in 100 s: {what}");
}

fn done(id: &str) -> (String, Verdict) {
    (id.to_owned(), Verdict::Done)
}

#[tokio::test(start_paused = true)]
async fn what_is_delivered_is_acknowledged() {
    let (fake, app) = (Arc::new(Fake::with_ladder(&[])), Arc::new(App::default()));
    fake.put("a", 1, None);
    let subscription = start(&fake, &app, "");
    until("it is settled", || fake.settled().len() == 1).await;
    assert_eq!(fake.settled(), [done("a")]);
    let seen = app.seen.lock().unwrap().clone();
    assert_eq!(seen, [("a".to_owned(), "body of a".to_owned())]);
    let described = subscription.describe();
    assert_eq!(described["state"], "delivering");
    assert_eq!(described["acked"], 1);
}

#[tokio::test(start_paused = true)]
async fn prometheus_is_told_of_the_subscriptions_that_there_are() {
    let fake = Arc::new(Fake::with_ladder(&[]));
    let app = Arc::new(App {
        gate: Some(Semaphore::new(0)),
        ..App::default()
    });
    fake.put("a", 1, None);
    let subscription = start(&fake, &app, "");
    let told = || {
        let mut text = String::new();
        render_metrics([&subscription].into_iter(), &mut text);
        text
    };
    until("it is told", || {
        let told = told();
        told.contains("outrigger_subscription_in_flight{subscription=\"orders\"} 1")
            && told.contains("outrigger_subscription_lag{subscription=\"orders\"} 0")
    })
    .await;
    let mut text = String::new();
    render_metrics([].into_iter(), &mut text);
    assert_eq!(text, "");
}

#[tokio::test]
async fn a_message_brings_no_order_to_the_connection() {
    let mut message = crate::broker::fake::message("a");
    for name in [
        "Host",
        "transfer-encoding",
        "outrigger-attempt",
        "X-Forwarded-For",
        "bad name",
        "x-tenant",
    ] {
        message.headers.push((name.to_owned(), "v".to_owned()));
    }
    let (fake, _) = (Fake::default(), ());
    fake.put("a", 3, None);
    let source = config("").source("").unwrap();
    let mut delivery = fake.consume(&source, 1).next().await;
    delivery.message = message;
    let request = request::Requests::new("orders", "/events", "main", &source)
        .of(&delivery)
        .unwrap();
    let field = |name: &str| {
        request
            .headers
            .get_str(&name.parse().unwrap())
            .map(str::to_owned)
    };
    assert_eq!(request.target.path(), "/events");
    assert_eq!(field("outrigger-attempt").as_deref(), Some("3"));
    assert_eq!(field("outrigger-redelivered").as_deref(), Some("false"));
    assert_eq!(field("content-type").as_deref(), Some("text/plain"));
    assert_eq!(field("ce-type").as_deref(), Some("made"));
    assert_eq!(field("x-tenant").as_deref(), Some("v"));
    assert_eq!(field("host").as_deref(), Some("localhost"));
    assert_eq!(
        (field("transfer-encoding"), field("x-forwarded-for")),
        (None, None)
    );
}

#[test]
fn problems_are_told() {
    for (text, kind, expected) in [
        ("queue = \"work\"", Kind::RabbitMq, 0),
        ("queue = \"work\"\ntimeout = \"20m\"", Kind::RabbitMq, 0),
        ("queue = \"work\"\ntimeout = \"21m\"", Kind::RabbitMq, 1),
        ("stream = \"S\"\ntimeout = \"21m\"", Kind::Nats, 0),
        ("stream = \"S\"\nsubject = \"a.>\"", Kind::Nats, 0),
        ("topic = \"t\"", Kind::Kafka, 0),
        ("", Kind::Kafka, 1),
        ("subject = \"a\"", Kind::Nats, 1),
        ("group = \"a\"", Kind::Kafka, 1),
        ("queue = \"work\"", Kind::Nats, 1),
        ("queue = \"work\"\ntopic = \"t\"", Kind::RabbitMq, 2),
        (
            "queue = \"work\"\npath = \"events\"\nprefetch = 0\ntimeout = \"0s\"",
            Kind::RabbitMq,
            3,
        ),
    ] {
        let config = format!("broker = \"events\"\nroute = \"handler\"\n{text}");
        let config: Config = toml::from_str(&config).unwrap();
        let mut problems = Problems::default();
        config.check(&mut problems);
        config.check_kind(kind, &mut problems);
        assert_eq!(problems.into_vec().len(), expected, "{text}");
    }
    let unordered = toml::from_str::<Config>(
        "broker = \"events\"\nroute = \"handler\"\nqueue = \"work\"\nordered_by = \"color\"",
    );
    assert!(unordered.is_err());
}
