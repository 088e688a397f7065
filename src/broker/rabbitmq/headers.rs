//! Which headers go out with a message and come back, and by what names.
//!
//! AMQP 0-9-1 has no rule for CloudEvents. Their attributes are written as AMQP 1.0 has them, `cloudEvents:id`, because
//! RabbitMQ hands headers to clients of 1.0 as application properties; `cloudEvents_id` and `ce-id` are read as well.
//! Other headers keep their names.

use lapin::types::{AMQPValue, FieldTable, LongString};

use super::super::Refusal;
use super::names::short;

/// How often delivery was tried: on a copy that waits, the attempt that comes next; on a dead letter, those that failed.
pub(super) const ATTEMPT: &str = "outrigger-attempt";
/// The routing key with which a message was published, on a copy of it.
pub(super) const KEY: &str = "outrigger-routing-key";
/// On a copy that may not be the only one.
pub(super) const AGAIN: &str = "outrigger-redelivered";
/// On a dead letter: why it is one.
pub(super) const REASON: &str = "outrigger-reason";
/// On a dead letter: since when it is one (RFC 3339).
pub(super) const SINCE: &str = "outrigger-dead-lettered-at";

/// Those of ours begin so.
const OURS: &str = "outrigger-";
/// The broker takes orders from these, or writes them itself. CC and BCC route a message anywhere, and it is confirmed then
/// although its own queue does not exist; by x-death the broker decides that a message goes round in a circle.
const ORDERS: [&str; 7] = [
    "bcc",
    "cc",
    "x-acquired-count",
    "x-death",
    "x-delay",
    "x-delivery-count",
    "x-received-from",
];
const ORDERS_BEGIN: [&str; 4] = ["x-first-death-", "x-last-death-", "x-opt-", "x-stream-"];

const CLOUD_EVENTS: &str = "cloudEvents:";
const READ_AS_CLOUD_EVENTS: [&str; 2] = ["cloudevents:", "cloudevents_"];

/// The table of a message that is published.
///
/// # Errors
/// When one of them is not for a publisher to set, or has a name that is too long.
pub(super) fn table(headers: &[(String, String)]) -> Result<FieldTable, Refusal> {
    let mut table = FieldTable::default();
    for (name, value) in headers {
        let lower = name.to_ascii_lowercase();
        if is_order(&lower) || lower.starts_with(OURS) {
            return Err(Refusal::Unfit(format!(
                "the header `{name}` is not for a publisher to set"
            )));
        }
        let name = match lower.strip_prefix("ce-") {
            Some(attribute) => short(&format!("{CLOUD_EVENTS}{attribute}")),
            None => short(&lower),
        };
        let name = name.map_err(Refusal::Unfit)?;
        table.insert(
            name,
            AMQPValue::LongString(LongString::from(value.as_str())),
        );
    }
    Ok(table)
}

/// The headers of a message as it is given out: without the broker's and ours, and without those whose value is no text.
pub(super) fn read(table: Option<&FieldTable>) -> Vec<(String, String)> {
    let fields = table.into_iter().flatten();
    let read = fields.filter_map(|(name, value)| {
        let lower = name.as_str().to_ascii_lowercase();
        if is_order(&lower) || lower.starts_with(OURS) {
            return None;
        }
        let attribute = READ_AS_CLOUD_EVENTS
            .iter()
            .find_map(|prefix| lower.strip_prefix(prefix));
        let name = attribute.map_or_else(|| lower.clone(), |attribute| format!("ce-{attribute}"));
        Some((name, text(value)?))
    });
    read.collect()
}

/// The table of a copy: what the broker takes orders from is left out, and of ours all but the routing key.
pub(super) fn copied(table: Option<&FieldTable>) -> FieldTable {
    let mut copy = FieldTable::default();
    for (name, value) in table.into_iter().flatten() {
        let lower = name.as_str().to_ascii_lowercase();
        if lower == KEY || !(is_order(&lower) || lower.starts_with(OURS)) {
            copy.insert(name.clone(), value.clone());
        }
    }
    copy
}

