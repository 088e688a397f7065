//! The judgement of what a caller gets.

use std::net::TcpStream;

use super::caller::receive;
use super::cases::Ending;
use super::due::{Due, Request};
use super::origin::SEEN;
use super::reading::{self, Head, Reading};

/// The contract's table of answers that the proxy makes itself, as far as these requests can meet them.
const REFUSALS: [(&str, &[&str]); 9] = [
    ("400", &["bad_request", "bad_path"]),
    ("404", &["no_route"]),
    ("405", &["method_not_allowed"]),
    ("408", &["request_timeout"]),
    ("413", &["body_too_large"]),
    ("431", &["headers_too_large"]),
    ("502", &["connect_failed", "upstream_reset"]),
    ("503", &["overloaded", "no_healthy_endpoint"]),
    ("504", &["connect_timeout", "upstream_timeout"]),
];

/// The answers on one connection, as far as they have come.
pub struct Answers<'a> {
    due: &'a Due,
    ending: Ending,
    buffer: Vec<u8>,
    /// What kinds of answers came, in order.
    pub names: Vec<String>,
    /// Nothing may follow the last answer.
    is_over: bool,
    /// The last answer ends with the connection.
    until_close: bool,
    /// What is to come behind a 101.
    tunnelled: Option<Vec<u8>>,
    /// All of that came.
    pub is_echoed: bool,
}

impl<'a> Answers<'a> {
    pub fn new(due: &'a Due, ending: Ending) -> Answers<'a> {
        Answers {
            due,
            ending,
            buffer: Vec::new(),
            names: Vec::new(),
            is_over: false,
            until_close: false,
            tunnelled: None,
            is_echoed: false,
        }
    }

    /// Whether the connection may be used again.
    pub fn receive(&mut self, socket: &mut TcpStream) -> Result<bool, String> {
        loop {
            while self.take()? {}
            if self.ending == Ending::Waits && !self.is_over && self.is_enough() {
                return Ok(self.due.is_whole);
            }
            match receive(socket)? {
                Some(piece) => self.buffer.extend_from_slice(&piece),
                None => break,
            }
        }
        if let Some(tunnelled) = &self.tunnelled {
            if !tunnelled.starts_with(&self.buffer) {
                return Err(format!(
                    "other raw bytes than {}: {}",
                    tunnelled.escape_ascii(),
                    self.buffer.escape_ascii()
                ));
            }
            self.is_echoed = *tunnelled == self.buffer;
        }
        let is_cut = !self.buffer.is_empty() && !self.until_close;
        if is_cut && self.ending != Ending::HalfCloses {
            Err(format!("a cut answer: {}", self.buffer.escape_ascii()))
        } else {
            Ok(false)
        }
    }

    /// Whether all is answered that can be answered before the caller goes on.
    fn is_enough(&self) -> bool {
        let requests = self.due.requests.iter();
        let answerable = requests.filter(|request| request.whole.is_some()).count();
        !self.due.is_malformed && self.names.len() >= answerable
    }

    /// Takes one answer out of the buffer, if a whole one is there.
    fn take(&mut self) -> Result<bool, String> {
        if self.until_close || self.buffer.is_empty() {
            return Ok(false);
        }
        if self.is_over {
            return Err(self.wrong("more after the last answer"));
        }
        let (head, length) = match reading::response_head(&self.buffer) {
            Reading::Whole(head, length) => (head, length),
            Reading::Partial => return Ok(false),
            Reading::Malformed(why) => return Err(self.wrong(why)),
        };
        let status = head.word(1);
        if status == b"100" {
            self.buffer.drain(..length);
            return Ok(true);
        }
        let request = self.due.requests.get(self.names.len());
        let is_head = request.map_or(self.due.is_head, |request| request.is_head);
        let is_bodyless = is_head || status == b"101";
        let framing = head.framing().map_err(|why| self.wrong(why))?;
        let taken = match framing {
            _ if is_bodyless => 0,
            None => {
                self.until_close = true;
                0
            }
            Some(framing) => match reading::body(&self.buffer[length..], framing) {
                Reading::Whole(_, taken) => taken,
                Reading::Partial => return Ok(false),
                Reading::Malformed(why) => return Err(self.wrong(why)),
            },
        };
        let name = judge(&head, request).map_err(|why| self.wrong(&why))?;
        self.names.push(name);
        if status == b"101" {
            // Raw bytes follow a switch, and their end is the connection's.
            self.until_close = true;
            let tunnelled = request.and_then(Request::tunnelled);
            let Some(tunnelled) = tunnelled else {
                return Err(self.wrong("a switch before the request was whole"));
            };
            self.tunnelled = Some(tunnelled);
        }
        // Behind what is not sound, or not all there, nobody knows where a next request begins.
        let is_sound = request.is_some_and(|request| request.whole.is_some());
        self.is_over = self.until_close || !is_sound || head.lists("connection", "close");
        self.buffer.drain(..length + taken);
        Ok(true)
    }

    fn wrong(&self, why: &str) -> String {
        format!(
            "{why}, in answer {}: {}",
            self.names.len(),
            self.buffer.escape_ascii()
        )
    }
}

/// What kind of answer it is, if it is one that this request may get.
fn judge(head: &Head, request: Option<&Request>) -> Result<String, String> {
    let status = String::from_utf8_lossy(head.word(1)).into_owned();
    if let Some(seen) = head.first(SEEN) {
        let seen = String::from_utf8_lossy(seen);
        let request = request.ok_or("an origin's answer to what is no request")?;
        return if request.whole.as_deref() == Some(&*seen) || request.early == seen {
            Ok(status)
        } else {
            Err(format!(
                "the origin has seen another request than {:?} or {:?}",
                request.whole, request.early
            ))
        };
    }
    let reason = head.first("outrigger-reason").unwrap_or_default();
    let reason = String::from_utf8_lossy(reason).into_owned();
    let is_known = REFUSALS
        .iter()
        .any(|(known, reasons)| *known == status && reasons.contains(&&*reason));
    if is_known && head.first("content-type") == Some(b"application/problem+json") {
        Ok(format!("{status} {reason}"))
    } else {
        Err("not an answer of the contract".to_owned())
    }
}
