use std::time::Duration;

use http::header;
use serde_json::{Value, json};

use super::*;
use crate::broker::fake::Fake;
use crate::http::body::Body;
use crate::http::message::{Request, RequestId};
use crate::testing::{headers, next, request};

fn config(text: &str) -> Config {
    toml::from_str(&format!("broker = \"events\"\n{text}")).unwrap()
}

fn published(text: &str, fake: &Arc<Fake>) -> Publish {
    let config = config(text);
    Publish {
        client: fake.clone(),
        broker: "events".into(),
        address: config.keys().address().unwrap(),
        headers: config.headers.clone(),
        cloud_event: config.cloud_event.clone(),
        confirm_timeout: config.confirm_timeout.0,
        max_body: config.max_body.0 as usize,
        was_tried: AtomicBool::new(false),
        metrics: RouteMetrics::new("publish"),
    }
}

const ORDERS: &str = "exchange = \"orders\"\nrouting_key = \"order.${path.kind}\"";

fn order(fields: &[(&str, &str)], body: &str) -> Box<Request> {
    let mut request = request("POST", "/publish/orders/new");
    request.context.captures.push("kind".into(), "new");
    request.headers = headers(fields);
    request.body = Body::full(body.to_owned());
    request
}

async fn told(target: &Publish, request: Box<Request>) -> (u16, Value) {
    let mut response = next(target).call(request).await.unwrap();
    let body = response.body.take_full().unwrap();
    (
        response.status.as_u16(),
        serde_json::from_slice(&body).unwrap(),
    )
}

fn the_only(fake: &Fake) -> (Destination, Message) {
    let published = fake.published.lock().unwrap();
    assert_eq!(published.len(), 1);
    published[0].clone()
}

#[tokio::test]
async fn a_request_is_a_message_once_the_broker_has_it() {
    let fake = Arc::new(Fake::default());
    let target = published(
        &format!("{ORDERS}\nheaders.x-tenant = \"${{header.x-user}}\""),
        &fake,
    );
    let fields = [
        ("content-type", "application/json"),
        ("ce-id", "7"),
        ("ce-type", "order.made"),
        ("traceparent", "00-a-b-01"),
        ("x-user", "ann"),
        ("cc", "elsewhere"),
        ("authorization", "hush"),
    ];
    let (status, body) = told(&target, order(&fields, "{}")).await;
    assert_eq!(status, 202);
    assert_eq!(
        body,
        json!({ "message_id": "7", "broker": "events", "confirmed": true })
    );
    let (to, message) = the_only(&fake);
    assert_eq!(
        to,
        Destination::Exchange {
            exchange: "orders".to_owned(),
            routing_key: "order.new".to_owned()
        }
    );
    assert_eq!((message.id.as_str(), &message.body[..]), ("7", &b"{}"[..]));
    assert_eq!(message.content_type.as_deref(), Some("application/json"));
    let mut names: Vec<_> = message
        .headers
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["ce-id", "ce-type", "traceparent", "x-tenant"]);
    assert_eq!(message.header("x-tenant"), Some("ann"));
}

#[tokio::test]
async fn the_id_is_the_callers_or_a_new_one() {
    for (fields, body, expected) in [
        (
            &[("idempotency-key", "\"a 1\""), ("ce-id", "7")][..],
            "",
            Some("a 1"),
        ),
        (&[("idempotency-key", "a-1")], "", Some("a-1")),
        (&[("ce-id", "7")], "", Some("7")),
        (
            &[(
                "content-type",
                "application/cloudevents+json; charset=utf-8",
            )],
            "{ \"id\": \"e1\", \"type\": \"made\" }",
            Some("e1"),
        ),
        (&[], "", None),
    ] {
        let fake = Arc::new(Fake::default());
        let target = published(ORDERS, &fake);
        let (status, told) = told(&target, order(fields, body)).await;
        assert_eq!(status, 202);
        let id = told["message_id"].as_str().unwrap();
        match expected {
            Some(expected) => assert_eq!(id, expected),
            None => assert_eq!((id.len(), id.as_bytes()[14]), (36, b'7')),
        }
        assert_eq!(the_only(&fake).1.id, id);
    }
}

