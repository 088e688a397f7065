//! The span of a row's message. A row may say in which trace it was written, by the header `traceparent` of its message: that
//! trace goes on, and else one begins.

use std::sync::Arc;

use super::template::RowTemplate;
use crate::broker::{Address, Message, span};
use crate::trace::{Begun, Kind, Parent, Span, TraceId, Tracer, is_state};

const STATE: &str = "tracestate";

/// Begins one, if that trace is recorded, and has whoever gets `message` know of it. The message of a row that nobody records
/// stays as it is, unless the trace was recorded up to here.
pub(super) fn begin(
    tracer: &Arc<Tracer>,
    address: &Address<RowTemplate>,
    message: &mut Message,
) -> Option<Span> {
    let propagates = tracer.propagates();
    let parent = read(message).filter(|_| propagates);
    let Begun { told, span, .. } = match parent {
        Some(parent) => tracer.go_on(parent, Kind::Producer),
        None => tracer.begin(TraceId::new(), Kind::Producer),
    };
    if parent.is_some() || span.is_some() && propagates {
        let told = told?;
        let goes_on = parent.is_some() && is_state(all(message, STATE).map(str::as_bytes));
        (message.headers).retain(|(name, _)| name != span::PARENT && (goes_on || name != STATE));
        let line = (span::PARENT.to_owned(), told.to_string());
        message.headers.push(line);
    }
    let mut span = span?;
    span.rename([&*span::name(address, RowTemplate::as_str)]);
    let states: Vec<&str> = all(message, STATE).collect();
    if propagates && !states.is_empty() {
        span.state(states.join(",").as_bytes());
    }
    span::describe(&mut span, message, address, RowTemplate::as_str);
    Some(*span)
}

/// In which span the row was written, if it alone says so.
fn read(message: &Message) -> Option<Parent> {
    let mut parents = all(message, span::PARENT);
    let parent = Parent::read(parents.next()?.as_bytes());
    parent.filter(|_| parents.next().is_none())
}

fn all<'a>(message: &'a Message, wanted: &'a str) -> impl Iterator<Item = &'a str> {
    let headers = message.headers.iter();
    let of_it = headers.filter(move |(name, _)| name == wanted);
    of_it.map(|(_, value)| value.as_str())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::trace::{Limits, Queue, Sampler};

    const CALLER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    /// The headers that a message has then, and whether it is recorded.
    fn begun(headers: &[(&str, &str)], follows: bool, ratio: f64) -> (Vec<String>, bool) {
        let sampler = Sampler::new(follows, ratio);
        let queue = Arc::new(Queue::new(Limits::default()));
        let tracer = Arc::new(Tracer::new(sampler, true, queue));
        let headers = headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let mut message = Message {
            id: "orders:1".to_owned(),
            content_type: None,
            headers: headers.collect(),
            body: Bytes::new(),
        };
        let address = Address::Subject("orders".to_owned().try_into().unwrap());
        let is_recorded = begin(&tracer, &address, &mut message).is_some();
        let headers = message.headers.iter();
        let lines = headers.map(|(name, value)| format!("{name}: {value}"));
        (lines.collect(), is_recorded)
    }

    #[test]
    fn a_row_that_says_its_trace_is_in_it() {
        let told = [("traceparent", CALLER), ("tracestate", "a=1"), ("x", "y")];
        let (headers, is_recorded) = begun(&told, true, 0.0);
        assert!(is_recorded);
        assert_eq!(headers[..2], ["tracestate: a=1", "x: y"]);
        assert_eq!(headers.len(), 3);
        assert!(headers[2].starts_with("traceparent: 00-0af7651916cd43dd8448eb211c80319c-"));
        assert!(!headers[2].contains("b7ad6b71") && headers[2].ends_with("-01"));
    }

    #[test]
    fn a_row_that_nobody_records_stays_as_it_is() {
        let unsampled = CALLER.replace("-01", "-00");
        for headers in [
            vec![("traceparent", &*unsampled), ("tracestate", "a=1,,b")],
            vec![("traceparent", "no parent"), ("tracestate", "A")],
            vec![("x", "y")],
        ] {
            let kept: Vec<String> = headers
                .iter()
                .map(|(name, value)| format!("{name}: {value}"))
                .collect();
            assert_eq!(begun(&headers, true, 0.0), (kept, false));
        }
    }

    #[test]
    fn a_row_without_a_trace_begins_one() {
        let twice = [("traceparent", CALLER), ("traceparent", CALLER)];
        for headers in [&[("x", "y"), ("tracestate", "a=1")][..], &twice] {
            let (headers, is_recorded) = begun(headers, true, 1.0);
            assert!(is_recorded);
            let told = headers.last().unwrap();
            assert!(told.starts_with("traceparent: 00-") && told.ends_with("-03"));
            assert!(!headers.iter().any(|line| line.contains("tracestate")));
        }
    }

    #[test]
    fn those_behind_know_that_it_is_recorded_no_more() {
        let (headers, is_recorded) = begun(&[("traceparent", CALLER)], false, 0.0);
        assert!(!is_recorded);
        assert!(headers[0].ends_with("-00") && !headers[0].contains("b7ad6b71"));
    }
}
