//! The header section of a message, in the form in which it arrived.
//!
//! An HTTP/1 head stays one block of bytes: a field is a pair of spans into it, so a header that nobody
//! looks at costs two integers on the way in and a copy on the way out, and keeps its case. Fields that
//! a policy adds go to a second block behind it. An HTTP/2 head is the [`HeaderMap`] that the framing
//! layer made; it stays one, so that HTTP/2 to HTTP/2 converts nothing. All methods behave the same on both.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};

mod flat;
mod names;

pub use flat::Spans;
use flat::{Field, Flat};
pub use names::{Key, Names, is_name};

/// Header fields in order of arrival. Names compare without regard to case (RFC 9110, section 5.1).
#[derive(Clone)]
pub struct Headers(Form);

#[derive(Clone)]
enum Form {
    Flat(Flat),
    Map(HeaderMap),
}

impl Default for Headers {
    fn default() -> Self {
        Self::new()
    }
}

impl Headers {
    pub fn new() -> Self {
        Headers(Form::Flat(Flat::default()))
    }

    /// Fields that lie in `received`.
    ///
    /// The caller has checked that names are tokens and values are field values; `received` must be
    /// shorter than 2 GiB, which the head size limit of every listener and upstream guarantees.
    pub fn from_received(received: Bytes, spans: Spans) -> Self {
        Headers(Form::Flat(Flat::new(received, spans)))
    }

    /// The first value under `name`.
    pub fn get(&self, name: &HeaderName) -> Option<&[u8]> {
        match &self.0 {
            Form::Flat(flat) => flat.get(name.as_str()),
            Form::Map(map) => map.get(name).map(HeaderValue::as_bytes),
        }
    }

    /// The first value under `name`, when it is visible ASCII or UTF-8 text.
    pub fn get_str(&self, name: &HeaderName) -> Option<&str> {
        self.get(name).and_then(|v| std::str::from_utf8(v).ok())
    }

