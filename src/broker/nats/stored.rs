//! Messages are read out of a stream, without a consumer.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;

use super::api::{self, Failure};
use super::session::Session;

/// A message as a stream has it.
pub(super) struct Stored {
    pub sequence: u64,
    pub subject: String,
    /// When it was stored, as in RFC 3339.
    pub time: String,
    /// As the server keeps them: `NATS/1.0`, and a line each.
    pub headers: Vec<u8>,
    pub body: Bytes,
}

#[derive(Deserialize)]
struct Found {
    seq: u64,
    #[serde(default)]
    subject: String,
    #[serde(default)]
    hdrs: String,
    #[serde(default)]
    data: String,
    #[serde(default)]
    time: String,
}

/// The first message that `subject` matches and whose number is at least `from`; None when there is none.
///
/// # Errors
/// Why that is not known, in a sentence.
pub(super) async fn next(
    session: &Session,
    stream: &str,
    subject: &str,
    from: u64,
) -> Result<Option<Stored>, String> {
    let get = json!({ "seq": from, "next_by_subj": subject });
    let found = match api::ask(session, &format!("STREAM.MSG.GET.{stream}"), &get).await {
        Ok(mut found) => found["message"].take(),
        Err(Failure::Missing) => return Ok(None),
        Err(failure) => return Err(failure.sentence(&format!("stream `{stream}`"))),
    };
    let unreadable = |_| format!("what stands in the stream `{stream}` cannot be read");
    let found: Found = serde_json::from_value(found).map_err(unreadable)?;
    let bytes = |text: &str| STANDARD.decode(text).unwrap_or_default();
    Ok(Some(Stored {
        sequence: found.seq,
        subject: found.subject,
        time: found.time,
        headers: bytes(&found.hdrs),
        body: bytes(&found.data).into(),
    }))
}
