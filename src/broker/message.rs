//! A message, whatever broker carries it.

use std::time::SystemTime;

use bytes::Bytes;

/// A message. Its headers are named as HTTP names them, in lower case: each kind of broker has its own spelling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// By which consumers know a message that they have seen. At most 255 bytes.
    pub id: String,
    pub content_type: Option<String>,
    /// What the publisher chose to send along, the attributes of a CloudEvent in binary mode (`ce-id`) among it. Nothing
    /// that a broker itself takes orders from.
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
}

impl Message {
    /// The first header of that name, which is in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers
            .find(|(other, _)| other == name)
            .map(|(_, value)| value.as_str())
    }
}

/// A message that could not be delivered, as it stands among the dead letters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    pub message: Message,
    /// Why, in a word for labels: the status or the reason of its last attempt.
    pub reason: String,
    /// How often its delivery was tried.
    pub attempts: u32,
    /// When it was put there; None when nobody has noted that.
    pub since: Option<SystemTime>,
}
