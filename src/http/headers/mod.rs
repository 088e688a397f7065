//! The header section of a message, in the form in which it arrived.
//!
//! A head stays one block of bytes: a field is a few spans into it, so a header that nobody looks at costs some
//! integers on the way in and a copy on the way out, and keeps its case. Fields that a policy adds go to a second
//! block behind it. HTTP/2 writes what it decodes as lines of HTTP/1, so that either can pass them on as they are.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

mod flat;
mod names;

pub use flat::Spans;
use flat::{Field, Flat};
pub use names::{Key, Name, NameSet, Names, is_name, is_our_word};

/// A field that many messages get, as the line that it will be.
pub struct Line {
    text: Box<[u8]>,
    value_len: usize,
    key: Key,
}

impl Line {
    pub fn new(name: &HeaderName, value: &HeaderValue) -> Self {
        let (name, value) = (name.as_str().as_bytes(), value.as_bytes());
        Line {
            text: [name, b": ", value, b"\r\n"].concat().into(),
            value_len: value.len(),
            key: Key::of(name),
        }
    }
}

/// Header fields in order of arrival. Names compare without regard to case (RFC 9110, section 5.1).
#[derive(Clone, Default)]
pub struct Headers(Flat);

impl Headers {
    pub fn new() -> Self {
        Self::default()
    }

    /// Fields that lie in `received`.
    ///
    /// The caller has checked that names are tokens and values are field values; `received` must be
    /// shorter than 2 GiB, which the head size limit of every listener and upstream guarantees.
    pub fn from_received(received: Bytes, spans: Spans) -> Self {
        Headers(Flat::new(received, spans))
    }

    /// The first value under `name`.
    pub fn get(&self, name: &HeaderName) -> Option<&[u8]> {
        self.0.get(name.as_str())
    }

    /// The same for a name that is known beforehand.
    #[inline]
    pub fn find(&self, name: &Name) -> Option<&[u8]> {
        self.0.first(name.key(), name.as_str())
    }

    /// Whether there is a field of this name.
    #[inline]
    pub fn has(&self, name: &Name) -> bool {
        let (key, lower) = (name.key(), name.as_str());
        (self.0.fields_for(key)).any(|field| self.0.is(field, key, lower))
    }

    /// The first value under `name`, when it is visible ASCII or UTF-8 text.
    pub fn get_str(&self, name: &HeaderName) -> Option<&str> {
        self.get(name).and_then(|v| std::str::from_utf8(v).ok())
    }