    /// Every value under `name`, in order.
    pub fn get_all<'a>(&'a self, name: &'a HeaderName) -> impl Iterator<Item = &'a [u8]> {
        let name = name.as_str();
        let fields = match &self.0 {
            Form::Flat(flat) => Iter(IterForm::Flat(
                flat,
                flat.fields_for(Key::of(name.as_bytes())),
            )),
            Form::Map(_) => self.iter(),
        };
        fields
            .filter(move |(n, _)| n.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, v)| v)
    }

    /// False only if none of `names` is here: answered without a look at the fields.
    #[inline]
    pub fn may_have(&self, names: &Names) -> bool {
        match &self.0 {
            Form::Flat(flat) => flat.may_have_any(names),
            Form::Map(_) => true,
        }
    }

    pub fn contains(&self, name: &HeaderName) -> bool {
        self.get(name).is_some()
    }

    /// Puts one value under `name`, in place of all that were there.
    pub fn insert(&mut self, name: &HeaderName, value: &HeaderValue) {
        match &mut self.0 {
            Form::Flat(flat) => {
                flat.remove(name.as_str());
                flat.push(name.as_str().as_bytes(), value.as_bytes());
            }
            Form::Map(map) => {
                map.insert(name.clone(), value.clone());
            }
        }
    }

    /// Puts one value of printable ASCII under `name`, in place of all that were there. Other text is not put.
    pub fn insert_text(&mut self, name: &HeaderName, text: impl AsRef<[u8]>) {
        let text = text.as_ref();
        // All bytes are looked at, so that many can be at once.
        let printable = |sound, byte: &u8| sound & matches!(byte, b' '..=b'~');
        if !text.iter().fold(true, printable) {
            return;
        }
        match &mut self.0 {
            Form::Flat(flat) => {
                flat.remove(name.as_str());
                flat.push(name.as_str().as_bytes(), text);
            }
            Form::Map(map) => {
                if let Ok(value) = HeaderValue::from_bytes(text) {
                    map.insert(name.clone(), value);
                }
            }
        }
    }

    /// Adds a value under `name`, beside those that are there.
    pub fn append(&mut self, name: &HeaderName, value: &HeaderValue) {
        match &mut self.0 {
            Form::Flat(flat) => flat.push(name.as_str().as_bytes(), value.as_bytes()),
            Form::Map(map) => {
                map.append(name.clone(), value.clone());
            }
        }
    }

    /// Removes every value under `name`; says whether there was one.
    pub fn remove(&mut self, name: &HeaderName) -> bool {
        match &mut self.0 {
            Form::Flat(flat) => flat.remove(name.as_str()),
            Form::Map(map) => map.remove(name).is_some(),
        }
    }

    /// Removes every value under each of `names`. Costs next to nothing when there are none.
    pub fn remove_all(&mut self, names: &Names) {
        match &mut self.0 {
            Form::Flat(flat) => flat.remove_all(names),
            Form::Map(_) => self.retain(|name, _| !names.have(Key::of(name), name)),
        }
    }

    /// Keeps the fields for which `keep(name, value)` holds.
    pub fn retain(&mut self, mut keep: impl FnMut(&[u8], &[u8]) -> bool) {
        match &mut self.0 {
            Form::Flat(flat) => flat.retain(keep),
            Form::Map(map) => {
                let doomed: Vec<HeaderName> = map
                    .iter()
                    .filter(|(n, v)| !keep(n.as_str().as_bytes(), v.as_bytes()))
                    .map(|(n, _)| n.clone())
                    .collect();
                for name in doomed {
                    // A name may stand more than once with values of different fates.
                    let kept: Vec<HeaderValue> = map
                        .get_all(&name)
                        .iter()
                        .filter(|v| keep(name.as_str().as_bytes(), v.as_bytes()))
                        .cloned()
                        .collect();
                    map.remove(&name);
                    for value in kept {
                        map.append(name.clone(), value);
                    }
                }
            }
        }
    }

    /// Names and values in order. A name has the case in which it arrived.
    pub fn iter(&self) -> Iter<'_> {
        Iter(match &self.0 {
            Form::Flat(flat) => IterForm::Flat(flat, flat.fields()),
            Form::Map(map) => IterForm::Map(map.iter()),
        })
    }

    /// The number of fields.
    pub fn len(&self) -> usize {
        match &self.0 {
            Form::Flat(flat) => flat.fields().len(),
            Form::Map(map) => map.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The fields as the type that HTTP/2 needs; free when they came by HTTP/2.
    pub fn into_map(self) -> HeaderMap {
        match self.0 {
            Form::Map(map) => map,
            Form::Flat(flat) => {
                let mut map = HeaderMap::with_capacity(flat.fields().len());
                for field in flat.fields() {
                    // Both were checked when they entered, by the same rules as these types have.
                    if let (Ok(name), Ok(value)) = (
                        HeaderName::from_bytes(flat.name(field)),
                        HeaderValue::from_bytes(flat.value(field)),
                    ) {
                        map.append(name, value);
                    }
                }
                map
            }
        }
    }

    /// Writes the fields as lines of HTTP/1, but for those of `except`.
    pub fn put_lines(&self, out: &mut Vec<u8>, except: &Names) {
        match &self.0 {
            Form::Flat(flat) => flat.put_lines(out, except),
            Form::Map(map) => {
                for (name, value) in map {
                    let name = name.as_str().as_bytes();
                    if !except.have(Key::of(name), name) {
                        for part in [name, b": ", value.as_bytes(), b"\r\n"] {
                            out.extend_from_slice(part);
                        }
                    }
                }
            }
        }
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
        match &self.0 {
            Form::Flat(flat) => flat.only("content-length"),
            Form::Map(map) => {
                let mut all = map.get_all(header::CONTENT_LENGTH).iter();
                let only = all.next()?;
                all.next().is_none().then(|| only.as_bytes())
            }
        }
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
        Headers(Form::Map(map))
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
pub struct Iter<'a>(IterForm<'a>);

enum IterForm<'a> {
    Flat(&'a Flat, std::slice::Iter<'a, Field>),
    Map(http::header::Iter<'a, HeaderValue>),
}

impl<'a> Iterator for Iter<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.0 {
            IterForm::Flat(flat, fields) => fields.next().map(|f| (flat.name(f), flat.value(f))),
            IterForm::Map(fields) => fields
                .next()
                .map(|(n, v)| (n.as_str().as_bytes(), v.as_bytes())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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

    fn map(fields: &[(&str, &str)]) -> Headers {
        let mut map = HeaderMap::new();
        for (name, value) in fields {
            map.append(
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                value.parse().unwrap(),
            );
        }
        map.into()
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

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0..4usize, 0..9u8).prop_map(|(n, v)| Step::Insert(n, v)),
            (0..4usize, 0..9u8).prop_map(|(n, v)| Step::Append(n, v)),
            (0..4usize).prop_map(Step::Remove),
            (0..9u8).prop_map(Step::RetainBelow),
        ]
    }

    proptest! {
        /// Whatever is done, both forms answer alike (order between different names aside).
        #[test]
        fn both_forms_agree(start in prop::collection::vec((0..4usize, 0..9u8), 0..6),
                            steps in prop::collection::vec(step(), 0..12)) {
            let start: Vec<(&str, String)> = start.into_iter().map(|(n, v)| (NAMES[n], v.to_string())).collect();
            let start: Vec<(&str, &str)> = start.iter().map(|(n, v)| (*n, v.as_str())).collect();
            let (mut a, mut b) = (flat(&start), map(&start));
            let name = |n: usize| HeaderName::from_bytes(NAMES[n].as_bytes()).unwrap();
            for step in steps {
                for headers in [&mut a, &mut b] {
                    match &step {
                        Step::Insert(n, v) => headers.insert(&name(*n), &HeaderValue::from(u16::from(*v))),
                        Step::Append(n, v) => headers.append(&name(*n), &HeaderValue::from(u16::from(*v))),
                        Step::Remove(n) => { headers.remove(&name(*n)); }
                        Step::RetainBelow(v) => headers.retain(|_, value| value[0] - b'0' < *v),
                    }
                }
                prop_assert_eq!(a.len(), b.len());
                for headers in [&a, &b] {
                    for except in [&NONE, &SOME] {
                        prop_assert_eq!(put(headers, except), lines(headers, except));
                    }
                }
                for n in 0..4 {
                    let name = name(n);
                    prop_assert_eq!(a.get(&name), b.get(&name));
                    prop_assert_eq!(a.get_all(&name).collect::<Vec<_>>(), b.get_all(&name).collect::<Vec<_>>());
                }
            }
            let as_map = a.clone().into_map();
            for n in 0..4 {
                prop_assert_eq!(as_map.get(name(n)).map(|v| v.as_bytes()), a.get(&name(n)));
            }
        }
    }
}