#[tokio::test]
async fn a_request_that_is_sent_again_is_the_same_message() {
    for callers in [None, Some("a")] {
        let fake = Arc::new(Fake::default());
        let target = published(ORDERS, &fake);
        let mut first = order(&[], "");
        if let Some(callers) = callers {
            first.context.request_id = RequestId::kept(callers);
        }
        let again = first.without_body();
        let mut other = order(&[], "");
        other.context.request_id = RequestId::kept("a");
        for request in [first, again, other] {
            assert_eq!(told(&target, request).await.0, 202);
        }
        let published = fake.published.lock().unwrap();
        let id = |nth: usize| &published[nth].1.id;
        assert_eq!(id(0), id(1));
        assert_ne!(id(0), id(2));
    }
}

#[tokio::test]
async fn a_request_that_shall_change_nothing_publishes_nothing() {
    for method in ["GET", "HEAD", "OPTIONS", "TRACE"] {
        let fake = Arc::new(Fake::default());
        let target = published(ORDERS, &fake);
        let mut request = order(&[], "");
        request.method = method.parse().unwrap();
        let error = next(&target).call(request).await.unwrap_err();
        assert_eq!(error.reason().name, "method_not_allowed", "{method}");
        assert!(fake.published.lock().unwrap().is_empty());
    }
}

#[tokio::test]
async fn an_id_that_is_none_is_refused_before_anything_is_sent() {
    let long = "x".repeat(256);
    for (fields, body) in [
        (&[("idempotency-key", "")][..], ""),
        (&[("ce-id", long.as_str())], ""),
        (&[("content-type", "application/cloudevents+json")], "{}"),
        (
            &[("content-type", "application/cloudevents-batch+json")],
            "{}",
        ),
        (
            &[("content-type", "application/cloudevents-batch+json")],
            "[{}]",
        ),
        (&[("content-type", "application/grpc")], ""),
    ] {
        let fake = Arc::new(Fake::default());
        let target = published(ORDERS, &fake);
        let error = next(&target).call(order(fields, body)).await.unwrap_err();
        assert_eq!(error.reason().name, "message_unfit", "{fields:?}");
        assert!(fake.published.lock().unwrap().is_empty());
    }
}

