//! Fields are found, changed and written as by the type that everybody uses.

use super::*;
use http::header;
use proptest::prelude::*;

fn flat(fields: &[(&str, &str)]) -> Headers {
    let mut block = Vec::new();
    let mut spans = Spans::with_capacity(fields.len());
    for (name, value) in fields {
        let (start, at) = (block.len(), block.len() + name.len() + 2);
        block.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        spans.push_line(name.as_bytes(), start, at, value.len(), block.len());
    }
    spans.are_lines(0, block.len());
    Headers::from_received(block.into(), spans)
}

fn map(fields: &[(&str, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in fields {
        map.append(
            HeaderName::from_bytes(name.as_bytes()).unwrap(),
            value.parse().unwrap(),
        );
    }
    map
}

#[test]
fn names_compare_without_case_and_keep_theirs() {
    let headers = flat(&[("X-Tenant", "acme"), ("hOsT", "a")]);
    assert_eq!(headers.get(&header::HOST), Some(&b"a"[..]));
    assert_eq!(
        headers.iter().next(),
        Some((&b"X-Tenant"[..], &b"acme"[..]))
    );
}

#[test]
#[cfg(debug_assertions)]
fn what_nobody_has_checked_is_noticed() {
    for (name, value) in [
        ("x a", "b"),
        ("", "b"),
        ("x\r", "b"),
        ("x", "b\n"),
        ("x", "\0"),
    ] {
        let unchecked = std::panic::catch_unwind(|| flat(&[(name, value)]));
        assert!(unchecked.is_err(), "{name:?}: {value:?}");
    }
    let long = "x".repeat(100 << 10);
    assert_eq!(flat(&[(&long, "b\t\u{e9}")]).len(), 1);
}

#[test]
fn a_length_with_zeros_in_front_is_not_told_on() {
    assert!(flat(&[("content-length", "12")]).tell_length(12));
    assert!(flat(&[("content-length", "0")]).tell_length(0));
    for other in ["012", "13", "1a"] {
        assert!(
            !flat(&[("content-length", other)]).tell_length(12),
            "{other}"
        );
    }
    let twice = [("content-length", "1"), ("content-length", "1")];
    assert!(!flat(&twice).tell_length(1));
}

#[test]
fn debug_output_hides_values() {
    assert!(!format!("{:?}", flat(&[("authorization", "hush")])).contains("hush"));
}

#[derive(Clone, Debug)]
enum Step {
    Insert(usize, u8),
    Append(usize, u8),
    Remove(usize),
    RemoveSet(Vec<usize>),
    RetainBelow(u8),
}

const NONE: Names = Names::new(&["absent"]);
const SOME: Names = Names::new(&["accept", "x-custom"]);

fn put(headers: &Headers, except: &Names) -> String {
    let mut out = Vec::new();
    headers.put_lines(&mut out, except);
    String::from_utf8(out).unwrap()
}

fn lines(headers: &Headers, except: &Names) -> String {
    let fields = headers
        .iter()
        .map(|(name, value)| [name, value].map(|text| std::str::from_utf8(text).unwrap()));
    fields
        .filter(|[name, _]| !except.have(Key::of(name.as_bytes()), name.as_bytes()))
        .map(|[name, value]| format!("{name}: {value}\r\n"))
        .collect()
}

#[test]
fn fields_that_are_no_lines_are_written_as_lines() {
    let mut spans = Spans::with_capacity(2);
    spans.push(b"a", 0, 1, 1);
    spans.push(b"B", 2, 3, 2);
    let mut headers = Headers::from_received("a1B22".into(), spans);
    headers.append(&header::ACCEPT, &HeaderValue::from_static("3"));
    assert_eq!(put(&headers, &NONE), "a: 1\r\nB: 22\r\naccept: 3\r\n");
    assert_eq!(put(&headers, &SOME), "a: 1\r\nB: 22\r\n");
}

#[test]
fn lines_are_written_as_they_came() {
    let (block, mut spans) = ("a:1 \r\nB:\t2\r\n", Spans::with_capacity(2));
    spans.push_line(b"a", 0, 2, 1, 6);
    spans.push_line(b"B", 6, 9, 1, block.len());
    spans.are_lines(0, block.len());
    let mut headers = Headers::from_received(block.into(), spans);
    assert_eq!(put(&headers, &NONE), block);
    headers.remove(&"a".parse().unwrap());
    assert_eq!(put(&headers, &NONE), "B:\t2\r\n");
}

const NAMES: [&str; 4] = ["host", "X-Custom", "accept", "x-other"];
const FOUND: [Name; 4] = [
    Name::HOST,
    Name::new("x-custom"),
    Name::new("accept"),
    Name::new("x-other"),
];

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..4usize, 0..9u8).prop_map(|(n, v)| Step::Insert(n, v)),
        (0..4usize, 0..9u8).prop_map(|(n, v)| Step::Append(n, v)),
        (0..4usize).prop_map(Step::Remove),
        prop::collection::vec(0..4usize, 0..3).prop_map(Step::RemoveSet),
        (0..9u8).prop_map(Step::RetainBelow),
    ]
}

