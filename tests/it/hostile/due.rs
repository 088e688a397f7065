//! What the bytes of a case are by the letter, and so which answers are due.

use super::origin::seen;
use super::reading::{self, Framing, Head, Reading};

/// The requests in some bytes, read independently of the proxy.
pub struct Due {
    pub requests: Vec<Request>,
    /// What is left is neither a request nor the beginning of one.
    pub is_malformed: bool,
    /// There is nothing left.
    pub is_whole: bool,
    /// What is left begins like a HEAD, whose answer has no body whatever is wrong with it.
    pub is_head: bool,
}

pub struct Request {
    pub is_head: bool,
    /// What the origin says of it when it has read the body, if that is sound.
    pub whole: Option<String>,
    /// What the origin says of it when it has not.
    pub early: String,
    /// Whatever comes behind it.
    pub rest: Vec<u8>,
}

impl Due {
    pub fn of(mut bytes: &[u8]) -> Due {
        let mut due = Due {
            requests: Vec::new(),
            is_malformed: false,
            is_whole: false,
            is_head: false,
        };
        while !bytes.is_empty() {
            due.is_head = begins_like_head(bytes);
            let (head, length) = match reading::request_head(bytes) {
                Reading::Whole(head, length) => (head, length),
                Reading::Partial => return due,
                Reading::Malformed(_) => return due.malformed(),
            };
            let Ok(framing) = head.framing() else {
                return due.malformed();
            };
            let body = reading::body(&bytes[length..], framing.unwrap_or(Framing::Length(0)));
            if let Reading::Whole(_, taken) = body {
                bytes = &bytes[length + taken..];
            }
            due.requests.push(Request::new(&head, &body, bytes));
            match body {
                Reading::Whole(..) => {}
                Reading::Partial => return due,
                Reading::Malformed(_) => return due.malformed(),
            }
        }
        due.is_whole = true;
        due
    }

    fn malformed(mut self) -> Due {
        self.is_malformed = true;
        self
    }

    pub fn is_sound(&self) -> bool {
        self.is_whole && !self.requests.is_empty()
    }
}

/// Words may be parted by any white space, as some read them (RFC 9112, section 3).
fn begins_like_head(bytes: &[u8]) -> bool {
    let behind = bytes.trim_ascii_start().strip_prefix(b"HEAD");
    behind.is_some_and(|behind| behind.first().is_some_and(u8::is_ascii_whitespace))
}

impl Request {
    fn new(head: &Head, body: &Reading<reading::Body>, rest: &[u8]) -> Request {
        Request {
            is_head: head.word(0) == b"HEAD",
            whole: match body {
                Reading::Whole(body, _) => Some(seen(head, Some(&body.data))),
                Reading::Partial | Reading::Malformed(_) => None,
            },
            early: seen(head, None),
            rest: rest.to_vec(),
        }
    }

    /// What comes back behind the origin's 101, if that may come: it is not passed on before the request is whole.
    pub fn tunnelled(&self) -> Option<Vec<u8>> {
        let whole = self.whole.as_ref()?;
        Some([whole.as_bytes(), b"\n", &self.rest].concat())
    }
}