#[tokio::test]
async fn no_header_of_a_message_is_left_out_for_what_it_says() {
    for name in ["ce-type", "x-user"] {
        let fake = Arc::new(Fake::default());
        let target = published(
            &format!("{ORDERS}\nheaders.x-tenant = \"${{header.x-user}}\""),
            &fake,
        );
        let mut request = order(&[], "");
        let value = http::HeaderValue::from_bytes(b"caf\xe9").unwrap();
        request.headers.append(&name.parse().unwrap(), &value);
        let error = next(&target).call(request).await.unwrap_err();
        assert_eq!(error.reason().name, "message_unfit", "{name}");
        assert!(fake.published.lock().unwrap().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_is_new_is_waited_for() {
    let begin = || {
        let mut fake = Fake::default();
        fake.connects_at = Some(Instant::now() + Duration::from_secs(2));
        Arc::new(fake)
    };
    let (fake, began) = (begin(), Instant::now());
    let target = published(ORDERS, &fake);
    assert_eq!(told(&target, order(&[], "")).await.0, 202);
    assert!(began.elapsed() >= Duration::from_secs(2) && began.elapsed() < Duration::from_secs(3));
    let fake = begin();
    let target = published(&format!("{ORDERS}\nconfirm_timeout = \"1s\""), &fake);
    let error = next(&target).call(order(&[], "")).await.unwrap_err();
    assert_eq!(error.reason().name, "broker_unavailable");
    assert!(fake.published.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn each_refusal_has_its_reason() {
    let why = || "why".to_owned();
    for (says, reason, status) in [
        (Some(Refusal::Unroutable(why())), "message_unroutable", 502),
        (Some(Refusal::Rejected(why())), "message_rejected", 503),
        (Some(Refusal::Unfit(why())), "message_unfit", 400),
        (Some(Refusal::Blocked(why())), "broker_blocked", 503),
        (Some(Refusal::Unavailable(why())), "broker_unavailable", 503),
        (Some(Refusal::Unknown(why())), "confirm_unknown", 504),
        (None, "confirm_unknown", 504),
    ] {
        let fake = Arc::new(Fake::default());
        fake.says.lock().unwrap().push_back(says.map(Err));
        let target = published(ORDERS, &fake);
        let before = tokio::time::Instant::now();
        let request = order(&[("ce-id", "7")], "");
        let error = next(&target).call(request).await.unwrap_err();
        assert_eq!(
            (error.reason().name, error.reason().status),
            (reason, status)
        );
        assert!(before.elapsed() <= Duration::from_secs(5));
        let id = error
            .headers()
            .iter()
            .find(|(name, _)| name == "outrigger-message-id");
        assert_eq!(id.unwrap().1, "7");
        assert_eq!(error.detail().contains("`7`"), reason == "confirm_unknown");
    }
}

#[tokio::test]
async fn a_batch_is_answered_one_by_one() {
    let fake = Arc::new(Fake::default());
    let refused = Err(Refusal::Rejected("full".to_owned()));
    fake.says
        .lock()
        .unwrap()
        .extend([None, Some(refused)].map(|says| says.or(Some(Ok(Confirmed { duplicate: true })))));
    let target = published(ORDERS, &fake);
    let fields = [
        ("content-type", "application/cloudevents-batch+json"),
        ("ce-id", "no"),
    ];
    let events = "[{\"id\": \"a\"}, {\"id\": \"b\", \"data\": 1.0e2}]";
    let (status, told) = told(&target, order(&fields, events)).await;
    assert_eq!(status, 207);
    let results = told["results"].as_array().unwrap();
    assert_eq!(results[0]["confirmed"], true);
    assert_eq!(results[0]["duplicate"], true);
    assert_eq!(results[1]["reason"], "message_rejected");
    let published = fake.published.lock().unwrap();
    let (_, second) = &published[1];
    assert_eq!(second.id, "b");
    assert_eq!(&second.body[..], b"{\"id\": \"b\", \"data\": 1.0e2}");
    assert_eq!(
        second.content_type.as_deref(),
        Some("application/cloudevents+json")
    );
    assert!(second.headers.is_empty());
}

#[tokio::test]
async fn what_is_no_event_becomes_one_where_that_is_wanted() {
    let event = "cloud_event = { type = \"order.${path.kind}\", source = \"shop\" }";
    for (fields, body, expected) in [
        (
            &[("content-type", "application/json")][..],
            "{\"a\":1.0}",
            json!({ "data": { "a": 1.0 } }),
        ),
        (
            &[("content-type", "text/plain")],
            "hi",
            json!({ "data": "hi" }),
        ),
        (
            &[("content-type", "image/png")],
            "hi",
            json!({ "data_base64": "aGk=" }),
        ),
        (
            &[("content-type", "application/json")],
            "{",
            json!({ "data_base64": "ew==" }),
        ),
        (&[], "[1]", json!({ "data": [1] })),
        (&[], "", json!({})),
    ] {
        let fake = Arc::new(Fake::default());
        let target = published(&format!("{ORDERS}\n{event}"), &fake);
        let (_, told) = told(&target, order(fields, body)).await;
        let (_, message) = the_only(&fake);
        assert_eq!(
            message.content_type.as_deref(),
            Some("application/cloudevents+json")
        );
        let mut made: Value = serde_json::from_slice(&message.body).unwrap();
        let made = made.as_object_mut().unwrap();
        assert!(made.remove("time").is_some());
        let mut whole = json!({
            "specversion": "1.0", "id": told["message_id"], "source": "shop", "type": "order.new",
        });
        let whole = whole.as_object_mut().unwrap();
        whole.extend(expected.as_object().unwrap().clone());
        if let [(_, kind)] = fields {
            whole.insert("datacontenttype".to_owned(), json!(kind));
        }
        assert_eq!(made, whole);
    }
    let fake = Arc::new(Fake::default());
    let target = published(&format!("{ORDERS}\n{event}"), &fake);
    told(&target, order(&[("ce-id", "7")], "as it is")).await;
    assert_eq!(&the_only(&fake).1.body[..], b"as it is");
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused() {
    let fake = Arc::new(Fake::default());
    let target = published(&format!("{ORDERS}\nmax_body = \"8B\""), &fake);
    assert_eq!(told(&target, order(&[], "12345678")).await.0, 202);
    let whole = order(&[], "123456789");
    let mut pieces = order(&[], "");
    let frames = ["12345", "6789"].map(|piece| Ok(http_body::Frame::data(piece.into())));
    pieces.body = Body::stream(http_body_util::StreamBody::new(futures_util::stream::iter(
        frames,
    )));
    for request in [whole, pieces] {
        let error = next(&target).call(request).await.unwrap_err();
        assert_eq!(error.reason().name, "body_too_large");
    }
}

#[tokio::test]
async fn an_empty_key_of_kafka_is_none() {
    let fake = Arc::new(Fake::default());
    let target = published("topic = \"orders\"\nkey = \"${header.x-user}\"", &fake);
    for (fields, key) in [
        (&[][..], None),
        (&[("x-user", "ann")], Some("ann".to_owned())),
    ] {
        fake.published.lock().unwrap().clear();
        assert_eq!(told(&target, order(fields, "")).await.0, 202);
        let topic = "orders".to_owned();
        assert_eq!(the_only(&fake).0, Destination::Topic { topic, key });
    }
}

#[test]
fn problems_are_told() {
    for (text, kind, expected) in [
        (ORDERS, Kind::RabbitMq, 0),
        ("", Kind::RabbitMq, 1),
        ("exchange = \"a\"\nsubject = \"b\"", Kind::RabbitMq, 2),
        ("key = \"a\"", Kind::Kafka, 1),
        ("subject = \"a.${path.other}\"", Kind::Nats, 1),
        ("subject = \"a\"", Kind::Kafka, 1),
        ("subject = \"a\"\nconfirm_timeout = \"0s\"", Kind::Nats, 1),
        ("subject = \"a\"\nheaders.BCC = \"b\"", Kind::Nats, 1),
        (
            "subject = \"a\"\nheaders.Nats-Msg-Id = \"b\"",
            Kind::Nats,
            1,
        ),
        ("subject = \"a\"\nheaders.x-tenant = \"b\"", Kind::Nats, 0),
    ] {
        let mut problems = Problems::default();
        let config = config(text);
        config.check(&["kind"], &mut problems);
        config.check_broker(kind, &mut problems);
        assert_eq!(problems.into_vec().len(), expected, "{text}");
    }
}

#[tokio::test]
async fn the_answer_says_what_it_is() {
    let fake = Arc::new(Fake::default());
    let target = published(ORDERS, &fake);
    let response = next(&target)
        .call(order(&[("ce-id", "7")], ""))
        .await
        .unwrap();
    let field = |name| response.headers.get_str(&name).map(str::to_owned);
    assert_eq!(
        field(header::CONTENT_TYPE).as_deref(),
        Some("application/json")
    );
    let id = http::HeaderName::from_static("outrigger-message-id");
    assert_eq!(field(id).as_deref(), Some("7"));
}
