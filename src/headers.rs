//! The header section of a message, in the form in which it arrived.
//!
//! An HTTP/1 head stays one block of bytes: a field is a pair of spans into it, so a header that nobody
//! looks at costs two integers on the way in and a copy on the way out, and keeps its case. Fields that
//! a policy adds go to a second block behind it. An HTTP/2 head is the [`HeaderMap`] that the framing
//! layer made; it stays one, so that HTTP/2 to HTTP/2 converts nothing. All methods behave the same on both.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};

/// Header fields in order of arrival. Names compare without regard to case (RFC 9110, section 5.1).
#[derive(Clone)]
pub struct Headers(Form);

#[derive(Clone)]
enum Form {
    Flat(Flat),
    Map(HeaderMap),
}

#[derive(Clone, Default)]
struct Flat {
    /// The head as it was received.
    received: Bytes,
    /// Names and values added since.
    added: Vec<u8>,
    fields: Vec<Field>,
}

/// Where a field's name and value stand. A span whose `start` has [`ADDED`] set lies in `added`.
#[derive(Clone, Copy)]
struct Field {
    name: Span,
    value: Span,
}

#[derive(Clone, Copy)]
struct Span {
    start: u32,
    len: u32,
}

const ADDED: u32 = 1 << 31;

/// Room for the fields that forwarding adds, so that it grows once.
const ADDED_ROOM: usize = 256;

/// Where the fields of a received head lie, gathered while it is parsed.
pub struct Spans(Vec<Field>);

impl Spans {
    pub fn with_capacity(fields: usize) -> Self {
        // Room for the handful that forwarding adds, so that it never grows on the common path.
        Spans(Vec::with_capacity(fields + 6))
    }

    /// Byte offsets and lengths of a field's name and value.
    pub fn push(&mut self, name: usize, name_len: usize, value: usize, value_len: usize) {
        self.0.push(Field {
            name: Span::new(name, name_len, 0),
            value: Span::new(value, value_len, 0),
        });
    }
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
        Headers(Form::Flat(Flat {
            received,
            added: Vec::new(),
            fields: spans.0,
        }))
    }

    /// The first value under `name`.
    pub fn get(&self, name: &HeaderName) -> Option<&[u8]> {
        match &self.0 {
            Form::Flat(flat) => flat
                .fields
                .iter()
                .find(|f| flat.names(f, name.as_str()))
                .map(|f| flat.bytes(f.value)),
            Form::Map(map) => map.get(name).map(HeaderValue::as_bytes),
        }
    }

    /// The first value under `name`, when it is visible ASCII or UTF-8 text.
    pub fn get_str(&self, name: &HeaderName) -> Option<&str> {
        self.get(name).and_then(|v| std::str::from_utf8(v).ok())
    }

    /// Every value under `name`, in order.
    pub fn get_all<'a>(&'a self, name: &'a HeaderName) -> impl Iterator<Item = &'a [u8]> {
        self.iter()
            .filter(move |(n, _)| n.eq_ignore_ascii_case(name.as_str().as_bytes()))
            .map(|(_, v)| v)
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
    pub fn insert_text(&mut self, name: &HeaderName, text: &str) {
        match &mut self.0 {
            Form::Flat(flat) if text.bytes().all(|b| matches!(b, b' '..=b'~')) => {
                flat.remove(name.as_str());
                flat.push(name.as_str().as_bytes(), text.as_bytes());
            }
            Form::Flat(_) => {}
            Form::Map(map) => {
                if let Ok(value) = HeaderValue::from_str(text) {
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

    /// Keeps the fields for which `keep(name, value)` holds.
    pub fn retain(&mut self, mut keep: impl FnMut(&[u8], &[u8]) -> bool) {
        match &mut self.0 {
            Form::Flat(flat) => {
                let (received, added) = (&flat.received, &flat.added);
                flat.fields
                    .retain(|f| keep(f.name.of(received, added), f.value.of(received, added)));
            }
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
            Form::Flat(flat) => IterForm::Flat(flat, flat.fields.iter()),
            Form::Map(map) => IterForm::Map(map.iter()),
        })
    }

    /// The number of fields.
    pub fn len(&self) -> usize {
        match &self.0 {
            Form::Flat(flat) => flat.fields.len(),
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
                let mut map = HeaderMap::with_capacity(flat.fields.len());
                for field in &flat.fields {
                    // Both were checked when they entered, by the same rules as these types have.
                    if let (Ok(name), Ok(value)) = (
                        HeaderName::from_bytes(flat.bytes(field.name)),
                        HeaderValue::from_bytes(flat.bytes(field.value)),
                    ) {
                        map.append(name, value);
                    }
                }
                map
            }
        }
    }

    /// `Content-Length`, when there is exactly one value and it is a number.
    pub fn content_length(&self) -> Option<u64> {
        let mut all = self.get_all(&header::CONTENT_LENGTH);
        let value = std::str::from_utf8(all.next()?).ok()?;
        if all.next().is_some() || !value.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        value.parse().ok()
    }
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
            IterForm::Flat(flat, fields) => fields
                .next()
                .map(|f| (flat.bytes(f.name), flat.bytes(f.value))),
            IterForm::Map(fields) => fields
                .next()
                .map(|(n, v)| (n.as_str().as_bytes(), v.as_bytes())),
        }
    }
}

impl Flat {
    fn bytes(&self, span: Span) -> &[u8] {
        span.of(&self.received, &self.added)
    }

    fn names(&self, field: &Field, name: &str) -> bool {
        // The length settles nearly every comparison.
        field.name.len as usize == name.len()
            && self.bytes(field.name).eq_ignore_ascii_case(name.as_bytes())
    }

    fn push(&mut self, name: &[u8], value: &[u8]) {
        if self.added.capacity() == 0 {
            self.added.reserve(ADDED_ROOM);
        }
        let start = self.added.len();
        self.added.extend_from_slice(name);
        self.added.extend_from_slice(value);
        self.fields.push(Field {
            name: Span::new(start, name.len(), ADDED),
            value: Span::new(start + name.len(), value.len(), ADDED),
        });
    }

    fn remove(&mut self, name: &str) -> bool {
        let before = self.fields.len();
        let (received, added) = (&self.received, &self.added);
        self.fields.retain(|f| {
            f.name.len as usize != name.len()
                || !f
                    .name
                    .of(received, added)
                    .eq_ignore_ascii_case(name.as_bytes())
        });
        self.fields.len() < before
    }
}

impl Span {
    fn new(start: usize, len: usize, flag: u32) -> Self {
        debug_assert!(start + len < ADDED as usize);
        Span {
            start: start as u32 | flag,
            len: len as u32,
        }
    }

    fn of<'a>(self, received: &'a [u8], added: &'a [u8]) -> &'a [u8] {
        let start = (self.start & !ADDED) as usize;
        let block = if self.start & ADDED == 0 {
            received
        } else {
            added
        };
        &block[start..start + self.len as usize]
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
            spans.push(
                block.len(),
                name.len(),
                block.len() + name.len(),
                value.len(),
            );
            block.extend_from_slice(name.as_bytes());
            block.extend_from_slice(value.as_bytes());
        }
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