/// The header of that name, whose value is a text or a number.
pub(super) fn get(table: Option<&FieldTable>, name: &str) -> Option<String> {
    table?.inner().get(name).and_then(text)
}

fn is_order(lower: &str) -> bool {
    ORDERS.contains(&lower) || ORDERS_BEGIN.iter().any(|begin| lower.starts_with(begin))
}

/// None for bytes, tables and lists.
fn text(value: &AMQPValue) -> Option<String> {
    match value {
        AMQPValue::Boolean(value) => Some(value.to_string()),
        AMQPValue::ShortShortInt(value) => Some(value.to_string()),
        AMQPValue::ShortShortUInt(value) => Some(value.to_string()),
        AMQPValue::ShortInt(value) => Some(value.to_string()),
        AMQPValue::ShortUInt(value) => Some(value.to_string()),
        AMQPValue::LongInt(value) => Some(value.to_string()),
        AMQPValue::LongUInt(value) => Some(value.to_string()),
        AMQPValue::LongLongInt(value) => Some(value.to_string()),
        AMQPValue::Timestamp(value) => Some(value.to_string()),
        AMQPValue::Float(value) => Some(value.to_string()),
        AMQPValue::Double(value) => Some(value.to_string()),
        AMQPValue::ShortString(value) => Some(value.to_string()),
        AMQPValue::LongString(value) => String::from_utf8(value.as_bytes().to_vec()).ok(),
        AMQPValue::DecimalValue(_)
        | AMQPValue::FieldArray(_)
        | AMQPValue::FieldTable(_)
        | AMQPValue::ByteArray(_)
        | AMQPValue::Void => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        let owned = pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        owned.collect()
    }

    #[test]
    fn attributes_of_events_go_out_under_their_own_names_and_come_back() {
        let sent = pairs(&[("ce-id", "1"), ("x-tenant", "acme")]);
        let table = table(&sent).unwrap();
        let names: Vec<&str> = table.inner().keys().map(|name| name.as_str()).collect();
        assert_eq!(names, ["cloudEvents:id", "x-tenant"]);
        assert_eq!(read(Some(&table)), sent);
    }

    #[test]
    fn what_other_publishers_call_them_is_read_as_well() {
        let mut table = FieldTable::default();
        table.insert("cloudEvents_type".into(), AMQPValue::LongString("a".into()));
        table.insert("ce-Source".into(), AMQPValue::LongString("b".into()));
        table.insert("Count".into(), AMQPValue::LongLongInt(-3));
        table.insert("x-death".into(), AMQPValue::LongString("c".into()));
        table.insert("bytes".into(), AMQPValue::ByteArray(vec![1].into()));
        let expected = pairs(&[("count", "-3"), ("ce-source", "b"), ("ce-type", "a")]);
        assert_eq!(read(Some(&table)), expected);
    }

    #[test]
    fn nobody_gives_the_broker_orders_by_a_header() {
        for name in [
            "CC",
            "bcc",
            "x-death",
            "x-first-death-queue",
            "x-opt-a",
            "outrigger-attempt",
        ] {
            let refused = table(&pairs(&[(name, "1")]));
            assert!(matches!(refused, Err(Refusal::Unfit(why)) if why.contains(name)));
        }
        let mut other = FieldTable::default();
        for name in [
            "CC",
            "x-death",
            "x-delivery-count",
            REASON,
            ATTEMPT,
            KEY,
            "kept",
        ] {
            other.insert(name.into(), AMQPValue::LongString("1".into()));
        }
        let copy = copied(Some(&other));
        let names: Vec<&str> = copy.inner().keys().map(|name| name.as_str()).collect();
        assert_eq!(names, ["kept", KEY]);
    }
}