proptest! {
    /// Whatever is done, it does what the type does that everybody uses.
    #[test]
    fn it_agrees_with_the_map(start in prop::collection::vec((0..4usize, 0..9u8), 0..6),
                              steps in prop::collection::vec(step(), 0..12)) {
        let start: Vec<(&str, String)> = start.into_iter().map(|(n, v)| (NAMES[n], v.to_string())).collect();
        let start: Vec<(&str, &str)> = start.iter().map(|(n, v)| (*n, v.as_str())).collect();
        let (mut a, mut b) = (flat(&start), map(&start));
        let name = |n: usize| HeaderName::from_bytes(NAMES[n].as_bytes()).unwrap();
        for step in steps {
            match &step {
                Step::Insert(n, v) => {
                    a.insert(&name(*n), &HeaderValue::from(u16::from(*v)));
                    b.insert(name(*n), HeaderValue::from(u16::from(*v)));
                }
                Step::Append(n, v) if *v % 2 == 0 => {
                    a.append_line(&Line::new(&name(*n), &HeaderValue::from(u16::from(*v))));
                    b.append(name(*n), HeaderValue::from(u16::from(*v)));
                }
                Step::Append(n, v) => {
                    a.append(&name(*n), &HeaderValue::from(u16::from(*v)));
                    b.append(name(*n), HeaderValue::from(u16::from(*v)));
                }
                Step::Remove(n) => prop_assert_eq!(a.remove(&name(*n)), b.remove(name(*n)).is_some()),
                Step::RemoveSet(names) => {
                    let names: Vec<_> = names.iter().map(|n| name(*n)).collect();
                    a.remove_set(&names.iter().collect());
                    for name in names {
                        b.remove(name);
                    }
                }
                Step::RetainBelow(v) => {
                    a.retain(|_, value| value[0] - b'0' < *v);
                    let kept = b.iter().filter(|(_, value)| value.as_bytes()[0] - b'0' < *v);
                    b = kept.map(|(name, value)| (name.clone(), value.clone())).fold(
                        HeaderMap::new(),
                        |mut map, (name, value)| {
                            map.append(name, value);
                            map
                        },
                    );
                }
            }
            prop_assert_eq!(a.len(), b.len());
            for except in [&NONE, &SOME] {
                prop_assert_eq!(put(&a, except), lines(&a, except));
            }
            for (n, known) in FOUND.iter().enumerate() {
                let name = name(n);
                prop_assert_eq!(a.get(&name), b.get(&name).map(|v| v.as_bytes()));
                prop_assert_eq!(a.find(known), a.get(&name));
                let all: Vec<&[u8]> = b.get_all(&name).iter().map(|v| v.as_bytes()).collect();
                prop_assert_eq!(a.get_all(&name).collect::<Vec<_>>(), all);
            }
        }
        prop_assert_eq!(Headers::from(b.clone()).into_map(), b.clone());
        let as_map = a.clone().into_map();
        for n in 0..4 {
            prop_assert_eq!(as_map.get(name(n)).map(|v| v.as_bytes()), a.get(&name(n)));
        }
    }
}

#[test]
fn a_value_that_was_added_is_written_over_where_it_lies() {
    const NAME: Name = Name::new("traceparent");
    let mut headers = flat(&[("a", "b")]);
    assert!(!headers.overwrite_added(&NAME, b"22"), "there is none");
    headers.append_whole(&NAME, b"traceparent: 11\r\n");
    assert!(!headers.overwrite_added(&NAME, b"333"), "it is longer");
    assert!(headers.overwrite_added(&NAME, b"22"));
    let all: Vec<_> = headers.iter().collect();
    assert_eq!(all, [(&b"a"[..], &b"b"[..]), (b"traceparent", b"22")]);
    headers.append_whole(&NAME, b"traceparent: 33\r\n");
    assert!(!headers.overwrite_added(&NAME, b"44"), "there are two");
    let mut received = flat(&[("traceparent", "11")]);
    assert!(!received.overwrite_added(&NAME, b"22"), "it was received");
}