    /// Every value under `name`, in order.
    pub fn get_all<'a>(&'a self, name: &'a HeaderName) -> impl Iterator<Item = &'a [u8]> {
        let name = name.as_str();
        Iter(&self.0, self.0.fields_for(Key::of(name.as_bytes())))
            .filter(move |(n, _)| n.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, v)| v)
    }

    /// False only if none of `names` is here: answered without a look at the fields.
    #[inline]
    pub fn may_have(&self, names: &Names) -> bool {
        self.0.may_have_any(names)
    }

    pub fn contains(&self, name: &HeaderName) -> bool {
        self.get(name).is_some()
    }

    /// Puts one value under `name`, in place of all that were there.
    pub fn insert(&mut self, name: &HeaderName, value: &HeaderValue) {
        self.0.remove(name.as_str());
        self.0.push(name.as_str().as_bytes(), value.as_bytes());
    }

    /// Puts one value of printable ASCII under `name`, in place of all that were there. Other text is not put.
    pub fn insert_text(&mut self, name: &HeaderName, text: impl AsRef<[u8]>) {
        let text = text.as_ref();
        // All bytes are looked at, so that many can be at once.
        let printable = |sound, byte: &u8| sound & matches!(byte, b' '..=b'~');
        if text.iter().fold(true, printable) {
            self.0.remove(name.as_str());
            self.0.push(name.as_str().as_bytes(), text);
        }
    }

    /// Adds a value under `name`, beside those that are there.
    pub fn append(&mut self, name: &HeaderName, value: &HeaderValue) {
        self.0.push(name.as_str().as_bytes(), value.as_bytes());
    }

    /// Adds a field, beside those that are there.
    pub fn append_line(&mut self, line: &Line) {
        self.0.push_ready(line.key, line.value_len, &line.text);
    }

    /// Adds a value under `name`, beside those that are there. It must be one that a header may have.
    pub(crate) fn append_bytes(&mut self, name: &HeaderName, value: &[u8]) {
        debug_assert!(HeaderValue::from_bytes(value).is_ok());
        self.0.push(name.as_str().as_bytes(), value);
    }

    /// Removes every value under `name`; says whether there was one.
    pub fn remove(&mut self, name: &HeaderName) -> bool {
        self.0.remove(name.as_str())
    }

    /// Removes every value under each of `names`. Costs next to nothing when there are none.
    #[inline]
    pub fn remove_all(&mut self, names: &Names) {
        if self.may_have(names) {
            self.0.remove_all(names);
        }
    }

    /// The same for names that the config knows.
    pub fn remove_set(&mut self, names: &NameSet) {
        self.0.remove_set(names);
    }

    /// Keeps the fields for which `keep(name, value)` holds.
    pub fn retain(&mut self, keep: impl FnMut(&[u8], &[u8]) -> bool) {
        self.0.retain(keep);
    }

    /// Names and values in order. A name has the case in which it arrived.
    pub fn iter(&self) -> Iter<'_> {
        Iter(&self.0, self.0.fields())
    }

    /// The same without the fields of `except`.
    pub fn iter_except<'a>(
        &'a self,
        except: &'a Names,
    ) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        let all = !self.0.may_have_any(except);
        let fields = self.0.fields();
        let fields = fields.filter(move |field| all || !self.0.is_one_of(field, except));
        fields.map(|field| (self.0.name(field), self.0.value(field)))
    }

    /// The number of fields.
    pub fn len(&self) -> usize {
        self.0.fields().len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The fields as the type that libraries ask for.
    pub fn into_map(self) -> HeaderMap {
        let mut map = HeaderMap::with_capacity(self.len());
        for (name, value) in self.iter() {
            // Both were checked when they entered, by the same rules as these types have.
            if let (Ok(name), Ok(value)) =
                (HeaderName::from_bytes(name), HeaderValue::from_bytes(value))
            {
                map.append(name, value);
            }
        }
        map
    }

    /// Writes the fields as lines of HTTP/1, but for those of `except`.
    pub fn put_lines(&self, out: &mut Vec<u8>, except: &Names) {
        self.0.put_lines(out, except);
    }

    /// Whether `Content-Length` says `length` in the form that everybody reads alike.
    pub fn tell_length(&self, length: u64) -> bool {
        self.only_length().is_some_and(|value| {
            number(value) == Some(length) && (value.len() == 1 || value[0] != b'0')
        })
    }

    /// `Content-Length`, when there is exactly one value and it is a number.
    pub fn content_length(&self) -> Option<u64> {
        number(self.only_length()?)
    }

    fn only_length(&self) -> Option<&[u8]> {
        self.0.only(&Name::CONTENT_LENGTH)
    }
}

fn number(digits: &[u8]) -> Option<u64> {
    let number = digits.iter().try_fold(0u64, |sum, digit| match digit {
        b'0'..=b'9' => sum.checked_mul(10)?.checked_add(u64::from(digit - b'0')),
        _ => None,
    });
    number.filter(|_| !digits.is_empty())
}

impl From<HeaderMap> for Headers {
    fn from(map: HeaderMap) -> Self {
        let mut headers = Headers::new();
        for (name, value) in &map {
            headers.append(name, value);
        }
        headers
    }
}

/// Shows names only: a value may be a secret.
impl std::fmt::Debug for Headers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(self.iter().map(|(n, _)| String::from_utf8_lossy(n)))
            .finish()
    }
}

/// Iterator over names and values, made by [`Headers::iter`].
pub struct Iter<'a>(&'a Flat, std::slice::Iter<'a, Field>);

impl<'a> Iterator for Iter<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        self.1
            .next()
            .map(|field| (self.0.name(field), self.0.value(field)))
    }
}

#[cfg(test)]
mod tests {
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
    fn a_length_with_zeros_in_front_is_not_told_on() {
        assert!(flat(&[("content-length", "12")]).tell_length(12));
        assert!(flat(&[("content-length", "0")]).tell_length(0));
        for other in ["012", "13", "1a"] {
            assert!(
                !flat(&[("content-length", other)]).tell_length(12),
                "{other}"
            );
        }
    }

    #[test]
    fn content_length_must_be_one_number() {
        assert_eq!(flat(&[("content-length", "12")]).content_length(), Some(12));
        for bad in [
            &[("content-length", "+12")][..],
            &[("content-length", "1"), ("content-length", "1")],
            &[("content-length", "")],
            &[("content-length", "99999999999999999999999")],
        ] {
            assert_eq!(flat(bad).content_length(), None, "{bad:?}");
        }
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
}
