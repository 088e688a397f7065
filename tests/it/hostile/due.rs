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
            due.is_head = bytes.trim_ascii_start().starts_with(b"HEAD ");
            let (head, length) = match reading::request_head(bytes) {
                Reading::Whole(head, length) => (head, length),
                Reading::Partial => return due,
                Reading::Malformed(_) => return due.malformed(),
            };
            let Ok(framing) = head.framing() else {
                return due.malformed();
            };
            let body = reading::body(&bytes[length..], framing.unwrap_or(Framing::Length(0)));
            due.requests.push(Request::new(&head, &body));
            match body {
                Reading::Whole(_, taken) => bytes = &bytes[length + taken..],
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

impl Request {
    fn new(head: &Head, body: &Reading<reading::Body>) -> Request {
        Request {
            is_head: head.word(0) == b"HEAD",
            whole: match body {
                Reading::Whole(body, _) => Some(seen(head, Some(&body.data))),
                Reading::Partial | Reading::Malformed(_) => None,
            },
            early: seen(head, None),
        }
    }
}
