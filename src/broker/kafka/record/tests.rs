use super::*;

fn taken(record: Record) -> ConsumerRecord {
    let mut taken = ConsumerRecord::new("orders", 2, 17, record.key, record.value);
    taken.headers = record.headers;
    taken
}

fn published() -> Message {
    Message {
        id: "a1".into(),
        content_type: Some("text/plain".into()),
        headers: vec![("ce-type".into(), "made".into()), ("x".into(), "y".into())],
        body: "hello".into(),
    }
}

#[test]
fn a_message_comes_back_as_it_went() {
    let record = of("orders", Some("k".into()), published()).unwrap();
    let names: Vec<_> = record
        .headers
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(
        names,
        ["outrigger-message-id", "content-type", "ce_type", "x"]
    );
    let record = taken(record);
    assert_eq!(message(&record), published());
    assert_eq!(key(&record).as_deref(), Some("k"));
    assert_eq!(notes(&record), Notes::default());
}

#[test]
fn what_we_take_orders_from_is_not_published() {
    let mut message = published();
    message
        .headers
        .push(("outrigger-group".into(), "mine".into()));
    let wrong = of("orders", None, message).unwrap_err();
    assert!(wrong.contains("outrigger-group"), "{wrong}");
}

#[test]
fn a_message_of_another_client_has_an_id_that_stays() {
    let mut record = ConsumerRecord::new("orders", 2, 17, None, None);
    assert_eq!(message(&record).id, "orders/2/17");
    let copied = taken(copy(&record, "orders.retry.1", &Notes::default()));
    assert_eq!(message(&copied).id, "orders/2/17");
    assert_eq!(copied.value, None);
    record.headers = vec![("ce_id".into(), Some("e7".into()))];
    assert_eq!(message(&record).id, "e7");
}

#[test]
fn notes_replace_those_before() {
    let at = UNIX_EPOCH + Duration::from_millis(1234);
    let first = Notes {
        group: Some("g".into()),
        attempt: Some(2),
        not_before: Some(at),
        again: true,
        ..Notes::default()
    };
    let second = Notes {
        group: Some("g".into()),
        reason: Some("status_503".into()),
        attempts: Some(3),
        since: Some(at),
        origin: Some("orders/2/17".into()),
        ..Notes::default()
    };
    let record = taken(of("orders", Some("k".into()), published()).unwrap());
    let record = taken(copy(&record, "orders.retry.1", &first));
    assert_eq!(notes(&record), first);
    let record = taken(copy(&record, "orders.dlq", &second));
    assert_eq!(notes(&record), second);
    assert_eq!(message(&record), published());
}
