//! A collector of spans, and as much of OTLP's messages as is needed to read them.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::origin::Origin;
use super::script::Script;
use super::wait::{SOON, eventually};

/// Takes what is sent to it, unless its scripts say otherwise.
pub struct Collector(Origin);

/// A span as it was sent; ids are in hexadecimal digits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SentSpan {
    pub trace: String,
    pub id: String,
    /// Empty where it has none.
    pub parent: String,
    pub state: String,
    pub name: String,
    /// As the enumeration has it: 2 is a server's, 3 a client's, 4 a producer's, 5 a consumer's.
    pub kind: u64,
    pub start: u64,
    pub end: u64,
    pub attributes: BTreeMap<String, String>,
    /// Attributes that it has beside those.
    pub left_out: u64,
    /// 2 is a failure.
    pub status: u64,
}

impl Collector {
    pub fn start() -> Collector {
        Collector::on(Origin::start().otherwise(Script::new().answering("200 OK", "")))
    }

    /// `origin` answers in its place.
    pub fn on(origin: Origin) -> Collector {
        Collector(origin)
    }

    pub fn address(&self) -> SocketAddr {
        self.0.address()
    }

    pub fn origin(&self) -> &Origin {
        &self.0
    }

    /// Every span that was sent, each as often as it was.
    pub fn spans(&self) -> Vec<SentSpan> {
        let requests = self.0.requests();
        let whole = requests.iter().filter(|request| request.complete);
        whole.flat_map(|request| spans(&request.body)).collect()
    }

    /// All spans, once there are so many.
    pub fn after(&self, count: usize) -> Vec<SentSpan> {
        eventually(SOON, &format!("{count} spans at the collector"), || {
            self.spans().len() >= count
        });
        let spans = self.spans();
        assert_eq!(spans.len(), count, "{spans:#?}");
        spans
    }

    /// What is said of who sends, in the newest request.
    pub fn resource(&self) -> BTreeMap<String, String> {
        let requests = self.0.requests();
        let newest = requests.last().expect("a request");
        let mut resource = BTreeMap::new();
        for (_, resource_spans) in messages(&newest.body, 1) {
            for (_, of) in messages(resource_spans, 1) {
                resource.extend(messages(of, 1).map(|(_, pair)| attribute(pair)));
            }
        }
        resource
    }
}

/// The spans of an `ExportTraceServiceRequest`.
pub fn spans(body: &[u8]) -> Vec<SentSpan> {
    let mut found = Vec::new();
    for (_, resource_spans) in messages(body, 1) {
        for (_, scope_spans) in messages(resource_spans, 2) {
            found.extend(messages(scope_spans, 2).map(|(_, span)| read(span)));
        }
    }
    found
}

fn read(message: &[u8]) -> SentSpan {
    let mut span = SentSpan::default();
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    for (field, value) in fields(message) {
        match (field, value) {
            (1, Value::Bytes(id)) => span.trace = hex(id),
            (2, Value::Bytes(id)) => span.id = hex(id),
            (3, Value::Bytes(state)) => span.state = text(state),
            (4, Value::Bytes(id)) => span.parent = hex(id),
            (5, Value::Bytes(name)) => span.name = text(name),
            (6, Value::Number(kind)) => span.kind = kind,
            (7, Value::Number(start)) => span.start = start,
            (8, Value::Number(end)) => span.end = end,
            (9, Value::Bytes(pair)) => span.attributes.extend([attribute(pair)]),
            (10, Value::Number(left_out)) => span.left_out = left_out,
            (15, Value::Bytes(status)) => {
                for (field, value) in fields(status) {
                    if let (3, Value::Number(code)) = (field, value) {
                        span.status = code;
                    }
                }
            }
            (16, Value::Number(_)) => {}
            other => panic!("a span has no {other:?}"),
        }
    }
    span
}

fn attribute(pair: &[u8]) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let (mut key, mut value) = (String::new(), String::new());
    for (field, of) in fields(pair) {
        match (field, of) {
            (1, Value::Bytes(bytes)) => key = text(bytes),
            (2, Value::Bytes(any)) => {
                for (_, of) in fields(any) {
                    value = match of {
                        Value::Bytes(bytes) => text(bytes),
                        Value::Number(number) => number.to_string(),
                    };
                }
            }
            other => panic!("a pair has no {other:?}"),
        }
    }
    (key, value)
}

#[derive(Debug)]
enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// The messages in field `wanted`.
fn messages(message: &[u8], wanted: u64) -> impl Iterator<Item = (u64, &[u8])> {
    fields(message).filter_map(move |(field, value)| match value {
        Value::Bytes(bytes) if field == wanted => Some((field, bytes)),
        _ => None,
    })
}

fn fields(mut message: &[u8]) -> impl Iterator<Item = (u64, Value<'_>)> {
    std::iter::from_fn(move || {
        if message.is_empty() {
            return None;
        }
        let key = varint(&mut message);
        let value = match key & 7 {
            0 => Value::Number(varint(&mut message)),
            1 => Value::Number(u64::from_le_bytes(
                take(&mut message, 8).try_into().unwrap(),
            )),
            2 => {
                let length = varint(&mut message) as usize;
                Value::Bytes(take(&mut message, length))
            }
            5 => {
                let bytes = take(&mut message, 4).try_into().unwrap();
                Value::Number(u32::from_le_bytes(bytes).into())
            }
            other => panic!("there is no wire type {other}"),
        };
        Some((key >> 3, value))
    })
}

fn take<'a>(message: &mut &'a [u8], length: usize) -> &'a [u8] {
    let (taken, rest) = message.split_at(length);
    *message = rest;
    taken
}

fn varint(message: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..).step_by(7) {
        let byte = take(message, 1)[0];
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        }
    }
    value
}
